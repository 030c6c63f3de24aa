"""Values that the contract suite stores."""

from __future__ import annotations

from core.domain.health_factor import UserAccountData
from core.domain.messages import (
    CommandRefused,
    ControlsChanged,
    Latency,
    Operator,
    SetDryRun,
    StatusReport,
    WatchedAccount,
    WatchlistPage,
    WorkerWarned,
)
from core.domain.opportunity import Leg, Opportunity, QuotedLiquidation, State, Trigger, TriggerKind
from core.domain.units import Address, BaseUsd, Bps, TokenAmount, Wad

ADA = Operator(1001, "Ada")
UINT256_MAX = 2**256 - 1
FUTURE = '{"v":99,"kind":"SetEverything","body":{"id":"planted"}}'


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def opportunity(
    number: int, *, user: int | None = None, episode: int | None = None, state: State = State.DETECTED
) -> Opportunity:
    leg = Leg("WETH", address(7), 18, TokenAmount(UINT256_MAX), BaseUsd(2**200 + 1))
    return Opportunity(
        id=number,
        user=address(number if user is None else user),
        episode=number if episode is None else episode,
        state=state,
        trigger=Trigger(TriggerKind.PRICE, "ETH -1.2 %", f"trace-{number}"),
        block=38_391_436,
        seen_at=1_700_000_000.125,
        account=UserAccountData(
            BaseUsd(10**12), BaseUsd(9 * 10**11), BaseUsd(0), Bps(8250), Bps(8000), Wad(999_999_999_999_999_999)
        ),
        quote=QuotedLiquidation(
            leg, leg, TokenAmount(1), Bps(10_500), Bps(5_000), BaseUsd(7), BaseUsd(-3), creates_deficit=True
        ),
        latency_ms=12.5,
    )


def dry_run(command_id: str, *, enabled: bool = False) -> SetDryRun:
    return SetDryRun(command_id, ADA, 1_700_000_000.0, enabled)


def changed(version: int, command_id: str = "") -> ControlsChanged:
    return ControlsChanged(version, (), command_id, ADA, 5, 0.25)


def refused(command_id: str) -> CommandRefused:
    return CommandRefused(command_id, ADA, "because", 5)


def warned(code: str) -> WorkerWarned:
    return WorkerWarned(code, "text with ünïcode, 'quotes' and\nlines")


def page(block: int = 1) -> WatchlistPage:
    return WatchlistPage(block, 1, 1, 1, (WatchedAccount(address(1), Wad(UINT256_MAX), BaseUsd(1), BaseUsd(2)),))


def report() -> StatusReport:
    return StatusReport(
        role="active",
        version="0.1.0",
        uptime_seconds=1.5,
        chain_id=8453,
        revision=10,
        execution="off",
        block=1,
        head_age_seconds=0.2,
        borrowers=3,
        watched=2,
        bands=(("1.00", 1), ("1.05", 2)),
        dry_run=True,
        controls_version=0,
        endpoints=("localhost",),
        latency=Latency(1, 1.0, 2.0, 3.0),
        day=(("detected", 1),),
        warnings=("one",),
    )

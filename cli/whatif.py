"""Show who would be liquidatable if prices moved."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.connection import connected, known_borrowers
from cli.progress import Report, bars
from core.config import Settings
from core.domain.health_factor import health_factor_text
from core.domain.market import Market
from core.domain.messages import PriceMove, WhatIfReport
from core.domain.position import Position
from core.domain.units import Address, BaseUsd
from core.errors import ConfigError
from core.risk.hf_grid import HFGrid
from core.risk.what_if import WhatIf, price_bps
from worker.chain.aave import AaveReader

BATCH = 500
SHOWN_EVERY = 100
BAR_WIDTH = 40
ADDRESS_WIDTH = 42
USD = 10**8
MOVE = re.compile(r"([A-Za-z0-9.\-/]+)=([+-]?\d{1,4})(?:\.(\d{1,2}))?%")


def main(argv: Sequence[str]) -> int:
    """Move prices by the given percentages and print who would cross a health factor of 1, and what that would pay.

    ETH moves WETH and everything that is staked of it, BTC every wrapped bitcoin, a reserve's symbol only that reserve.
    Caps that the oracle puts on a price are not applied to the moved one.
    """
    parser = argparse.ArgumentParser(prog="liquidbot whatif", description=main.__doc__)
    parser.add_argument("move", nargs="+", help="an asset and its change, such as ETH=-8%% or cbBTC=+2.5%%")
    parser.add_argument("--top", type=int, default=10, help="how many accounts to name (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object; amounts as decimal strings")
    options = parser.parse_args(argv)
    if options.top < 0:
        parser.error("--top: allowed: 0 and above")
    moves = [parse_move(text) for text in options.move]
    return asyncio.run(_run(Settings.load(), moves, options.top, options.json))


def parse_move(text: str) -> PriceMove:
    """Return the move in `ASSET=-8%`; raise ConfigError for what is none. At most two digits after the point."""
    found = MOVE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text}: allowed: an asset and a change in percent, such as ETH=-8% or BTC=+2.5%")
    asset, whole, part = found.groups()
    hundredths = int((part or "").ljust(2, "0"))
    return PriceMove(asset, int(whole) * 100 + (-hundredths if whole.startswith("-") else hundredths))


async def _run(settings: Settings, moves: Sequence[PriceMove], top: int, as_json: bool) -> int:
    async with connected(settings) as reader:
        market = await reader.load_market()
        _check(market, moves)
        with bars(quiet=as_json) as progress:
            users = await known_borrowers(settings, reader, market, progress)
            if not users:
                print("no borrower is known: is START_BLOCK right?", file=sys.stderr)
                return 1
            positions = await read_positions(reader, market, users, progress)
            what_if = prepare(market, positions, moves, settings.detection.min_debt_base)
            for stage, done, total in what_if.walk():
                if done % SHOWN_EVERY == 0 or done == total:
                    progress(stage, done, total)
    report = what_if.report(top)
    if as_json:
        print(json.dumps(as_dict(report)))
    else:
        _show(report)
    return 0


def _check(market: Market, moves: Sequence[PriceMove]) -> None:
    """Refuse what can be refused before anything slow begins."""
    if market.revision is None:
        raise ConfigError("the pool runs rules that this version does not know: nothing can be computed ahead")
    try:
        price_bps(moves, market.reserves)
    except ValueError as error:
        raise ConfigError(str(error)) from None


async def read_positions(
    reader: AaveReader, market: Market, users: Sequence[Address], progress: Report
) -> dict[Address, Position]:
    """Return the positions of those who owe anything, at the market's block."""
    found: dict[Address, Position] = {}
    for start in range(0, len(users), BATCH):
        batch = users[start : start + BATCH]
        for position in await reader.positions(batch, market.block):
            if position.has_debt:
                found[position.user] = position
        progress("reading positions", start + len(batch), len(users))
    return found


def prepare(
    market: Market, positions: dict[Address, Position], moves: Sequence[PriceMove], min_debt: BaseUsd
) -> WhatIf:
    """Return the what-if over positions read at the market's block, as of that block's second."""
    grid = HFGrid()
    grid.rebuild(positions.values(), market)
    grid.reprice(market, market.timestamp)
    return WhatIf(market, positions, grid, moves, min_debt=min_debt, now=market.timestamp)


def as_dict(report: WhatIfReport) -> dict[str, Any]:
    """Return the report for machines: health factors and amounts of base USD as decimal strings, changes in bps."""
    return {name: _plain(name, value) for name, value in asdict(report).items() if name != "refusal"}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(name, each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(key, each) for key, each in value.items()}
    return str(value) if name.endswith("_base") or name.startswith("health_factor") else value


def _show(report: WhatIfReport) -> None:
    console = Console()
    moves = ", ".join(f"{move.asset} {move.change_bps / 100:+g} %" for move in report.moves)
    console.print(f"[bold]{moves}[/bold] at block {report.block} (moves {', '.join(report.moved)})")
    console.print(
        f"{report.accounts} accounts would cross, owing {_usd(report.debt_base)} USD; "
        f"their best liquidations would pay {_usd(report.bonus_base)} USD before gas and swap"
    )
    console.print(
        f"{report.already_below} are below 1 already; counted are debts from {_usd(report.min_debt_base)} USD"
    )
    if report.not_valued:
        console.print(f"{report.not_valued} hold something without a price and are not counted", style="bold red")
    if report.top:
        console.print(_top(report))
    console.print(_ladder(report))


def _top(report: WhatIfReport) -> Table:
    """Return the accounts that would pay most; whole dollars, so that a row fits 80 columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("account", no_wrap=True, min_width=ADDRESS_WIDTH)
    for title in ("HF now", "HF then", "debt USD", "pays USD"):
        table.add_column(title, justify="right")
    for account in report.top:
        factors = (health_factor_text(each) for each in (account.health_factor_now, account.health_factor_then))
        amounts = (f"{each // USD:,}" for each in (account.total_debt_base, account.bonus_base))
        table.add_row(account.user, *factors, *amounts)
    return table


def _ladder(report: WhatIfReport) -> Table:
    """Return who would cross step by step; the bars are of debt."""
    most = max((step.debt_base for step in report.ladder), default=0)
    table = Table(box=None, pad_edge=False)
    for title in (" + ".join(move.asset for move in report.moves), "accounts", "debt USD"):
        table.add_column(title, justify="right")
    table.add_column()
    for step in report.ladder:
        bar = "█" * round(BAR_WIDTH * step.debt_base / most) if most else ""
        table.add_row(f"{step.change_bps / 100:+g} %", f"{step.accounts}", _usd(step.debt_base), bar)
    return table


def _usd(base: int) -> str:
    return f"{base // USD:,}.{base % USD * 100 // USD:02d}"

"""Live detection on the real contracts: after whatever happens, our figures are the chain's, and so are the fallen."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.domain.health_factor import UserAccountData
from core.domain.opportunity import TriggerKind
from core.domain.position import Position
from core.domain.units import WAD, Address, BaseUsd, ScaledAmount, Wad
from core.risk.active_risk_set import ActiveRiskSet
from devnet import addresses as at
from devnet.abi import function
from devnet.chain import Chain
from tests.engine import loaded_mirror
from worker.chain.aave import AaveReader
from worker.chain.events import touched
from worker.chain.logs import Log, LogFilter, addresses_of, get_logs, head
from worker.chain.oracles import watched_addresses
from worker.chain.rpc import HttpRpc
from worker.detection.chain_sweep import FULL_SWEEP_SECONDS, ChainSweep
from worker.detection.looking import Detector, Limits, Look, Work
from worker.detection.mirror import Mirror
from worker.detection.realtime_hf import RealTimeHF

LIMITS = Limits(Wad(WAD), BaseUsd(50 * 10**8))
ALICE = Address("0x" + "a11ce".rjust(40, "0"))
BOB = Address("0x" + "b0b".rjust(40, "0"))


class Watch:
    """Hear the chain as the feed would, let a detector look, and keep who is below."""

    def __init__(self, chain: Chain, rpc: HttpRpc, reader: AaveReader, mirror: Mirror) -> None:
        self.chain = chain
        self.rpc = rpc
        self.reader = reader
        self.mirror = mirror
        self.asked: list[int] = []
        self.detector: Detector = RealTimeHF(mirror, reader, LIMITS, self.asked.append)
        self.open: set[Address] = set()
        self.users = [*chain.borrowers, ALICE, BOB]
        self.heard = mirror.block

    async def logs(self) -> list[Log]:
        """Return what was logged since the last time."""
        mirror = self.mirror
        watched = addresses_of(watched_addresses(self.reader.contracts, mirror.market, mirror.sources))
        first, self.heard = self.heard + 1, await self.chain.rpc.block_number()
        return await get_logs(self.rpc, LogFilter(watched), first, self.heard) if first <= self.heard else []

    async def work(self, logs: list[Log] | None = None) -> Work:
        """Return the work that logs and head make."""
        work = Work(time.monotonic())
        for log in await self.logs() if logs is None else logs:
            effect = touched(log, self.mirror.market)
            self.detector.hear(log)
            if effect is not None:
                work.add(effect)
        tip = await head(self.rpc)
        assert tip is not None
        work.block, work.timestamp = tip.number, tip.timestamp
        return work

    async def look(self, work: Work | None = None) -> tuple[Work, Look]:
        """Look, and move the accounts that changed sides."""
        work = work or await self.work()
        look = await self.detector.look(work, self.open)
        self.open = (self.open | look.below.keys()) - look.over.keys()
        return work, look

    async def below(self) -> set[Address]:
        """Return who the chain says is below and in scope."""
        figures = await self.chain.lens.health(self.users)
        return {u for u, (debt, hf) in zip(self.users, figures, strict=True) if LIMITS.met_by(account(debt, hf))}

    async def agrees(self) -> tuple[Work, Look]:
        """Look, and compare every account with the chain."""
        work, look = await self.look()
        assert look.block == await self.chain.rpc.block_number()
        assert look.diverged == frozenset()
        figures = await self.reader.account_data(self.users, look.block)
        for user, chain in zip(self.users, figures, strict=True):
            assert chain is not None
            if chain.total_debt_base:
                assert self.mirror.figures(user) == chain, user
            else:
                assert user not in self.mirror.positions
        assert self.open == await self.below()
        return work, look


def account(debt: int, health_factor: int) -> UserAccountData:
    return UserAccountData._make((0, debt, 0, 0, 0, health_factor))


@pytest.fixture
async def watch(fresh_market: Chain) -> AsyncIterator[Watch]:
    rpc = HttpRpc(fresh_market.http_url, chain_id=31337)
    reader = await AaveReader.discover(rpc, fresh_market.provider, 31337)
    mirror = await loaded_mirror(reader, fresh_market.borrowers)
    watch = Watch(fresh_market, rpc, reader, mirror)
    yield watch
    await rpc.aclose()


async def open_thin(chain: Chain, user: Address = ALICE) -> None:
    await chain.supply(user, "WETH", 10 * WAD)
    await chain.borrow(user, "USDC", 23_000 * 10**6)


async def test_a_falling_and_a_rising_price(watch: Watch) -> None:
    eth = await watch.chain.feeds.answer("ETH")
    await watch.chain.set_price("ETH", factor="0.9")
    work, look = await watch.agrees()
    assert len(look.below) > 3
    factors = [figures.health_factor for figures in look.below.values()]
    assert factors == sorted(factors)
    assert work.cause_of(next(iter(look.below))) == (TriggerKind.PRICE, work.moved)
    assert "-10.00%" in work.moved
    assert "and 5 more" in work.moved
    fallen = set(watch.open)
    await watch.chain.set_price("ETH", factor="0.97")
    _, look = await watch.agrees()
    assert look.changed == {}
    assert not look.below.keys() & fallen
    await watch.chain.set_price("ETH", answer=eth)
    _, look = await watch.agrees()
    assert look.over.keys() >= fallen
    assert watch.open == set()


async def test_people_borrow_repay_withdraw_and_move_their_collateral(watch: Watch) -> None:
    chain = watch.chain
    await open_thin(chain)
    work, _ = await watch.agrees()
    assert work.users[ALICE].startswith("Aave")
    await chain.supply(ALICE, "cbBTC", 10**7)
    await watch.agrees()
    await chain.repay(ALICE, "USDC", 4_000 * 10**6)
    await watch.agrees()
    await chain.transfer_a_token(ALICE, "cbBTC", BOB, 10**6)
    await chain.set_collateral(BOB, "cbBTC", True)
    await chain.borrow(BOB, "USDC", 100 * 10**6)
    await watch.agrees()
    await chain.set_collateral(ALICE, "cbBTC", False)
    await watch.agrees()
    await chain.set_collateral(ALICE, "cbBTC", True)
    await chain.withdraw(ALICE, "WETH", WAD)
    await watch.agrees()
    await chain.set_price("ETH", factor="0.5")
    _, look = await watch.agrees()
    assert ALICE in look.below
    await chain.supply(ALICE, "USDC", 10**6)
    work, look = await watch.agrees()
    assert list(look.changed) == [ALICE]
    assert work.cause_of(ALICE)[0] is TriggerKind.EVENT
    await chain.repay(ALICE, "USDC")
    _, look = await watch.agrees()
    assert look.over[ALICE].total_debt_base == 0
    assert ALICE not in watch.mirror.positions


async def test_e_modes_are_entered_and_left_and_changed(watch: Watch) -> None:
    chain = watch.chain
    await chain.supply(ALICE, "weETH", 10 * WAD)
    await chain.set_e_mode(ALICE, 7)
    await chain.borrow(ALICE, "WETH", 6 * WAD)
    await watch.agrees()
    await chain.set_e_mode(ALICE, 0)
    await watch.agrees()
    await chain.set_e_mode(ALICE, 7)
    await chain.borrow(ALICE, "WETH", 3 * WAD)
    await watch.agrees()
    await chain.set_e_mode_category(7, 7000, 7500, 10125, "weETH/WETH")
    work, look = await watch.agrees()
    assert ALICE in look.below
    assert work.cause_of(ALICE) == (TriggerKind.EVENT, "Aave e-mode change")
    await chain.set_e_mode_category(7, 9300, 9500, 10125, "weETH/WETH")
    _, look = await watch.agrees()
    assert ALICE in look.over
    await chain.set_e_mode_collateral("weETH", 7, False)
    _, look = await watch.agrees()
    assert ALICE in look.below


async def test_governance_cuts_a_threshold_pauses_and_changes_a_source(watch: Watch) -> None:
    chain = watch.chain
    await open_thin(chain)
    await watch.agrees()
    await chain.set_collateral_parameters("WETH", 5000, 5500, 10500)
    work, look = await watch.agrees()
    assert ALICE in look.below
    assert work.cause_of(ALICE) == (TriggerKind.EVENT, "Aave collateral parameters change")
    await chain.set_collateral_parameters("WETH", 8000, 8300, 10500)
    _, look = await watch.agrees()
    assert ALICE in look.over
    await chain.set_paused("WETH", True)
    await watch.agrees()
    assert watch.mirror.market.reserve_of(chain.asset("WETH")).paused  # type: ignore[union-attr]
    await chain.set_frozen("USDC", True)
    await chain.set_price_source("WETH", chain.reserves["USDC"].source)
    _, look = await watch.agrees()
    assert ALICE in look.below


async def test_interest_alone_brings_accounts_down(watch: Watch) -> None:
    before = watch.open
    await watch.chain.increase_time(1)
    await watch.agrees()
    await watch.chain.increase_time(200 * 86_400)
    work, look = await watch.agrees()
    assert look.below.keys() - before
    users = [user for user in look.below if user not in work.users]
    assert users
    assert work.cause_of(users[0])[0] in {TriggerKind.HEAD, TriggerKind.PRICE}  # capped ratios grow by the clock, too


async def test_a_rival_takes_an_account(watch: Watch) -> None:
    chain = watch.chain
    await open_thin(chain)
    await chain.set_price("ETH", factor="0.9")
    await watch.agrees()
    assert ALICE in watch.open
    await chain.liquidate(ALICE, "WETH", "USDC")
    work, look = await watch.agrees()
    assert ALICE in look.over
    assert work.taken == {ALICE: at.RIVAL}


async def test_an_account_below_the_least_debt_is_left_alone(watch: Watch) -> None:
    chain = watch.chain
    await chain.supply(ALICE, "WETH", WAD // 50)
    await chain.borrow(ALICE, "USDC", 30 * 10**6)
    await chain.set_price("ETH", factor="0.5")
    _, look = await watch.agrees()
    assert (await chain.lens.health([ALICE]))[0][1] < WAD
    assert ALICE not in look.below
    assert ALICE not in watch.open


async def test_in_one_block_the_price_falls_and_a_rival_takes_what_fell(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """The price's log comes first, and alone: what the same block did to accounts is known a moment later."""
    chain = watch.chain
    await open_thin(chain)
    await chain.mint("USDC", at.RIVAL, 50_000 * 10**6)
    await chain.approve("USDC", at.RIVAL)
    await watch.agrees()
    text = "liquidationCall(address,address,address,uint256,bool)"
    call = function(text).encode([chain.asset("WETH"), chain.asset("USDC"), ALICE, 2**256 - 1, False])
    eth = await chain.feeds.answer("ETH")
    await chain.rpc.request("evm_setAutomine", False)
    try:
        sent = await chain.post_price("ETH", answer=eth * 9 // 10)
        taking = await chain.rpc.post(at.RIVAL, at.POOL, call)
        await chain.mine()
        price, taken = [await chain.rpc.settle("both", one) for one in (sent, taking)]
    finally:
        await chain.rpc.request("evm_setAutomine", True)
    assert price["blockNumber"] == taken["blockNumber"]
    assert int(price["transactionIndex"], 16) < int(taken["transactionIndex"], 16)
    logs = await watch.logs()
    early = [log for log in logs if log.transaction_hash == sent]
    with caplog.at_level(logging.INFO):
        _, look = await watch.look(await watch.work(early))
    assert look.diverged == frozenset()
    assert ALICE not in look.below
    assert "differ" not in caplog.text
    work, look = await watch.look(await watch.work([log for log in logs if log not in early]))
    assert look.diverged == frozenset()
    assert work.taken == {ALICE: at.RIVAL}
    await watch.agrees()


async def test_a_true_difference_is_shouted_about(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """What no re-reading mends is told as diverged, and the chain's figures are used."""
    await watch.chain.set_price("ETH", factor="0.9")
    wrong = WrongReader(watch.rpc, watch.reader.multicall, watch.reader.contracts)
    wrong_mirror = await loaded_mirror(wrong, watch.chain.borrowers)
    detector = RealTimeHF(wrong_mirror, wrong, LIMITS, watch.asked.append)
    work = await watch.work()
    look = await detector.look(work, set())
    assert look.diverged
    assert look.diverged <= look.below.keys()
    figures = await watch.reader.account_data(list(look.below), look.block)
    assert list(look.below.values()) == figures
    assert "our figures differ from the chain's" in caplog.text


class WrongReader(AaveReader):
    """Read a little more debt than there is: a rule that we got wrong."""

    async def refresh(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        read = await super().refresh(*args, **kwargs)
        read.positions = {user: inflated(position) for user, position in read.positions.items()}
        return read

    async def positions(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        return [inflated(position) for position in await super().positions(*args, **kwargs)]


def inflated(position: Position) -> Position:
    return replace(position, debt=tuple((id_, ScaledAmount(owed + owed // 1000 + 1)) for id_, owed in position.debt))


async def test_with_unknown_rules_the_chain_itself_is_asked(watch: Watch) -> None:
    chain = watch.chain
    await chain.upgrade_pool_to_unknown_revision()
    watch_list = ActiveRiskSet(500, 10)
    watch.detector = ChainSweep(watch.reader, watch_list, chain.borrowers, LIMITS, watch.asked.append)
    _, look = await watch.look()
    assert watch.asked[-1] == len(chain.borrowers)
    assert watch.open == await watch.below() == set()
    await chain.set_price("ETH", factor="0.9")
    await watch.look()
    assert watch.asked[-1] == 10  # the hot ones only, until a minute has passed
    await chain.increase_time(FULL_SWEEP_SECONDS)
    _, look = await watch.look()
    assert watch.open == await watch.below()
    assert len(watch.open) > 3
    _, look = await watch.look()
    assert (look.below, look.over, look.changed) == ({}, {}, {})
    await chain.increase_time(1)
    _, look = await watch.look()
    assert look.changed == {}
    fallen = next(iter(watch.open))
    await chain.supply(fallen, "USDC", 10**6)
    _, look = await watch.look()
    assert list(look.changed) in ([fallen], [])
    assert (fallen in look.changed) != (fallen in look.over)
    await chain.supply(ALICE, "WETH", 10 * WAD)
    await chain.borrow(ALICE, "USDC", 15_000 * 10**6)
    await chain.set_price("ETH", factor="0.5")
    await watch.look()
    assert ALICE in watch.open
    await chain.increase_time(FULL_SWEEP_SECONDS)
    await watch.look()
    assert watch.open == await watch.below()
    await chain.set_price("ETH", factor="4")
    await chain.increase_time(FULL_SWEEP_SECONDS)
    _, look = await watch.look()
    assert watch.open == await watch.below()

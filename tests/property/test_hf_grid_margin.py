"""What the grid proves in floats is what exact integers say, after any walk of prices, seconds and positions."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.health_factor import HFCalculator, UserAccountData
from core.domain.market import Market
from core.domain.position import Position, holdings
from core.domain.units import RAY, WAD, Address, BaseUsd
from core.risk.hf_grid import HFGrid
from tests.property.strategies import RESERVES, accounts, markets
from tests.unit.domain.builders import NOW, USER

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.integers(0, RESERVES - 1), st.integers(1, 30_000)),
        st.tuples(st.just("time"), st.sampled_from([0, 1, 12, 86_400]), st.just(0)),
        st.tuples(st.just("leave"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("return"), st.integers(0, 7), st.just(0)),
    ),
    max_size=12,
)
LINES = st.sampled_from([(WAD, 0), (WAD, 50 * 10**8), (105 * 10**16, 0), (3 * WAD, 10**12)])


class Judge:
    """Keep market, positions and grid in step, and decide in integers; count how often that was asked."""

    def __init__(self, market: Market, positions: list[Position], line: tuple[int, int]) -> None:
        self.market, self.now = market, NOW
        self.all = {position.user: position for position in positions}
        self.here = dict(self.all)
        self.health_factor, self.min_debt = line
        self.grid = HFGrid()
        self.grid.rebuild(positions, market)
        self.grid.reprice(market, NOW)
        self.asked = 0

    def figures(self, user: Address) -> UserAccountData:
        return HFCalculator().calculate(self.market, self.here[user], self.now)

    def below(self, user: Address) -> bool:
        self.asked += 1
        account = self.figures(user)
        return account.health_factor < self.health_factor and account.total_debt_base >= self.min_debt

    def take(self, step: tuple[str, int, int]) -> None:
        kind, which, amount = step
        if kind == "price":
            self.market.set_price(which, BaseUsd(max(1, self.market.prices[which] * amount // 10_000)))
        elif kind == "time":
            self.now += which
        elif which < len(self.all):
            position = list(self.all.values())[which]
            self.grid.put(position if kind == "return" else replace(position, debt=()), self.market)
            self.here.pop(position.user, None)
            if kind == "return":
                self.here[position.user] = position
        self.grid.reprice(self.market, self.now)

    def truth(self) -> set[Address]:
        return {user for user in self.here if self.below(user)}

    def newly(self) -> list[Address]:
        line = self.health_factor / WAD
        return list(chain.from_iterable(self.grid.newly_below(line, self.min_debt, self.below)))


@st.composite
def judges(draw: st.DrawFn) -> Judge:
    market = draw(markets())
    crowd = [replace(draw(accounts(market)), user=Address(f"0x{n:040x}")) for n in range(draw(st.integers(1, 8)))]
    return Judge(market, crowd, draw(LINES))


@given(judges(), STEPS)
@settings(max_examples=300, deadline=None)
def test_what_was_told_is_always_what_is_below(judge: Judge, steps: list[tuple[str, int, int]]) -> None:
    told: set[Address] = set()
    for step in steps:
        judge.take(step)
        recovered = judge.grid.recovered(judge.health_factor / WAD, judge.min_debt, judge.below)
        told = (told & judge.here.keys()) - set(recovered)
        fell = judge.newly()
        assert len(fell) == len(set(fell))
        assert step[0] in {"leave", "return"} or not told & set(fell)
        told |= set(fell)
        assert told == judge.truth()
        assert set(judge.grid.below(judge.health_factor / WAD, judge.min_debt)) >= told


@given(judges(), STEPS, st.dictionaries(st.integers(0, RESERVES - 1), st.integers(1, 30_000)), st.integers(0, 86_400))
@settings(max_examples=150, deadline=None)
def test_a_what_if_screens_as_a_real_move_would(
    judge: Judge, steps: list[tuple[str, int, int]], bps: dict[int, int], seconds: int
) -> None:
    for step in steps:
        judge.take(step)
    market = judge.market.repriced(bps)
    prices = {reserve_id: BaseUsd(max(1, price)) for reserve_id, price in market.prices.items()}
    market = replace(market, prices=prices)
    before = judge.grid.sums().weighted.tolist(), judge.grid.sums().owed.tolist()
    screened = judge.grid.below_if(market, judge.now + seconds, judge.health_factor / WAD, judge.min_debt)
    assert (judge.grid.sums().weighted.tolist(), judge.grid.sums().owed.tolist()) == before
    judge.market, judge.now = market, judge.now + seconds
    assert set(screened) >= judge.truth()


@given(
    st.lists(st.integers(5_000, 15_000), min_size=1, max_size=40),
    st.integers(-3, 3),
    st.integers(10**15, 10**24),
    st.data(),
)
@settings(max_examples=300, deadline=None)
def test_on_the_very_line_integers_are_asked(walk: list[int], wei: int, collateral: int, data: st.DataObject) -> None:
    """The debt is set so that the health factor is one, give or take a few units of the debt's token."""
    market = data.draw(markets())
    position = Position(USER, 0, holdings({0: collateral}), holdings({1: 1}), 1)
    judge = Judge(market, [position], (WAD, 0))
    for bps in walk:
        judge.take(("price", 0, bps))
    asset, owed = market.valuation(judge.now).assets[0], market.valuation(judge.now).assets[1]
    weighted = collateral * asset.income // RAY * asset.price // asset.unit
    worth = weighted * market.reserves[0].liquidation_threshold // 10_000
    debt = worth * owed.unit * RAY // (owed.price * owed.debt_index) + wei
    judge.here[USER] = replace(position, debt=holdings({1: max(1, debt)}))
    judge.grid.put(judge.here[USER], market)
    fell = judge.newly()
    asked = judge.asked
    assert fell == ([USER] if judge.below(USER) else [])
    close = abs(judge.figures(USER).health_factor - WAD) <= 1_000
    assert asked == 1 or not close


@given(judges(), st.lists(st.tuples(st.integers(0, RESERVES - 1), st.integers(9_000, 11_100)), max_size=200))
@settings(max_examples=60, deadline=None)
def test_running_sums_stay_within_their_own_bound(judge: Judge, walk: list[tuple[int, int]]) -> None:
    for reserve_id, bps in walk:
        judge.take(("price", reserve_id, bps))
    for side in (judge.grid.collateral, judge.grid.debt):
        fresh = side.combine(side.values, len(judge.grid))
        assert (abs(fresh - side.sums[: len(judge.grid)]) <= side.uncertainty * fresh).all()
        assert side.uncertainty < 3e-7

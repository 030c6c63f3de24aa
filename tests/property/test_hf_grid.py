"""The float screen never leaves out an account that the integers put below the threshold, whatever the market holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.health_factor import HFCalculator
from core.domain.market import EModeCategory, Market, Revision
from core.domain.position import Position, holdings
from core.domain.units import RAY, WAD, Address, BaseUsd, Bps, Ray
from core.risk.hf_grid import HFGrid
from tests.unit.domain.builders import NOW, reserve

RESERVES = 5
UINT128_MAX = 2**128 - 1
THRESHOLDS = [WAD, 95 * 10**16, 5 * 10**17, 105 * 10**16, 10 * WAD]

amounts = st.one_of(
    st.integers(1, 100), st.integers(1, 10**12), st.integers(10**15, 10**24), st.integers(1, UINT128_MAX)
)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Draw reserves of any decimals and price, and two e-modes; one reserve may have no price."""
    market = Market(revision=Revision.V3_7, timestamp=NOW, block=1)
    for id_ in range(RESERVES):
        market.set_reserve(
            reserve(
                id_,
                decimals=draw(st.sampled_from([0, 2, 6, 8, 18, 24])),
                liquidation_threshold=Bps(draw(st.sampled_from([0, 1, 7_500, 8_333, 9_999]))),
                liquidity_index=Ray(draw(st.integers(RAY, 5 * RAY))),
                variable_borrow_index=Ray(draw(st.integers(RAY, 5 * RAY))),
                liquidity_rate=Ray(draw(st.integers(0, RAY))),
                variable_borrow_rate=Ray(draw(st.integers(0, 2 * RAY))),
            )
        )
        if id_ or draw(st.integers(0, 4)):
            market.set_price(id_, BaseUsd(draw(st.one_of(st.integers(1, 1_000), st.integers(10**6, 10**14)))))
    for id_ in (1, 2):
        threshold = Bps(draw(st.integers(0, 10_000)))
        bitmap = draw(st.integers(0, 2**RESERVES - 1))
        market.set_e_mode(EModeCategory(id=id_, liquidation_threshold=threshold, collateral_bitmap=bitmap))
    return market


@st.composite
def accounts(draw: st.DrawFn, number: int) -> Position:
    ids = st.integers(0, RESERVES - 1)
    return Position(
        Address(f"0x{number:040x}"),
        draw(st.integers(0, 2)),
        holdings(draw(st.dictionaries(ids, amounts, max_size=4))),
        holdings(draw(st.dictionaries(ids, amounts, max_size=3))),
        draw(st.integers(0, 2**RESERVES - 1)),
    )


@st.composite
def on_the_line(draw: st.DrawFn, market: Market, position: Position, now: int) -> Position:
    """Change a debt so that the account stands as near to one as whole units let it, on either side."""
    if not position.debt or position.debt[0][0] not in market.prices:
        return position
    id_, _ = position.debt[0]
    try:
        figures = HFCalculator().calculate(market, position.with_debt(id_, position.debt[0][1]), now)
    except LookupError:
        return position
    bearing = figures.total_collateral_base * figures.current_liquidation_threshold // 10_000
    reserve_ = market.reserves[id_]
    wanted = bearing * reserve_.unit * RAY // (market.prices[id_] * reserve_.normalized_debt(now))
    alone = replace(position, debt=())
    return alone.with_debt(id_, min(UINT128_MAX, max(1, wanted + draw(st.integers(-2, 2)))))  # type: ignore[arg-type]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Market, list[Position], int]:
    market = draw(markets())
    now = NOW + draw(st.sampled_from([0, 1, 86_400, 31_536_000]))
    drawn = [draw(accounts(number)) for number in range(draw(st.integers(1, 6)))]
    return market, [draw(on_the_line(market, one, now)) if draw(st.booleans()) else one for one in drawn], now


def exactly_below(market: Market, positions: list[Position], now: int, threshold: int, min_debt: int) -> set[Address]:
    """Return who the integers put below; whoever uses a reserve without a price is nobody's to judge."""
    found = set()
    for position in positions:
        try:
            figures = HFCalculator().calculate(market, position, now)
        except LookupError:
            continue
        if position.has_debt and figures.health_factor < threshold and figures.total_debt_base >= min_debt:
            found.add(position.user)
    return found


@settings(max_examples=300, deadline=None)
@given(crowds(), st.sampled_from(THRESHOLDS), st.sampled_from([0, 1, 50 * 10**8]))
def test_nobody_below_is_left_out(crowd: tuple[Market, list[Position], int], threshold: int, min_debt: int) -> None:
    market, positions, now = crowd
    grid = HFGrid()
    grid.rebuild(positions, market)
    grid.reprice(market, now)
    assert len(grid) == sum(position.has_debt for position in positions)
    screened = grid.below(threshold / WAD, min_debt)
    assert len(screened) == len(set(screened))
    assert exactly_below(market, positions, now, threshold, min_debt) <= set(screened)


@settings(max_examples=100, deadline=None)
@given(crowds(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_rows_come_change_and_go(crowd: tuple[Market, list[Position], int], steps: list[tuple[int, int]]) -> None:
    market, positions, now = crowd
    grid, kept = HFGrid(), {}
    grid.rebuild([], market)
    for whose, what in [*((n, n) for n in range(len(positions))), *steps]:
        user = Address(f"0x{whose:040x}")
        of = positions[what % len(positions)]
        position = Position(user) if (whose + what) % 4 == 0 else replace(of, user=user)
        grid.put(position, market)
        kept[user] = position
    grid.reprice(market, now)
    fresh = HFGrid()
    fresh.rebuild(kept.values(), market)
    fresh.reprice(market, now)
    assert {user for user in kept if user in grid} == {u for u, p in kept.items() if p.has_debt}
    assert sorted(grid.below(1.0)) == sorted(fresh.below(1.0))
    assert exactly_below(market, list(kept.values()), now, WAD, 0) <= set(grid.below(1.0))


@pytest.mark.parametrize("count", [255, 256, 257, 1_000])
def test_the_screen_is_ranked_and_grows(count: int) -> None:
    market = Market(revision=Revision.V3_6, timestamp=NOW)
    market.set_reserve(reserve(0))
    market.set_reserve(reserve(1, decimals=6))
    market.set_price(0, BaseUsd(2_000 * 10**8))
    market.set_price(1, BaseUsd(10**8))
    debts = [1_600 * 10**6 + (n * 7919) % count * 10**6 for n in range(count)]
    positions = [
        Position(Address(f"0x{n:040x}"), 0, holdings({0: 10**18}), holdings({1: debt}), 1)
        for n, debt in enumerate(debts)
    ]
    grid = HFGrid()
    grid.rebuild(positions, market)
    grid.reprice(market, NOW)
    found = grid.below(1.0)
    by_debt = sorted(positions, key=lambda position: -position.debt[0][1])
    below = [p.user for p in by_debt if HFCalculator().calculate(market, p, NOW).health_factor < WAD]
    assert [user for user in found if user in set(below)] == below
    assert len(found) - len(below) <= 1  # at most the one that stands at exactly one
    for position in positions[::2]:
        grid.put(Position(position.user), market)
    assert set(grid.below(1.0)) == {user for user in found if int(user, 16) % 2}

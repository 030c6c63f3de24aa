"""Random markets and accounts within what a real market can hold."""

from __future__ import annotations

from hypothesis import strategies as st

from core.domain.market import EModeCategory, Market, Revision
from core.domain.position import Position, holdings
from core.domain.units import RAY, BaseUsd, Bps, Ray, TokenAmount
from tests.unit.domain.builders import NOW, USER, reserve

RESERVES = 4


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Draw a market of four reserves, with an e-mode of the first two."""
    market = Market(revision=draw(st.sampled_from(Revision)), timestamp=NOW)
    for reserve_id in range(RESERVES):
        threshold = draw(st.integers(10, 9_500))
        market.set_reserve(
            reserve(
                reserve_id,
                decimals=draw(st.sampled_from([6, 8, 18])),
                liquidation_threshold=Bps(threshold),
                ltv=Bps(draw(st.integers(0, threshold))),
                liquidation_bonus=Bps(draw(st.integers(10_001, 11_500))),
                liquidation_protocol_fee=Bps(draw(st.sampled_from([0, 1_000, 2_000, 10_000]))),
                liquidity_index=Ray(draw(st.integers(RAY, 2 * RAY))),
                variable_borrow_index=Ray(draw(st.integers(RAY, 2 * RAY))),
                liquidity_rate=Ray(draw(st.integers(0, RAY // 2))),
                variable_borrow_rate=Ray(draw(st.integers(0, RAY))),
                virtual_underlying_balance=TokenAmount(10**40),
            )
        )
        market.set_price(reserve_id, BaseUsd(draw(st.integers(10**6, 10**13))))
    bitmap = draw(st.integers(0, 3))
    market.set_e_mode(
        EModeCategory(
            id=1,
            ltv=Bps(9_000),
            liquidation_threshold=Bps(9_300),
            liquidation_bonus=Bps(10_200),
            collateral_bitmap=bitmap,
            ltvzero_bitmap=draw(st.integers(0, 3)),
            isolated=market.revision is Revision.V3_7 and draw(st.booleans()),
        )
    )
    return market


@st.composite
def accounts(draw: st.DrawFn, market: Market) -> Position:
    """Draw an account with one to three collaterals and one or two debts, each worth cents to millions of dollars."""
    collateral = draw(st.sets(st.integers(0, RESERVES - 1), min_size=1, max_size=3))
    debt = draw(st.sets(st.integers(0, RESERVES - 1), min_size=1, max_size=2))
    return Position(
        USER,
        draw(st.integers(0, 1)),
        holdings({reserve_id: draw(_worth(market, reserve_id)) for reserve_id in sorted(collateral)}),
        holdings({reserve_id: draw(_worth(market, reserve_id)) for reserve_id in sorted(debt)}),
        sum(1 << reserve_id for reserve_id in collateral if draw(st.integers(0, 9))),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[Market, Position, int]:
    """Draw a market, an account in it, and a second up to a month later."""
    market = draw(markets())
    return market, draw(accounts(market)), NOW + draw(st.sampled_from([0, 1, 3_600, 2_592_000]))


def _worth(market: Market, reserve_id: int) -> st.SearchStrategy[int]:
    unit, price = market.reserves[reserve_id].unit, market.prices[reserve_id]
    around_the_dust_rule = st.integers(150_000, 500_000)
    cents = st.one_of(st.integers(50, 10**5), around_the_dust_rule, around_the_dust_rule, st.integers(10**6, 10**9))
    noise = st.integers(0, 10**6)
    return st.tuples(cents, noise).map(lambda drawn: max(1, drawn[0] * 10**6 * unit // price + drawn[1] % 997))

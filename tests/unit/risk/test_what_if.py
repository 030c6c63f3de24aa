"""A what-if: whom a name moves, what is refused, and that the report adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain.liquidation import LiquidationQuote, best_quote
from core.domain.messages import PriceMove, WhatIfReport
from core.domain.position import Position
from core.domain.units import Address, BaseUsd
from core.risk.what_if import QUOTING, WhatIf, price_bps, reserves_of
from tests.unit.domain.builders import CBETH, GHO, NOW, USDC, WETH, market
from tests.unit.risk.crowds import borrower, grid_of, user

NAMES = {WETH: "WETH", USDC: "USDC", CBETH: "cbETH", GHO: "GHO"}
WHERE = market()
WHERE.reserves = {id_: replace(reserve, symbol=NAMES[id_]) for id_, reserve in WHERE.reserves.items()}
CROWD = {each.user: each for each in (borrower(n, 10_000, 16_600 - 100 * n) for n in range(40))}
SCOPE = BaseUsd(50 * 10**8)


def what_if(*moves: PriceMove, min_debt: BaseUsd = SCOPE, crowd: dict[Address, Position] = CROWD) -> WhatIf:
    grid = grid_of(WHERE, *crowd.values())
    return WhatIf(WHERE, crowd, grid, moves, min_debt=min_debt, now=NOW)


def answer(*moves: PriceMove, top: int = 10, min_debt: BaseUsd = SCOPE) -> WhatIfReport:
    asked = what_if(*moves, min_debt=min_debt)
    for _ in asked.walk():
        pass
    return asked.report(top)


def test_names_are_those_that_people_use() -> None:
    assert reserves_of("ETH", WHERE.reserves) == {WETH, CBETH}
    assert reserves_of("eth", WHERE.reserves) == {WETH, CBETH}
    assert reserves_of("WETH", WHERE.reserves) == {WETH}
    assert reserves_of("cbeth", WHERE.reserves) == {CBETH}
    for unknown in ("BTC", "USD", "", "stETH"):
        with pytest.raises(ValueError, match=r"allowed: ETH, BTC, GHO, USDC, WETH, cbETH"):
            reserves_of(unknown, WHERE.reserves)


def test_a_symbol_goes_before_its_family_whatever_the_order() -> None:
    moves = [PriceMove("cbETH", -100), PriceMove("ETH", -800)]
    assert price_bps(moves, WHERE.reserves) == {WETH: 9200, CBETH: 9900}
    assert price_bps(moves[::-1], WHERE.reserves) == {WETH: 9200, CBETH: 9900}


@pytest.mark.parametrize(
    ("moves", "words"),
    [
        ([], "at least one"),
        ([PriceMove("ETH", -10_000)], "above -100%"),
        ([PriceMove("ETH", 100_001)], "at most"),
        ([PriceMove("WETH", -1), PriceMove("weth", -2)], "each asset once"),
        ([PriceMove("DOGE", -1)], "DOGE: allowed: ETH"),
    ],
)
def test_what_cannot_be_is_refused_in_words(moves: list[PriceMove], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        price_bps(moves, WHERE.reserves)


def test_the_report_adds_up() -> None:
    report = answer(PriceMove("ETH", -800))
    after = WHERE.repriced({WETH: 9200, CBETH: 9200})
    crossing = [user(n) for n in range(1, 14)]  # 15,272 dollars is what ten ether carry then; user 0 is at 1.0
    debts = {who: CROWD[who].debt[0][1] * 100 for who in [user(0), *crossing]}
    offers = [best_quote(after, CROWD[who], NOW) for who in debts]
    assert report.accounts == len(debts) == report.quoted
    assert report.debt_base == sum(debts.values())
    assert all(isinstance(offer, LiquidationQuote) for offer in offers)
    assert report.bonus_base == sum(o.gross_profit_base for o in offers if isinstance(o, LiquidationQuote)) > 0
    assert (report.moved, report.already_below, report.not_valued) == (("WETH", "cbETH"), 0, 0)
    assert len(report.top) == 10
    assert [each.bonus_base for each in report.top] == sorted((each.bonus_base for each in report.top), reverse=True)


def test_the_ladder_agrees_with_what_is_decided_at_each_of_its_steps() -> None:
    ladder = answer(PriceMove("ETH", -800)).ladder
    assert [step.change_bps for step in ladder] == [-100 * n for n in range(1, 31)]
    for step in ladder:
        decided = answer(PriceMove("ETH", step.change_bps))
        assert (step.accounts, step.debt_base) == (decided.accounts, decided.debt_base)


def test_upwards_the_ladder_goes_up() -> None:
    report = answer(PriceMove("USDC", 500))
    assert report.accounts == 8
    assert (report.ladder[0].change_bps, report.ladder[4].accounts) == (100, 8)


def test_who_is_below_already_does_not_cross() -> None:
    crowd = {user(1): borrower(1, 1000, 1700), user(2): borrower(2, 1000, 1600)}
    asked = what_if(PriceMove("ETH", -800), crowd=crowd)
    for _ in asked.walk():
        pass
    report = asked.report(10)
    assert (report.accounts, report.already_below) == (1, 1)
    assert [each.user for each in report.top] == [user(2)]
    assert report.ladder[7].accounts == 1


def test_small_debts_are_not_counted() -> None:
    assert answer(PriceMove("ETH", -800), min_debt=BaseUsd(16_000 * 10**8)).accounts == 7


def test_whoever_stops_quoting_is_told_how_many_were_quoted() -> None:
    asked = what_if(PriceMove("ETH", -800))
    for stage, done, _ in asked.walk():
        if stage == QUOTING and done == 3:
            break
    report = asked.report(0)
    whole = answer(PriceMove("ETH", -800))
    assert (report.quoted, report.accounts, report.top) == (3, 14, ())
    assert 0 < report.bonus_base < whole.bonus_base
    assert report.debt_base == whole.debt_base


def test_what_happens_during_the_walk_does_not_count() -> None:
    where = replace(WHERE)
    grid = grid_of(where, *CROWD.values())
    positions = dict(CROWD)
    asked = WhatIf(where, positions, grid, [PriceMove("ETH", -800)], min_debt=SCOPE, now=NOW)
    steps = asked.walk()
    next(steps)
    where.set_price(WETH, BaseUsd(1))
    grid.reprice(where, NOW)
    for each in CROWD.values():
        grid.put(replace(each, debt=()), where)
    positions.clear()
    for _ in steps:
        pass
    assert asked.report(10) == answer(PriceMove("ETH", -800))


def test_without_a_price_nobody_is_valued() -> None:
    where = replace(WHERE)
    grid = grid_of(where, *CROWD.values())
    where.prices = {USDC: where.prices[USDC]}
    grid.reprice(where, NOW)
    asked = WhatIf(where, CROWD, grid, [PriceMove("USDC", 100)], min_debt=SCOPE, now=NOW)
    for _ in asked.walk():
        pass
    assert (asked.report(10).accounts, asked.report(10).not_valued) == (0, len(CROWD))

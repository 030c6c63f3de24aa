"""A rehearsal says what would be done, in exact amounts, and why nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain.health_factor import HFCalculator
from core.domain.liquidation import CloseFactorMode
from core.domain.market import Market
from core.domain.opportunity import Opportunity, SkipReason, State
from core.domain.position import Position
from tests.unit.bot.kit import opportunity
from tests.unit.domain.builders import NOW, USDC, WETH, market, position
from worker.execution.rehearsal import LIQUIDATION_GAS, WRAPPED_ETHER, decide, rehearse

GWEI = 10**9


def ether_market() -> Market:
    made = market()
    made.set_reserve(replace(made.reserves[WETH], asset=WRAPPED_ETHER))
    return made


def confirmed(at: Market, of: Position) -> Opportunity:
    figures = HFCalculator().calculate(at, of, NOW)
    return replace(opportunity(1, State.CONFIRMED), quote=None, account=figures, user=of.user)


def test_a_fallen_account_is_quoted_to_the_wei() -> None:
    at, of = ether_market(), position({WETH: 10**18}, {USDC: 1_700 * 10**6})
    quoted = rehearse(confirmed(at, of), at, of, CloseFactorMode.AUTO, GWEI)
    assert quoted.state is State.QUOTED
    quote = quoted.quote
    assert quote is not None
    assert (quote.debt.symbol, quote.debt.decimals, quote.collateral.symbol) == ("T1", 6, "T0")
    assert quote.debt.amount == 1_700 * 10**6
    assert quote.debt.base == 1_700 * 10**8
    assert quote.collateral.amount + quote.protocol_fee == 1_700 * 105 * 10**18 // (2_000 * 100)
    assert quote.gas_base == LIQUIDATION_GAS * GWEI * 2_000 * 10**8 // 10**18
    assert quote.profit_base == quote.collateral.base - quote.debt.base - quote.gas_base
    half = rehearse(confirmed(at, of), at, of, CloseFactorMode.FIXED50, GWEI).quote
    assert half is None or half.debt.amount <= 850 * 10**6


def test_gas_rounds_up_and_is_nothing_without_an_ether_price() -> None:
    at, of = ether_market(), position({WETH: 10**18}, {USDC: 1_700 * 10**6})
    quote = rehearse(confirmed(at, of), at, of, CloseFactorMode.AUTO, 1).quote
    assert quote is not None
    assert quote.gas_base == 1
    plain = market()
    quote = rehearse(confirmed(plain, of), plain, of, CloseFactorMode.AUTO, GWEI).quote
    assert quote is not None
    assert quote.gas_base == 0


def test_what_the_pool_would_refuse_is_skipped_with_its_reason() -> None:
    at, of = market(), position({WETH: 10**18}, {USDC: 1_700 * 10**6})
    at.set_reserve(replace(at.reserves[WETH], paused=True))
    skipped = rehearse(confirmed(at, of), at, of, CloseFactorMode.AUTO, GWEI)
    assert (skipped.state, skipped.reason, skipped.note) == (
        State.SKIPPED,
        SkipReason.NO_LIQUIDATION,
        "reserve_paused",
    )
    del (prices := dict(at.prices))[USDC]
    at.prices = prices
    unpriced = rehearse(confirmed(market(), of), at, of, CloseFactorMode.AUTO, GWEI)
    assert (unpriced.state, unpriced.note) == (State.SKIPPED, "price_missing")
    gone = rehearse(confirmed(market(), of), at, Position(of.user), CloseFactorMode.AUTO, GWEI)
    assert (gone.state, gone.reason) == (State.SKIPPED, SkipReason.DEBT_ZERO)


@pytest.mark.parametrize(
    ("dry_run", "refusal", "state", "reason"),
    [
        (True, None, State.REHEARSED, None),
        (False, None, State.SKIPPED, SkipReason.NO_EXECUTOR),
        (True, SkipReason.STALE_HEAD, State.SKIPPED, SkipReason.STALE_HEAD),
        (False, SkipReason.DIVERGED, State.SKIPPED, SkipReason.DIVERGED),
    ],
)
def test_a_quote_ends_in_a_decision(
    dry_run: bool, refusal: SkipReason | None, state: State, reason: SkipReason | None
) -> None:
    decided = decide(opportunity(1, State.QUOTED), dry_run, refusal)
    assert (decided.state, decided.reason) == (state, reason)
    assert decided.quote is not None


def test_what_was_skipped_before_stays_so() -> None:
    skipped = opportunity(1, State.CONFIRMED).to(State.SKIPPED, reason=SkipReason.DEBT_ZERO)
    assert decide(skipped, dry_run=True, refusal=SkipReason.STALE_HEAD) is skipped

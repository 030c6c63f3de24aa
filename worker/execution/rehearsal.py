"""Rehearsal: quote what would be done, and end there. Nothing in this version can sign or send."""

from __future__ import annotations

from dataclasses import replace

from core.domain.liquidation import CloseFactorMode, LiquidationQuote, QuoteRefusal, best_quote
from core.domain.market import Market, Reserve
from core.domain.opportunity import Leg, Opportunity, QuotedLiquidation, SkipReason, State
from core.domain.position import Position
from core.domain.units import Address, BaseUsd, TokenAmount

LIQUIDATION_GAS = 416_000
"""The most that a liquidationCall without bad debt was measured to use on the v3.6 contracts; swap not included."""

PRICE_MISSING = "price_missing"

WRAPPED_ETHER = Address("0x4200000000000000000000000000000000000006")
"""The predeploy that every OP-stack chain has; its price turns gas into USD."""


def rehearse(
    opportunity: Opportunity, market: Market, position: Position, mode: CloseFactorMode, gas_price: int
) -> Opportunity:
    """Return a confirmed opportunity with its best quote (QUOTED), or SKIPPED with the reason.

    `gas_price` is in wei a unit of gas. The quote holds for a block with the market's timestamp.
    """
    if not position.has_debt:
        return opportunity.to(State.SKIPPED, reason=SkipReason.DEBT_ZERO)
    try:
        quote = best_quote(market, position, market.timestamp, mode)
    except LookupError:
        return opportunity.to(State.SKIPPED, reason=SkipReason.NO_LIQUIDATION, note=PRICE_MISSING)
    if isinstance(quote, QuoteRefusal):
        return opportunity.to(State.SKIPPED, reason=SkipReason.NO_LIQUIDATION, note=quote.value)
    return replace(opportunity.to(State.QUOTED), quote=_told(quote, market, gas_price))


def decide(opportunity: Opportunity, dry_run: bool, refusal: SkipReason | None) -> Opportunity:
    """Return a quoted opportunity as REHEARSED in dry run, else SKIPPED; `refusal` is a failed pre-flight check."""
    if opportunity.state is not State.QUOTED:
        return opportunity
    if refusal is not None:
        return opportunity.to(State.SKIPPED, reason=refusal)
    if dry_run:
        return opportunity.to(State.REHEARSED)
    return opportunity.to(State.SKIPPED, reason=SkipReason.NO_EXECUTOR)


def _told(quote: LiquidationQuote, market: Market, gas_price: int) -> QuotedLiquidation:
    gas_base = BaseUsd(_gas_base(market, gas_price))
    return QuotedLiquidation(
        debt=_leg(market.reserves[quote.debt], quote.debt_to_cover, quote.debt_base),
        collateral=_leg(market.reserves[quote.collateral], quote.collateral_seized, quote.collateral_base),
        protocol_fee=quote.protocol_fee,
        liquidation_bonus=quote.liquidation_bonus,
        close_factor=quote.close_factor,
        gas_base=gas_base,
        profit_base=BaseUsd(quote.gross_profit_base - gas_base),
        creates_deficit=quote.creates_deficit,
    )


def _gas_base(market: Market, gas_price: int) -> int:
    """Return the price of one liquidation's L2 gas in base USD, rounded up; 0 where the market has no ether price."""
    ether = market.reserve_of(WRAPPED_ETHER)
    price = market.prices.get(ether.id, 0) if ether else 0
    return -(-LIQUIDATION_GAS * gas_price * price // 10**18)


def _leg(reserve: Reserve, amount: TokenAmount, base: BaseUsd) -> Leg:
    return Leg(reserve.symbol, reserve.asset, reserve.decimals, amount, base)

"""Makes real liquidations, compares what they move with our quotes, and takes them back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from core.domain.health_factor import HFCalculator
from core.domain.liquidation import LiquidationQuote, QuoteRefusal, quote
from core.domain.position import Position, collateral_flags
from core.domain.units import WAD, Address, ray_div_ceil
from devnet import addresses as at
from devnet.chain import Chain
from devnet.rpc import TransactionReverted
from tests.golden.second_opinion import SecondOpinion

REASONS = {
    QuoteRefusal.RESERVE_PAUSED: "ReservePaused",
    QuoteRefusal.GRACE_PERIOD: "LiquidationGraceSentinelCheckFailed",
    QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD: "HealthFactorNotBelowThreshold",
    QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED: "CollateralCannotBeLiquidated",
    QuoteRefusal.NOT_BORROWED: "SpecifiedCurrencyNotBorrowedByUser",
    QuoteRefusal.AMOUNT_TOO_SMALL: "InvalidBurnAmount",
    QuoteRefusal.MUST_NOT_LEAVE_DUST: "MustNotLeaveDust",
}


@dataclass(frozen=True)
class Order:
    """Say what to liquidate: reserve ids, and the amount to pass."""

    position: Position
    collateral: int
    debt: int
    amount: int


class Bench:
    """Make liquidations on the chain and compare what they move with our quotes."""

    def __init__(self, chain: Chain, positions: list[Position]) -> None:
        self.chain = chain
        self.positions = positions
        self.opinion = SecondOpinion(chain)
        self.market = self.opinion.market()
        self.seen: Counter[str] = Counter()
        self.users: set[Address] = set()

    def look_again(self) -> None:
        """Read the market anew; the accounts have not moved."""
        self.market = self.opinion.market()

    async def move_prices(self, factors: dict[str, str]) -> None:
        """Move feeds by factors."""
        for symbol, factor in factors.items():
            await self.chain.set_price(symbol, factor=factor)
        self.look_again()

    @property
    def now(self) -> int:
        return self.market.timestamp

    def under_water(self) -> list[Position]:
        figures = HFCalculator().batch(self.market, self.positions, self.now)
        return [p for p, account in zip(self.positions, figures, strict=True) if account.health_factor < WAD]

    async def try_order(self, order: Order) -> None:
        """Liquidate on the chain, compare with the quote for the very second of its block, and take it back."""
        snapshot = await self.chain.snapshot()
        before = self._state(order)
        try:
            receipt = await self.send(order)
        except TransactionReverted as refused:
            ours = self._quote(order, refused.receipt)
            assert isinstance(ours, QuoteRefusal), (order, ours, refused.reason)
            assert refused.reason == REASONS[ours], order
            self.seen[ours] += 1
        else:
            ours = self._quote(order, receipt)
            assert isinstance(ours, LiquidationQuote), (order, ours)
            self._compare(order, ours, before, receipt)
            self._count(order, ours)
        await self.chain.revert(snapshot)

    async def send(self, order: Order) -> dict[str, Any]:
        """Liquidate as the rival, for the underlying token; return the receipt."""
        assets = [self.market.reserves[reserve_id].asset for reserve_id in (order.collateral, order.debt)]
        text = "liquidationCall(address,address,address,uint256,bool)"
        return await self.chain.rpc.send(at.RIVAL, at.POOL, text, *assets, order.position.user, order.amount, False)

    def _quote(self, order: Order, receipt: dict[str, Any]) -> LiquidationQuote | QuoteRefusal:
        now = self.opinion.timestamp(int(receipt["blockNumber"], 16))
        return quote(self.market, order.position, order.collateral, order.debt, now, order.amount)

    def _state(self, order: Order) -> dict[str, int]:
        opinion, user = self.opinion, order.position.user
        held, owed = self.market.reserves[order.collateral], self.market.reserves[order.debt]
        calls = {
            "received": opinion.call(opinion.token(held.asset), "balanceOf", at.RIVAL),
            "paid": opinion.call(opinion.token(owed.asset), "balanceOf", at.RIVAL),
            "fee": opinion.call(opinion.token(held.a_token), "scaledBalanceOf", at.COLLECTOR),
            "collateral": opinion.call(opinion.token(held.a_token), "scaledBalanceOf", user),
            "debt": opinion.call(opinion.token(owed.variable_debt_token), "scaledBalanceOf", user),
            "flags": opinion.call(opinion.pool, "getUserConfiguration", user),
        }
        return dict(zip(calls, (words[0] for words in opinion.words(list(calls.values()))), strict=True))

    def _compare(self, order: Order, ours: LiquidationQuote, before: dict[str, int], receipt: dict[str, Any]) -> None:
        after = self._state(order)
        now = self.opinion.timestamp(int(receipt["blockNumber"], 16))
        index = self.market.reserves[order.collateral].normalized_income(now)
        (event,) = self.opinion.events("LiquidationCall", receipt)
        assert (event["debtToCover"], event["liquidatedCollateralAmount"]) == (
            ours.debt_to_cover,
            ours.collateral_seized,
        )
        assert after["received"] - before["received"] == ours.collateral_seized
        assert before["paid"] - after["paid"] == ours.debt_to_cover
        fee = ray_div_ceil(ours.protocol_fee, index)
        assert after["fee"] - before["fee"] == fee
        assert before["collateral"] - after["collateral"] == ray_div_ceil(ours.collateral_seized, index) + fee
        assert bool(collateral_flags(after["flags"]) >> order.collateral & 1) != ours.collateral_disabled
        deficits = [
            (self.market.reserve_of(Address(one["debtAsset"].lower())).id, one["amountCreated"])  # type: ignore[union-attr]
            for one in self.opinion.events("DeficitCreated", receipt)
        ]
        assert deficits == sorted(ours.deficits, key=lambda one: (one[0] != order.debt, one[0]))
        if ours.creates_deficit:
            assert after["debt"] == 0

    def _count(self, order: Order, ours: LiquidationQuote) -> None:
        self.users.add(order.position.user)
        self.seen["liquidated"] += 1
        self.seen[f"close factor {ours.close_factor}"] += 1
        self.seen["e-mode"] += order.position.e_mode > 0
        self.seen["several debts"] += len(order.position.debt) > 1
        self.seen["several collaterals"] += len(order.position.collateral) > 1
        self.seen["deficit"] += ours.creates_deficit
        self.seen["deficit in several reserves"] += len(ours.deficits) > 1
        self.seen["protocol fee"] += ours.protocol_fee > 0
        self.seen["all of a collateral"] += ours.collateral_disabled

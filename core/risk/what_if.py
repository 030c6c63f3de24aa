"""Who would cross if prices moved: screened in floats, decided and quoted in integers, a slice at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from core.domain.health_factor import HEALTH_FACTOR_LIQUIDATION_THRESHOLD, HFCalculator, UserAccountData
from core.domain.liquidation import LiquidationQuote, best_quote
from core.domain.market import Market, Reserve
from core.domain.messages import PriceMove, WhatIfAccount, WhatIfReport, WhatIfStep
from core.domain.position import Position
from core.domain.units import PERCENTAGE_FACTOR, Address, BaseUsd
from core.risk.crossings import crossing_prices
from core.risk.hf_grid import HFGrid

FAMILIES = ("ETH", "BTC")
"""Names that move every reserve whose symbol has them in it: wrapped, bridged and staked forms."""
LADDER_PERCENT = range(1, 31)
HIGHEST_CHANGE = 10 * PERCENTAGE_FACTOR
CLIMBING, DECIDING, QUOTING = "counting by price", "deciding in integers", "quoting liquidations"


class Crosser(NamedTuple):
    """Hold an account that crosses: its figures before and after the move, and what its best liquidation would pay."""

    position: Position
    before: UserAccountData
    after: UserAccountData
    bonus: BaseUsd


def reserves_of(name: str, reserves: Mapping[int, Reserve]) -> frozenset[int]:
    """Return the reserves that a name moves: the one with that symbol, else the family; case does not count.

    Raise ValueError, in words for people, for a name that moves nothing.
    """
    wanted = name.upper()
    own = [id_ for id_, reserve in reserves.items() if reserve.symbol.upper() == wanted]
    family = [id_ for id_, reserve in reserves.items() if wanted in FAMILIES and wanted in reserve.symbol.upper()]
    if not own and not family:
        names = ", ".join([*FAMILIES, *sorted(reserve.symbol for reserve in reserves.values())])
        raise ValueError(f"{name}: allowed: {names}")
    return frozenset(own or family)


def price_bps(moves: Sequence[PriceMove], reserves: Mapping[int, Reserve]) -> dict[int, int]:
    """Return the bps of today's price by reserve id: 9200 is -8 %; a reserve's own name goes before its family's.

    Raise ValueError, in words for people, for no moves, an unknown name, a name given twice, or a change that is not
    above -100 % and at most +1000 %.
    """
    if not moves:
        raise ValueError("no move: give at least one, such as ETH=-8%")
    found: dict[int, int] = {}
    named: set[frozenset[int]] = set()
    for move in sorted(moves, key=lambda each: -len(reserves_of(each.asset, reserves))):
        if not -PERCENTAGE_FACTOR < move.change_bps <= HIGHEST_CHANGE:
            raise ValueError(f"{move.asset}={move.change_bps / 100:+g}%: allowed: above -100%, at most +1000%")
        moved = reserves_of(move.asset, reserves)
        if moved in named:
            raise ValueError(f"{move.asset}: allowed: each asset once")
        named.add(moved)
        found |= dict.fromkeys(moved, PERCENTAGE_FACTOR + move.change_bps)
    return found


class WhatIf:
    """Answer one what-if on a market, its positions and its grid, re-priced to `now` (unix seconds).

    `walk` does the work. Positions, prices and sums that change meanwhile do not count: what is judged was taken at the
    start. In scope is who would owe at least `min_debt`.
    """

    def __init__(
        self,
        market: Market,
        positions: Mapping[Address, Position],
        grid: HFGrid,
        moves: Sequence[PriceMove],
        *,
        min_debt: BaseUsd,
        now: int,
    ) -> None:
        self._bps = price_bps(moves, market.reserves)
        self._moves = tuple(moves)
        self._now = now
        self._min_debt = min_debt
        self._before = replace(market)
        moved = market.repriced(self._bps).prices
        self._after = replace(market, prices={id_: BaseUsd(max(1, price)) for id_, price in moved.items()})
        screened = grid.below_if(self._after, now, 1.0, min_debt)
        self._screened = [positions[user] for user in screened]
        self._prices = crossing_prices(grid, self._bps.keys())
        self._ladder: list[WhatIfStep] = []
        self._already = self._not_valued = self._quoted = 0
        self.crossers: list[Crosser] = []

    def walk(self) -> Iterator[tuple[str, int, int]]:
        """Do the work in small steps; yield what is being done, how much of it is done and how much there is.

        Whoever walks can show it and let others work in between, and may stop once `QUOTING`: the report then says how
        many were quoted.
        """
        yield from self._climb()
        for done, position in enumerate(self._screened, 1):
            self._decide(position)
            yield DECIDING, done, len(self._screened)
        self.crossers.sort(key=lambda each: -each.after.total_debt_base)
        for index, crosser in enumerate(self.crossers):
            offer = best_quote(self._after, crosser.position, self._now)
            if isinstance(offer, LiquidationQuote):
                self.crossers[index] = crosser._replace(bonus=BaseUsd(max(0, offer.gross_profit_base)))
            self._quoted += 1
            yield QUOTING, self._quoted, len(self.crossers)

    def report(self, top: int) -> WhatIfReport:
        """Return the answer, with the `top` accounts that would pay most."""
        best = sorted(self.crossers, key=lambda each: (-each.bonus, -each.after.total_debt_base))[:top]
        return WhatIfReport(
            block=self._before.block,
            moves=self._moves,
            moved=tuple(self._before.reserves[id_].symbol for id_ in sorted(self._bps)),
            min_debt_base=self._min_debt,
            accounts=len(self.crossers),
            debt_base=BaseUsd(sum(each.after.total_debt_base for each in self.crossers)),
            bonus_base=BaseUsd(sum(each.bonus for each in self.crossers)),
            quoted=self._quoted,
            already_below=self._already,
            not_valued=self._not_valued,
            top=tuple(_row(each) for each in best),
            ladder=tuple(self._ladder),
        )

    def _decide(self, position: Position) -> None:
        """Decide in integers whether an account crosses; without one of its prices nobody, the pool included, can."""
        calculator = HFCalculator()
        try:
            after = calculator.calculate(self._after, position, self._now)
            before = calculator.calculate(self._before, position, self._now)
        except LookupError:
            self._not_valued += 1
            return
        if after.health_factor >= HEALTH_FACTOR_LIQUIDATION_THRESHOLD or after.total_debt_base < self._min_debt:
            return
        if before.health_factor < HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
            self._already += 1
        else:
            self.crossers.append(Crosser(position, before, after, BaseUsd(0)))

    def _climb(self) -> Iterator[tuple[str, int, int]]:
        """Count who crosses when all that is named moves together, 1 to 30 % the way of the first move; in floats."""
        sign = 1 if self._moves[0].change_bps > 0 else -1
        already = self._prices.below_at(1.0)
        for percent in LADDER_PERCENT:
            owed = self._prices.debt_at(1 + sign * percent / 100)
            crossing = self._prices.below_at(1 + sign * percent / 100) & ~already & (owed >= self._min_debt)
            debt = BaseUsd(int(np.sum(owed[crossing])))
            self._ladder.append(WhatIfStep(sign * percent * 100, int(crossing.sum()), debt))
            yield CLIMBING, len(self._ladder), len(LADDER_PERCENT)


def _row(crosser: Crosser) -> WhatIfAccount:
    return WhatIfAccount(
        crosser.position.user,
        crosser.before.health_factor,
        crosser.after.health_factor,
        crosser.after.total_debt_base,
        crosser.bonus,
    )

"""The local mirror: the market and every borrower's position, exact at the block of the last refresh."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from core.domain.health_factor import HFCalculator, UserAccountData
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import WAD, Address, BaseUsd, Wad
from core.risk.hf_grid import HFGrid
from worker.chain.aave import AaveReader, Refreshed
from worker.detection.looking import Work

LOAD_BATCH = 500

Progress = Callable[[str, int, int], None]


class Mirror:
    """Hold market, positions and grid, and keep them true by re-reading what a block touched, pinned to that block.

    One multicall a block reads everything the block's logs name, so that nothing is derived from events and nothing
    can drift by their rounding.
    """

    def __init__(self, reader: AaveReader, market: Market) -> None:
        self._reader = reader
        self.market = market
        self.positions: dict[Address, Position] = {}
        self._grid = HFGrid()
        self._calculator = HFCalculator()

    @property
    def block(self) -> int:
        """Return the block that the mirror is exact at."""
        return self.market.block

    def __len__(self) -> int:
        return len(self.positions)

    async def load(self, borrowers: Sequence[Address], progress: Progress) -> None:
        """Read the position of every borrower at the market's block; those without debt are left out."""
        for start in range(0, len(borrowers), LOAD_BATCH):
            batch = borrowers[start : start + LOAD_BATCH]
            self._keep(await self._reader.positions(batch, self.market.block))
            progress("reading positions", start + len(batch), len(borrowers))
        self._rebuild()

    async def refresh(self, work: Work) -> None:
        """Move the mirror to the work's block, re-reading what was touched and the prices of that block."""
        if work.configuration:
            await self._reload(work)
            return
        prices = self.market.prices
        fresh = await self._reader.refresh(
            self.market,
            work.block,
            reserves=work.reserves,
            prices=True,
            positions=work.users.keys(),
        )
        self._take(fresh)
        work.moved = self._moves(prices) or work.moved

    async def reread(self, users: Collection[Address]) -> None:
        """Read these accounts and all that they stand on again, at the mirror's own block."""
        market = self.market
        self._take(
            await self._reader.refresh(
                market, market.block, reserves=market.reserves, e_modes=market.e_modes, prices=True, positions=users
            )
        )

    def _take(self, fresh: Refreshed) -> None:
        listed = fresh.reserves.keys() - self.market.reserves.keys()
        fresh.apply_to(self.market)
        self._keep(fresh.positions.values())
        if listed or fresh.e_modes:  # a new reserve's own log may come a moment later
            self._rebuild()
            return
        for position in fresh.positions.values():
            self._grid.put(position, self.market)
        self._grid.reprice(self.market, self.market.timestamp)

    async def _reload(self, work: Work) -> None:
        """Read the whole market anew: parameters, e-modes or the list of reserves changed."""
        self.market = await self._reader.load_market(work.block)
        self._keep(await self._reader.positions(list(work.users), work.block))
        self._rebuild()

    def figures(self, user: Address) -> UserAccountData | None:
        """Return an account's six figures at the mirror's block.

        None without debt (its position is not kept), and when a price that it needs is missing.
        """
        position = self.positions.get(user)
        if position is None:
            return None
        try:
            return self._calculator.calculate(self.market, position, self.market.timestamp)
        except LookupError:
            return None

    def agrees(self, user: Address, chain: UserAccountData) -> bool:
        """Tell whether the chain's figures are ours; where none can be computed here, there is nothing to compare."""
        if user not in self.positions:
            return not chain.total_debt_base
        mine = self.figures(user)
        return mine is None or mine == chain

    def below(self, health_factor: Wad, min_debt: BaseUsd) -> dict[Address, UserAccountData | None]:
        """Return the accounts below a health factor that owe at least `min_debt`, lowest first, decided in integers.

        An account whose figures cannot be computed is among them with None: the chain has to be asked.
        """
        found: dict[Address, UserAccountData | None] = {}
        for user in self._grid.below(health_factor / WAD, min_debt):
            mine = self.figures(user)
            if mine is None or (mine.health_factor < health_factor and mine.total_debt_base >= min_debt):
                found[user] = mine
        return found

    def _moves(self, before: Mapping[int, BaseUsd]) -> str:
        """Say which price moved most since `before`, and how many others did: for people, so floats will do."""
        moves = {
            reserve_id: price / before[reserve_id] - 1
            for reserve_id, price in self.market.prices.items()
            if before.get(reserve_id) and price != before[reserve_id]
        }
        if not moves:
            return ""
        most = max(moves, key=lambda reserve_id: abs(moves[reserve_id]))
        others = f" and {len(moves) - 1} more" if len(moves) > 1 else ""
        return f"{self.market.reserves[most].symbol} {moves[most]:+.2%}{others}"

    def _keep(self, positions: Iterable[Position]) -> None:
        for position in positions:
            if position.has_debt:
                self.positions[position.user] = position
            else:
                self.positions.pop(position.user, None)

    def _rebuild(self) -> None:
        self._grid.rebuild(self.positions.values(), self.market)
        self._grid.reprice(self.market, self.market.timestamp)

"""The local mirror: the market, its prices and every borrower's position, folded from logs as they arrive.

What cannot be folded (an account never seen, a reorganisation, a log without its time) is *stale* and is read again,
pinned to a block, before anything is judged. A read holds all logs of its block, so a log of that block which arrives
later is not folded into what was read: `ReadMarks` knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import get_args

from core.domain.events import CollateralConfigured, DebtMinted, Event, PositionEvent, PriceEvent, UnknownSubject
from core.domain.fold import Subjects, fold_market, fold_position, subjects
from core.domain.health_factor import HFCalculator, UserAccountData
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import WAD, Address, BaseUsd, Wad
from core.risk.hf_grid import HFGrid
from core.state.snapshot import Snapshot
from worker.chain.aave import AaveReader
from worker.chain.decode import Decoder
from worker.chain.logs import Log
from worker.chain.oracles import PriceSources, ask_polled, walk
from worker.chain.reading import Reading
from worker.detection.stale import ReadMarks, Stale

logger = logging.getLogger(__name__)

LOAD_BATCH = 500
UNSETTLED_BLOCKS = 64
"""Logs of a block may come late, and a reorganisation may take some back: so far back an account is read again."""
TOUCHED_KEPT = 10_000
POSITION_EVENTS = get_args(PositionEvent)
PRICE_EVENTS = get_args(PriceEvent)

Progress = Callable[[str, int, int], None]


class Mirror:
    """Hold market, price book, positions and grid."""

    def __init__(
        self, reader: AaveReader, market: Market, sources: PriceSources, feeds: Sequence[tuple[str, Address]] = ()
    ) -> None:
        self._reader = reader
        self._feeds = feeds
        self.market = market
        self.sources = sources
        self.on_sources: Callable[[], None] = lambda: None
        self.positions: dict[Address, Position] = {}
        self.newcomers: set[Address] = set()
        self.listeners: list[Callable[[Event, Log], None]] = []
        self._accounts_at = market.block
        self._marks = ReadMarks(market.block)
        self._touched: dict[Address, int] = {}
        self._stale = Stale()
        self._decoder = Decoder(market.reserves)
        self._waiting: list[Log] | None = None
        self._unknown: list[Log] = []
        self._moved: set[int] = set()
        self._changed: set[Address] = set()
        self._recompute = True
        self.grid = HFGrid()
        self._calculator = HFCalculator()
        self.last_log_block = market.block

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def block(self) -> int:
        """Return the block that the mirror was settled at."""
        return self.market.block

    async def load(self, borrowers: Sequence[Address], progress: Progress) -> None:
        """Read the position of every borrower at the market's block; those without debt are left out."""
        for start in range(0, len(borrowers), LOAD_BATCH):
            batch = borrowers[start : start + LOAD_BATCH]
            self.take(await self._reader.positions(batch, self.market.block))
            progress("reading positions", start + len(batch), len(borrowers))

    def take(self, positions: Iterable[Position]) -> None:
        """Put positions in as they are at the mirror's block."""
        for position in positions:
            self._set(position)

    def restore(self, snapshot: Snapshot) -> None:
        """Take positions of an earlier block; logs after it are to be heard next, and what is unsettled is read."""
        self._accounts_at = snapshot.block
        self.take(snapshot.positions)
        self._stale.users.update(snapshot.unsettled)

    @property
    def misses_a_reserve(self) -> bool:
        """Tell whether the list of reserves changed and was not read again yet."""
        return self._stale.market

    def forget_accounts(self) -> None:
        """Drop every position, and whatever was to be read again."""
        self._changed.update(self.positions)
        self.positions.clear()
        self._stale = Stale()
        self._accounts_at = self.market.block

    def snapshot(self, block: int, block_hash: str) -> Snapshot:
        """Return all positions as of a block that was heard just now."""
        unsettled = [user for user, at in self._touched.items() if at > block - UNSETTLED_BLOCKS]
        revision = int(self.market.revision or 0)
        return Snapshot(block, block_hash, revision, (*unsettled, *self._stale.users), list(self.positions.values()))

    # Hearing

    def hear(self, log: Log) -> None:
        """Fold one log, or note what has to be read again instead; raise ValueError when it cannot be decoded."""
        if self._waiting is not None:  # what is being read now may hold this log already: the marks will tell
            self._waiting.append(log)
            return
        at = log.timestamp
        event = self._decoder.decode(log, at or 0)
        if event is None:
            return
        self.last_log_block = max(self.last_log_block, log.block_number)
        who = subjects(event)
        if log.removed:
            self.take_back(log.block_number - 1)
        if log.removed or at is None:
            self._touched.update(dict.fromkeys(who.users, log.block_number))
            self._stale.add(who)
            self._stale.sources |= isinstance(event, PRICE_EVENTS)
            return
        if isinstance(event, UnknownSubject):
            self._unknown.append(log)
        self._fold_market(event, who, log.block_number)
        if isinstance(event, POSITION_EVENTS):
            for user in who.users:
                self._touched[user] = log.block_number
                self._fold_user(user, event, log.block_number)
        for listener in self.listeners:
            listener(event, log)

    def take_back(self, floor: int) -> None:
        """Distrust what was read above a block: logs of the blocks that replace those would be taken for read."""
        self._stale.absorb(self._marks.take_back(floor))
        if self._accounts_at > floor:
            self._accounts_at = floor
            self._stale.users.update(self.positions)

    def _fold_market(self, event: Event, who: Subjects, block: int) -> None:
        if isinstance(event, PRICE_EVENTS):
            if not self._marks.sources_read(block):
                self.sources.book.apply(event)
            return
        if isinstance(event, POSITION_EVENTS) or self._stale.holds_market_part(who):
            return
        read = self._marks.market_read(who, block)
        if read is True:
            return
        if read is None or not fold_market(self.market, event):
            self._stale.absorb_market(who)
        elif who.e_modes or isinstance(event, CollateralConfigured):
            self._recompute = True  # thresholds are in the grid's rows

    def _fold_user(self, user: Address, event: PositionEvent, block: int) -> None:
        if user in self._stale.users or self._marks.user_read(user, block, self._accounts_at):
            return
        position = self.positions.get(user)
        if position is None:
            if isinstance(event, DebtMinted):
                self.newcomers.add(user)
                self._stale.users.add(user)
            return
        try:
            after = fold_position(position, event)
        except ValueError as error:
            logger.error("[realtime-hf] a log is missing for user=%s, reading it again: %s", user, error)  # noqa: TRY400
            after = None
        if after is None:
            self._stale.users.add(user)
        else:
            self._set(after)

    # Settling

    async def settle(self, block: int, timestamp: int) -> str:
        """Be exact at `block`: read what is stale, take the prices of its second, bring the grid up to date.

        Return the words for the price that moved most, or "". Raise ChainError when the node does not answer; then
        nothing is forgotten, and the next call does it.
        """
        prices = self.market.prices
        before = self.market.timestamp
        while self._stale:  # what is read may name more: logs of a reserve that was not known
            stale, self._stale = self._stale, Stale()
            await self._read(stale, block)
        if timestamp != before and self.sources.book.polled:
            await self._poll(block)
        self.market.set_head(block, timestamp)
        self._price()
        self._moved.update(i for i, price in self.market.prices.items() if price != prices.get(i))
        self._bring_grid_up()
        return _words(self.market, prices)

    def take_moved(self) -> set[int]:
        """Return the reserves whose price moved since this was asked last."""
        moved, self._moved = self._moved, set()
        return moved

    def settled_at(self, block: int) -> bool:
        """Tell whether the mirror holds exactly what was heard up to a block, and nothing later."""
        return self.market.block == block >= self.last_log_block and not self._stale and self._waiting is None

    async def reread(self, users: Collection[Address]) -> None:
        """Read these accounts and all that they stand on again, at the mirror's block."""
        self._stale.users.update(users)
        self._stale.reserves.update(self.market.reserves)
        self._stale.sources = True
        await self.settle(self.market.block, self.market.timestamp)

    async def _read(self, stale: Stale, block: int) -> None:
        self._waiting = []
        try:
            if stale.market:
                self._replace_market(await self._reader.load_market(block))
            if stale.sources:
                self.sources = await walk(self._reader.multicall, self.market, block, self._feeds)
            fresh = await self._reader.refresh(
                self.market,
                block,
                reserves=stale.reserves & self.market.reserves.keys(),
                e_modes=stale.e_modes,
                positions=stale.users,
            )
        except BaseException:
            self._stale.absorb(stale)
            raise
        else:
            fresh.apply_to(self.market)
            self.take(fresh.positions.values())
            self._recompute |= bool(stale.market or stale.e_modes or stale.reserves)
            self._marks.note(stale, block)
        finally:
            waiting, self._waiting = self._waiting or [], None
            for log in waiting:
                self.hear(log)
        if stale.sources:
            self.on_sources()

    async def _poll(self, block: int) -> None:
        """Ask what no log tells of: once for each new second, and only where something is not understood."""
        reading = Reading()
        ask_polled(reading, self.sources.book, self._reader.contracts.oracle, self.market)
        await reading.read(self._reader.multicall, block)

    async def check_sources(self) -> bool:
        """Walk the price tree beside ours, since an aggregator can change without a log; tell whether it is another.

        Another tree is taken when the mirror is settled next.
        """
        found = await walk(self._reader.multicall, self.market, feeds=self._feeds)
        other = found.watched != self.sources.watched
        self._stale.sources |= other
        return other

    def _replace_market(self, market: Market) -> None:
        """Take a market that was read as a whole; accounts in logs that nobody understood until now are stale."""
        self.market.reserves, self.market.e_modes = market.reserves, market.e_modes
        self._decoder = Decoder(market.reserves)
        unknown, self._unknown = self._unknown, []
        for log in unknown:
            event = self._decoder.decode(log, log.timestamp or 0)
            if event is not None:
                self._stale.users.update(subjects(event).users)

    def _price(self) -> None:
        prices = self.sources.book.prices(self.market.timestamp)
        if prices != self.market.prices:
            self.market.prices = prices

    def _bring_grid_up(self) -> None:
        if self._recompute:
            self.grid.rebuild(self.positions.values(), self.market)
        else:
            for user in sorted(self._changed):  # rows in the same order in every process: a replay asks the same
                self.grid.put(self.positions.get(user) or Position(user), self.market)
        self._changed, self._recompute = set(), False
        if len(self._touched) > TOUCHED_KEPT:
            floor = self.last_log_block - UNSETTLED_BLOCKS
            self._touched = {user: at for user, at in self._touched.items() if at > floor}
        self.grid.reprice(self.market, self.market.timestamp)

    def _set(self, position: Position) -> None:
        self._changed.add(position.user)
        if position.has_debt:
            self.positions[position.user] = position
        else:
            self.positions.pop(position.user, None)

    # Judging

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
        for user in self.grid.below(health_factor / WAD, min_debt):
            mine = self.figures(user)
            if mine is None or (mine.health_factor < health_factor and mine.total_debt_base >= min_debt):
                found[user] = mine
        return found


def _words(market: Market, before: Mapping[int, BaseUsd]) -> str:
    """Say which price moved most since `before`, and how many others did: for people, so floats will do."""
    moves = {
        reserve_id: price / before[reserve_id] - 1
        for reserve_id, price in market.prices.items()
        if before.get(reserve_id) and price != before[reserve_id]
    }
    if not moves:
        return ""
    most = max(moves, key=lambda reserve_id: abs(moves[reserve_id]))
    others = f" and {len(moves) - 1} more" if len(moves) > 1 else ""
    return f"{market.reserves[most].symbol} {moves[most]:+.2%}{others}"

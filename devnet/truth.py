"""Brute force on the chain: every borrower's health factor at the end of every block, as the pool itself says it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from core.domain.units import WAD, Address
from devnet import addresses as at
from devnet.abi import to_address
from devnet.lens import Lens
from devnet.rpc import Rpc, RpcError
from devnet.users import LIQUIDATION_CALL

PAUSE = 0.02
HEADERS_AT_ONCE = 50


class TruthLost(Exception):
    """A block was forgotten by the node before it was read: nothing can be said about it any more."""


@dataclass(slots=True)
class SubOneRun:
    """Hold an unbroken row of blocks at whose ends one account's health factor was below 1.

    `last_block` is None while it lasts; `max_debt_base` the largest total debt seen (8 decimals); `liquidated` whether
    the account was liquidated in one of these blocks or in the block that ended the row.
    """

    user: Address
    first_block: int
    last_block: int | None
    max_debt_base: int
    liquidated: bool = False


@dataclass(frozen=True, slots=True)
class Liquidation:
    """Hold one LiquidationCall of the chain."""

    user: Address
    block: int
    tx_hash: str


@dataclass(slots=True)
class TruthStats:
    """Count the work: blocks read, blocks whose state equals the one before, worst lag in blocks, seconds reading."""

    sampled: int = 0
    skipped: int = 0
    worst_lag: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Header:
    number: int
    timestamp: int
    transactions: int


@dataclass(slots=True)
class _Ledger:
    """Keep the rows of blocks, open ones by account."""

    open: dict[Address, SubOneRun] = field(default_factory=dict)
    closed: list[SubOneRun] = field(default_factory=list)

    def note(self, block: int, user: Address, debt: int, factor: int) -> None:
        run = self.open.get(user)
        if factor < WAD:
            if run is None:
                self.open[user] = SubOneRun(user, block, None, debt)
            else:
                run.max_debt_base = max(run.max_debt_base, debt)
        elif run is not None:
            # The blocks passed over since the last reading had that reading's state, so the row ends just before.
            run.last_block = block - 1
            self.closed.append(self.open.pop(user))


class Truth:
    """Follow a chain and keep the record; `inside_one_block` holds those who fell and were liquidated in one block.

    It stays one block behind the head: anvil answers a call pinned to the head from the live state, which may be that
    of the next block by then, and only keeps a state apart once a later block stands on it.
    """

    def __init__(self, rpc: Rpc, lens: Lens, users: Sequence[Address], first_block: int) -> None:
        """Begin at `first_block`, which is read whatever it holds."""
        self._rpc = rpc
        self._lens = lens
        self._users = list(users)
        self._first = first_block
        self._next = first_block
        self._time_before: int | None = None
        self._ledger = _Ledger()
        self._busy = asyncio.Lock()
        self.stats = TruthStats()
        self.liquidations: list[Liquidation] = []
        self.inside_one_block: list[Liquidation] = []

    @property
    def next_block(self) -> int:
        """The first block that has not been looked at."""
        return self._next

    async def run(self) -> None:
        """Follow the head until cancelled; raise TruthLost if the node forgets a block first."""
        while True:
            settled = await self._rpc.block_number() - 1
            self.stats.worst_lag = max(self.stats.worst_lag, settled - self._next + 1)
            if settled < self._next:
                await asyncio.sleep(PAUSE)
            else:
                await self._read_to(min(settled, self._next + HEADERS_AT_ONCE - 1))

    async def finish(self, upto_block: int) -> list[SubOneRun]:
        """Read what is left up to a block and return every row of blocks, oldest first.

        A row that had not ended by then has `last_block` None. Liquidations are matched as well. Raises TruthLost.
        """
        if await self._rpc.block_number() <= upto_block:
            await self._rpc.request("evm_mine")
        while self._next <= upto_block:
            await self._read_to(min(upto_block, self._next + HEADERS_AT_ONCE - 1))
        runs = sorted([*self._ledger.closed, *self._ledger.open.values()], key=lambda run: (run.first_block, run.user))
        self.liquidations = await self._liquidations(upto_block)
        self.inside_one_block = [one for one in self.liquidations if not _match(one, runs)]
        return runs

    async def _read_to(self, upto: int) -> None:
        async with self._busy:
            if self._next > upto:
                return
            for header in await self._headers(self._next, upto):
                if header.transactions or header.timestamp != self._time_before:
                    await self._read(header.number)
                else:
                    self.stats.skipped += 1
                self._time_before = header.timestamp
                self._next = header.number + 1

    async def _read(self, block: int) -> None:
        started = monotonic()
        try:
            rows = await self._lens.health(self._users, block)
        except RpcError as error:
            if "BlockOutOfRange" in str(error):
                raise TruthLost(f"block {block} was not read in time: {error}") from error
            raise
        for user, (debt, factor) in zip(self._users, rows, strict=True):
            self._ledger.note(block, user, debt, factor)
        self.stats.sampled += 1
        self.stats.seconds += monotonic() - started

    async def _headers(self, first: int, last: int) -> list[_Header]:
        calls = [("eth_getBlockByNumber", (hex(number), False)) for number in range(first, last + 1)]
        blocks = await self._rpc.batch(calls)
        return [_Header(int(one["number"], 16), int(one["timestamp"], 16), len(one["transactions"])) for one in blocks]

    async def _liquidations(self, upto: int) -> list[Liquidation]:
        wanted = {"address": at.POOL, "topics": [LIQUIDATION_CALL], "fromBlock": hex(self._first), "toBlock": hex(upto)}
        logs = await self._rpc.request("eth_getLogs", wanted)
        return [
            Liquidation(to_address(log["topics"][3]), int(log["blockNumber"], 16), str(log["transactionHash"]))
            for log in logs
        ]


def _match(liquidation: Liquidation, runs: Sequence[SubOneRun]) -> bool:
    """Mark the row a liquidation belongs to; return whether the account was below 1 at the end of a block before it."""
    for run in runs:
        ended = run.last_block is not None and liquidation.block > run.last_block + 1
        if run.user == liquidation.user and run.first_block <= liquidation.block and not ended:
            run.liquidated = True
            return run.first_block < liquidation.block
    return False

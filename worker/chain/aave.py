"""Reading the market, its accounts and its prices, always all of one block."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from core.domain.health_factor import UserAccountData
from core.domain.market import EModeCategory, Market, Reserve, Revision
from core.domain.position import Position
from core.domain.units import Address, BaseUsd
from core.errors import RpcUnavailable
from worker.chain import codec, words
from worker.chain.contracts import Contracts, discover
from worker.chain.multicall import MULTICALL3, Block, Multicall
from worker.chain.positions import AT_ONCE, Flags, PositionReader
from worker.chain.reading import Answers, Reading
from worker.chain.rpc import Rpc

__all__ = ["AaveReader", "Contracts", "Refreshed"]

log = logging.getLogger(__name__)

ACCOUNT_GAS = 140_000
"""What one getUserAccountData may burn; measured at 115,000 to 140,000."""


@dataclass(slots=True)
class Refreshed:
    """Hold what was read of one block; `unpriced` are reserves whose price the oracle would not give."""

    block: int
    timestamp: int = 0
    reserves: dict[int, Reserve] = field(default_factory=dict)
    e_modes: dict[int, EModeCategory] = field(default_factory=dict)
    prices: dict[int, BaseUsd] = field(default_factory=dict)
    unpriced: set[int] = field(default_factory=set)
    positions: dict[Address, Position] = field(default_factory=dict)

    def apply_to(self, market: Market) -> None:
        """Write everything but the positions into the market; a price that is gone is taken out."""
        if self.reserves:
            market.reserves = {**market.reserves, **self.reserves}
        if self.e_modes:
            market.e_modes = {**market.e_modes, **self.e_modes}
        prices = {id_: price for id_, price in {**market.prices, **self.prices}.items() if id_ not in self.unpriced}
        if prices != market.prices:
            market.prices = prices
        market.set_head(self.block, self.timestamp)


class AaveReader:
    """Read one market through Multicall3.

    Every method raises RpcUnavailable, RpcThrottled or RpcRejected when the node does not answer, and WrongChain when
    the contracts answer something else than Aave's would.
    """

    def __init__(self, rpc: Rpc, multicall: Multicall, contracts: Contracts) -> None:
        self.rpc = rpc
        self.multicall = multicall
        self.contracts = contracts
        self._positions = PositionReader(contracts.pool, multicall)
        self._reserves: dict[int, Reserve] = {}

    @classmethod
    async def discover(
        cls,
        rpc: Rpc,
        provider: Address,
        chain_id: int,
        *,
        aave_pool: Address | None = None,
        multicall3: Address = MULTICALL3,
    ) -> AaveReader:
        """Find the contracts from the provider alone and return their reader; see `contracts.discover`."""
        contracts = await discover(rpc, provider, chain_id, aave_pool=aave_pool, multicall3=multicall3)
        return cls(rpc, Multicall(rpc, multicall3), contracts)

    async def block_number(self) -> int:
        """Return the node's latest block."""
        answer = await self.rpc.call("eth_blockNumber", [])
        try:
            return int(answer, 16)
        except (TypeError, ValueError):
            raise RpcUnavailable(f"{self.rpc.name} answered eth_blockNumber with {str(answer)[:40]!r}") from None

    async def load_market(self, block: Block = "latest") -> Market:
        """Return reserves, e-modes and prices of one block.

        A reserve whose price the oracle would not give is in `reserves` but not in `prices`, and a warning is logged.
        """
        number = await self.block_number() if isinstance(block, str) else block
        market = Market(revision=Revision.of(self.contracts.revision))
        read = Refreshed(number)
        assets: list[Address] = []
        reading = Reading()
        self._ask_timestamp(reading, read)
        self._ask_listed(reading, assets)
        for category in words.E_MODE_IDS:  # the pool keeps no list of those it has
            self._ask_e_mode(reading, category, read)
        await reading.read(self.multicall, number)
        await self._add_reserves(assets, read)
        read.apply_to(market)
        self._reserves = dict(market.reserves)
        for id_ in sorted(read.unpriced):
            log.warning("the oracle gives no price for %s: whoever uses it cannot be valued", read.reserves[id_].symbol)
        return market

    async def refresh(
        self,
        market: Market,
        block: int,
        *,
        reserves: Collection[int] = (),
        e_modes: Collection[int] = (),
        prices: bool = False,
        positions: Collection[Address] = (),
    ) -> Refreshed:
        """Read what a block touched, at that block, in one multicall; in two when many positions are in it.

        `market` says which reserves there are and is not changed. When all its reserves are asked for, those that were
        listed since are found, too.
        """
        read = Refreshed(block)
        listed: list[Address] = []
        flags: dict[Address, Flags] = {}
        positions = sorted(positions)  # the same question in the same words, whatever order a set has in this process
        reading = Reading()
        self._ask_timestamp(reading, read)
        for id_ in sorted(reserves):
            self._ask_reserve(reading, market.reserves[id_].asset, market.reserves[id_].symbol, read)
        for category in sorted(e_modes):
            self._ask_e_mode(reading, category, read)
        if market.reserves.keys() <= set(reserves):
            self._ask_listed(reading, listed)
        if prices:
            self._ask_prices(reading, market.reserves.values(), read)
        if len(positions) <= AT_ONCE:
            self._positions.ask_all(reading, positions, market.reserves, read.positions)
        else:
            self._positions.ask_flags(reading, positions, flags)
        await reading.read(self.multicall, block)
        new = [asset for asset in listed if market.reserve_of(asset) is None]
        await self._add_reserves(new, read)
        self._reserves = {**market.reserves, **read.reserves}
        if new:  # balances in them were not asked for
            read.positions = await self._positions.read(positions, self._reserves, block)
        elif flags:
            read.positions = await self._positions.read_flagged(flags, self._reserves, block)
        return read

    async def positions(self, users: Sequence[Address], block: int) -> list[Position]:
        """Return the users' positions at the block, in the order given.

        A position holds the aTokens that are used as collateral, and all debts.
        """
        if not self._reserves:
            await self.load_market(block)
        found = await self._positions.read(users, self._reserves, block)
        return [found[user] for user in users]

    async def account_data(self, users: Sequence[Address], block: Block) -> list[UserAccountData | None]:
        """Return what the chain itself says of each user (Pool.getUserAccountData); None where the call reverts.

        Failures are asked about once more in far smaller requests: running out of gas in a large one looks the same.
        """
        found = await self._account_data(users, block, ACCOUNT_GAS)
        failed = [index for index, figures in enumerate(found) if figures is None]
        if failed and len(users) > 1:
            again = await self._account_data([users[index] for index in failed], block, ACCOUNT_GAS * 10)
            for index, figures in zip(failed, again, strict=True):
                found[index] = figures
        return found

    async def _account_data(self, users: Sequence[Address], block: Block, gas: int) -> list[UserAccountData | None]:
        calls = [(self.contracts.pool, codec.call_with_address(words.GET_USER_ACCOUNT_DATA, user)) for user in users]
        return [words.account_data(each) for each in await self.multicall.read(calls, block, gas_per_call=gas)]

    async def _add_reserves(self, assets: Sequence[Address], into: Refreshed) -> None:
        """Read reserves that are not known yet: symbols and state, then prices, since ids are known only then."""
        symbols: dict[Address, str] = {}
        reading = Reading()
        for asset in assets:
            self._ask_symbol(reading, asset, symbols)
        await reading.read(self.multicall, into.block)
        added = Refreshed(into.block)
        reading = Reading()
        for asset in assets:
            self._ask_reserve(reading, asset, symbols[asset], added)
        await reading.read(self.multicall, into.block)
        reading = Reading()
        self._ask_prices(reading, added.reserves.values(), into)
        await reading.read(self.multicall, into.block)
        into.reserves |= added.reserves

    def _ask_timestamp(self, reading: Reading, into: Refreshed) -> None:
        def take(answers: Answers) -> None:
            into.timestamp = codec.uint_at(words.given(answers[0], "Multicall3.getCurrentBlockTimestamp"))

        reading.ask([(self.multicall.address, words.GET_CURRENT_BLOCK_TIMESTAMP)], take)

    def _ask_listed(self, reading: Reading, found: list[Address]) -> None:
        def take(answers: Answers) -> None:
            found.extend(words.listed(answers))

        reading.ask([(self.contracts.pool, words.GET_RESERVES_LIST)], take)

    def _ask_symbol(self, reading: Reading, asset: Address, found: dict[Address, str]) -> None:
        def take(answers: Answers) -> None:
            found[asset] = words.symbol(asset, answers[0])

        reading.ask([(asset, words.SYMBOL)], take)

    def _ask_reserve(self, reading: Reading, asset: Address, symbol: str, into: Refreshed) -> None:
        def take(answers: Answers) -> None:
            reserve = words.reserve(asset, symbol, answers)
            into.reserves[reserve.id] = reserve

        reading.ask(words.reserve_calls(self.contracts.pool, self.contracts.oracle, asset), take)

    def _ask_e_mode(self, reading: Reading, category: int, into: Refreshed) -> None:
        def take(answers: Answers) -> None:
            if words.e_mode_exists(answers[0]):
                into.e_modes[category] = words.e_mode(category, answers)

        reading.ask(words.e_mode_calls(self.contracts.pool, category), take)

    def _ask_prices(self, reading: Reading, reserves: Iterable[Reserve], into: Refreshed) -> None:
        for reserve in reserves:

            def take(answers: Answers, id_: int = reserve.id) -> None:
                price = words.price(answers[0])
                if price is None:
                    into.unpriced.add(id_)
                else:
                    into.prices[id_] = price

            reading.ask([words.price_call(self.contracts.oracle, reserve.asset)], take)

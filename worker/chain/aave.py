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
from worker.chain.multicall import Block, Multicall
from worker.chain.positions import AT_ONCE, Flags, PositionReader
from worker.chain.reading import Answers, Reading
from worker.chain.rpc import Rpc
from worker.chain.words import ReserveNames

__all__ = ["AaveReader", "Contracts", "Refreshed"]

log = logging.getLogger(__name__)

ACCOUNT_GAS = 140_000
"""What one getUserAccountData may burn; measured at 115,000 to 140,000."""


@dataclass(slots=True)
class Refreshed:
    """Hold what was read of one block; `unpriced` are reserves whose price the oracle would not give.

    `e_modes` is None when they were not asked for.
    """

    block: int
    timestamp: int = 0
    reserves: dict[int, Reserve] = field(default_factory=dict)
    e_modes: dict[int, EModeCategory] | None = None
    prices: dict[int, BaseUsd] = field(default_factory=dict)
    unpriced: set[int] = field(default_factory=set)
    positions: dict[Address, Position] = field(default_factory=dict)

    def apply_to(self, market: Market) -> None:
        """Write everything but the positions into the market; a price that is gone is taken out."""
        if self.reserves:
            market.reserves = {**market.reserves, **self.reserves}
        if self.e_modes is not None:
            market.e_modes = self.e_modes
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
        cls, rpc: Rpc, provider: Address, chain_id: int, *, aave_pool: Address | None = None
    ) -> AaveReader:
        """Find the contracts from the provider alone and return their reader; see `contracts.discover`."""
        return cls(rpc, Multicall(rpc), await discover(rpc, provider, chain_id, aave_pool))

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
        assets, e_mode_ids = await self._listed(number)
        names = await self._names(assets, number)
        market = Market(revision=Revision.of(self.contracts.revision), block=number)
        e_modes: dict[int, EModeCategory] = {}
        read = Refreshed(number, e_modes=e_modes)
        reading = Reading()
        self._ask_timestamp(reading, read)
        for asset in assets:
            self._ask_reserve(reading, asset, names[asset], read)
        for category in e_mode_ids:
            self._ask_e_mode(reading, category, e_modes)
        await reading.read(self.multicall, number)
        reading = Reading()  # which reserve has which id is known only now
        self._ask_prices(reading, read.reserves.values(), read)
        await reading.read(self.multicall, number)
        read.apply_to(market)
        for id_ in sorted(read.unpriced):
            log.warning(
                "the oracle gives no price for %s: accounts that use it cannot be valued", read.reserves[id_].symbol
            )
        self._reserves = dict(market.reserves)
        return market

    async def refresh(
        self,
        market: Market,
        block: int,
        *,
        reserves: Collection[int] = (),
        e_modes: bool = False,
        prices: bool = False,
        positions: Collection[Address] = (),
    ) -> Refreshed:
        """Read what a block touched, at that block: one multicall, two when many positions or all e-modes are in it.

        `market` says which reserves there are; it is not changed.
        """
        read = Refreshed(block)
        reading = Reading()
        self._ask_timestamp(reading, read)
        for id_ in reserves:
            known = market.reserves[id_]
            self._ask_reserve(reading, known.asset, ReserveNames(known.symbol, known.price_source), read)
        if prices:
            self._ask_prices(reading, market.reserves.values(), read)
        flags: dict[Address, Flags] = {}
        if len(positions) <= AT_ONCE:
            self._positions.ask_all(reading, positions, market.reserves, read.positions)
        else:
            self._positions.ask_flags(reading, positions, flags)
        await reading.read(self.multicall, block)
        if flags:
            read.positions = await self._positions.read_flagged(flags, market.reserves, block)
        if e_modes:
            read.e_modes = await self._read_e_modes(block)
        return read

    async def positions(self, users: Sequence[Address], block: int) -> list[Position]:
        """Return the users' positions at the block, in the order given; `load_market` comes first.

        A position holds the aTokens that are used as collateral, and all debts.
        """
        found = await self._positions.read(users, self._reserves, block)
        return [found[user] for user in users]

    async def account_data(self, users: Sequence[Address], block: Block) -> list[UserAccountData | None]:
        """Return what the chain itself says of each user (Pool.getUserAccountData); None where the call reverts.

        A failure is asked about once more in a request of its own: running out of gas in a large one looks the same.
        """
        found = await self._account_data(users, block)
        failed = [index for index, figures in enumerate(found) if figures is None]
        if failed and len(users) > 1:
            for index in failed:
                found[index] = (await self._account_data([users[index]], block))[0]
        return found

    async def prices(self, block: Block, reserves: Iterable[Reserve]) -> dict[int, BaseUsd]:
        """Return AaveOracle's price of each reserve by id; those it would not give are missing."""
        read = Refreshed(0)
        reading = Reading()
        self._ask_prices(reading, reserves, read)
        await reading.read(self.multicall, block)
        return read.prices

    async def _account_data(self, users: Sequence[Address], block: Block) -> list[UserAccountData | None]:
        calls = [(self.contracts.pool, codec.call_with_address(words.GET_USER_ACCOUNT_DATA, user)) for user in users]
        answers = await self.multicall.read(calls, block, gas_per_call=ACCOUNT_GAS)
        return [words.account_data(answer) for answer in answers]

    async def _listed(self, block: int) -> tuple[list[Address], list[int]]:
        """Return the assets listed and the e-mode categories that exist; the pool has no list of those."""
        assets: list[Address] = []
        e_modes: list[int] = []
        reading = Reading()
        reading.ask(
            [(self.contracts.pool, words.GET_RESERVES_LIST)], lambda answers: assets.extend(words.listed(answers))
        )
        self._ask_which_e_modes(reading, e_modes)
        await reading.read(self.multicall, block)
        return assets, e_modes

    async def _names(self, assets: Sequence[Address], block: int) -> dict[Address, ReserveNames]:
        names: dict[Address, ReserveNames] = {}
        reading = Reading()
        for asset in assets:

            def take(answers: Answers, asset: Address = asset) -> None:
                names[asset] = words.reserve_names(asset, answers)

            reading.ask(words.reserve_name_calls(self.contracts.oracle, asset), take)
        await reading.read(self.multicall, block)
        return names

    async def _read_e_modes(self, block: int) -> dict[int, EModeCategory]:
        existing: list[int] = []
        reading = Reading()
        self._ask_which_e_modes(reading, existing)
        await reading.read(self.multicall, block)
        found: dict[int, EModeCategory] = {}
        reading = Reading()
        for category in existing:
            self._ask_e_mode(reading, category, found)
        await reading.read(self.multicall, block)
        return found

    def _ask_timestamp(self, reading: Reading, into: Refreshed) -> None:
        def take(answers: Answers) -> None:
            into.timestamp = codec.uint_at(words.given(answers[0], "Multicall3.getCurrentBlockTimestamp"))

        reading.ask([(self.multicall.address, words.GET_CURRENT_BLOCK_TIMESTAMP)], take)

    def _ask_which_e_modes(self, reading: Reading, found: list[int]) -> None:
        for category in words.E_MODE_IDS:

            def take(answers: Answers, category: int = category) -> None:
                if words.e_mode_exists(answers[0]):
                    found.append(category)

            reading.ask([words.e_mode_config_call(self.contracts.pool, category)], take)

    def _ask_reserve(self, reading: Reading, asset: Address, names: ReserveNames, into: Refreshed) -> None:
        def take(answers: Answers) -> None:
            reserve = words.reserve(asset, names, answers)
            into.reserves[reserve.id] = reserve

        reading.ask(words.reserve_calls(self.contracts.pool, asset), take)

    def _ask_e_mode(self, reading: Reading, category: int, found: dict[int, EModeCategory]) -> None:
        def take(answers: Answers) -> None:
            found[category] = words.e_mode(category, answers)

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

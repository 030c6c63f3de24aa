"""From the addresses that AaveOracle names down to the aggregators that emit, as a tree that prices are computed from.

The oracle's sources are adapters and proxies, and neither emits anything when a price moves: the event comes from the
aggregator behind the last proxy. Every node is checked against its own latestAnswer at the block, and one whose formula
does not give that is kept as not understood: what stands on it has to be polled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.domain.market import Market, Reserve
from core.domain.price_tree import PriceTree
from core.domain.prices import PriceBook
from core.domain.units import Address
from core.errors import ConfigError
from worker.chain import codec, words
from worker.chain.aave import AaveReader
from worker.chain.contracts import Contracts
from worker.chain.multicall import Block, Multicall
from worker.chain.price_nodes import SELECTORS
from worker.chain.price_tree import read_tree, timestamp_of
from worker.chain.reading import Answers, Reading

log = logging.getLogger(__name__)

WRAPPINGS = {"ETH": ("WETH",), "BTC": ("WBTC", "CBBTC", "TBTC")}
"""What is priced as ETH and BTC, whose own names everybody uses in a list of feeds."""


@dataclass(frozen=True, slots=True)
class PriceSources:
    """Hold where each asset's price comes from.

    `aggregators` has the emitting aggregators of each asset; `adapters` the contracts on the way, which emit only when
    their caps are changed; `polled` the assets whose price may move without any event: they stand on something that is
    not understood. `names` has aggregators' descriptions ("ETH / USD"). `book` computes the prices.
    """

    aggregators: Mapping[Address, tuple[Address, ...]]
    adapters: frozenset[Address]
    polled: frozenset[Address]
    book: PriceBook
    names: Mapping[Address, str] = field(default_factory=dict)

    @property
    def watched(self) -> frozenset[Address]:
        """Return every address whose logs can tell of a price."""
        return self.adapters | {address for each in self.aggregators.values() for address in each}


async def walk(
    multicall: Multicall, market: Market, block: Block = "latest", feeds: Sequence[tuple[str, Address]] = ()
) -> PriceSources:
    """Walk every reserve's price source; `feeds` (the setting CHAINLINK_FEEDS) adds sources by symbol.

    An added source is watched, and tells that its assets' prices may move; what they are, AaveOracle's own sources say.
    An aggregator can change behind its proxy without an event, so this is repeated from time to time. Raise ConfigError
    when a feed's symbol is of no reserve, and what Multicall.read raises.
    """
    roots = {reserve.asset: [reserve.price_source] for reserve in market.reserves.values()}
    for symbol, feed in feeds:
        for asset in _assets_called(symbol, market.reserves.values()):
            roots[asset].append(feed)
    sources = {id_: reserve.price_source for id_, reserve in market.reserves.items()}
    tree = await read_tree(multicall, sources, {root for each in roots.values() for root in each}, block)
    book = PriceBook.of(tree)
    emitting = {asset: _emitting(tree, book, each) for asset, each in roots.items()}
    return PriceSources(
        aggregators=emitting,
        adapters=book.adapters,
        polled=frozenset(market.reserves[id_].asset for id_ in book.polled),
        book=book,
        names={address: tree.names.get(address, "") for each in emitting.values() for address in each},
    )


async def verify_prices(reader: AaveReader, market: Market, book: PriceBook, block: int) -> frozenset[int]:
    """Compare every price with AaveOracle's at the block; distrust those that differ, and return them.

    A distrusted price is asked of the oracle from then on. The book has to stand at that block: with all logs up to it,
    and with what is polled asked there.
    """
    told = await _oracle_prices(reader, market.reserves.values(), block)
    now = await timestamp_of(reader.multicall, block)
    wrong = book.differing(told, now) - book.distrusted
    for id_ in sorted(wrong):
        symbol, ours = market.reserves[id_].symbol, book.price(id_, now)
        text = "[prices] %s is %d by the oracle but %s by its sources at block %d: only the oracle is asked from now on"
        log.warning(text, symbol, told[id_], ours, block)
    book.distrust({id_: told[id_] for id_ in wrong})
    return wrong


def ask_polled(reading: Reading, book: PriceBook, oracle: Address, market: Market) -> None:
    """Add to a reading what has to be asked anew in every block of another timestamp, to be put into the book."""
    for address, node in book.polled_nodes.items():

        def hear(answers: Answers, address: Address = address) -> None:
            book.hear(address, 0 if answers[0] is None else codec.signed(codec.uint_at(answers[0])))

        question = SELECTORS["getRatio" if node.ratio_of else "latestAnswer"]
        reading.ask([(node.ratio_of or address, question)], hear)
    for id_ in book.distrusted & market.reserves.keys():

        def tell(answers: Answers, id_: int = id_) -> None:
            book.distrust({id_: words.price(answers[0]) or 0})

        reading.ask([words.price_call(oracle, market.reserves[id_].asset)], tell)


def watched_addresses(contracts: Contracts, market: Market, sources: PriceSources) -> frozenset[Address]:
    """Return every address whose logs can move a figure: what the feed has to watch."""
    tokens = {token for each in market.reserves.values() for token in (each.a_token, each.variable_debt_token)}
    fixed = {contracts.provider, contracts.pool, contracts.oracle, contracts.configurator}
    return frozenset(fixed | tokens) | sources.watched


async def _oracle_prices(reader: AaveReader, reserves: Iterable[Reserve], block: int) -> dict[int, int]:
    found: dict[int, int] = {}
    reading = Reading()
    for reserve in reserves:

        def take(answers: Answers, id_: int = reserve.id) -> None:
            found[id_] = words.price(answers[0]) or 0

        reading.ask([words.price_call(reader.contracts.oracle, reserve.asset)], take)
    await reading.read(reader.multicall, block)
    return found


def _assets_called(symbol: str, reserves: Iterable[Reserve]) -> list[Address]:
    known = {reserve.symbol.upper(): reserve.asset for reserve in reserves}
    found = [known[name] for name in (symbol.upper(), *WRAPPINGS.get(symbol.upper(), ())) if name in known]
    if not found:
        raise ConfigError(f"CHAINLINK_FEEDS={symbol}:…: allowed: the symbols of the market, {', '.join(sorted(known))}")
    return found


def _emitting(tree: PriceTree, book: PriceBook, roots: Iterable[Address]) -> tuple[Address, ...]:
    reached = dict.fromkeys(address for root in roots for address in tree.reach(root))
    return tuple(address for address in reached if address in book.aggregators)

"""From the addresses that AaveOracle names down to the aggregators that emit.

The oracle's sources are adapters and proxies, and neither emits anything when a price moves: the event comes from the
aggregator behind the last proxy. A leaf that is no aggregator (a fixed price, a token's own rate) tells of nothing, so
the assets above it have to be polled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.domain.market import Market, Reserve
from core.domain.units import Address
from core.errors import ConfigError
from worker.chain import codec
from worker.chain.codec import ZERO_ADDRESS
from worker.chain.contracts import Contracts
from worker.chain.multicall import Block, Multicall
from worker.chain.reading import Answers, Reading

AGGREGATOR = bytes.fromhex("245a7bfc")
LATEST_ROUND = bytes.fromhex("668a0f02")
DESCRIPTION = bytes.fromhex("7284e416")
ADAPTER_GETTERS = {
    "ASSET_TO_USD_AGGREGATOR": bytes.fromhex("4ebdc284"),
    "BASE_TO_USD_AGGREGATOR": bytes.fromhex("d221087c"),
    "RATIO_PROVIDER": bytes.fromhex("dc4a4be8"),
    "ASSET_TO_PEG": bytes.fromhex("910bb70c"),
    "PEG_TO_BASE": bytes.fromhex("de4aedab"),
}
WRAPPINGS = {"ETH": ("WETH",), "BTC": ("WBTC", "CBBTC", "TBTC")}
"""What is priced as ETH and BTC, whose own names everybody uses in a list of feeds."""
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Node:
    """Hold what one contract of the price tree is: a proxy or adapter over `below`, or a leaf, emitting or not."""

    below: tuple[Address, ...]
    is_proxy: bool
    emits: bool
    description: str


@dataclass(frozen=True, slots=True)
class PriceSources:
    """Hold where each asset's price comes from.

    `aggregators` has the emitting aggregators of each asset; `adapters` the contracts on the way, which emit only when
    their caps are changed; `polled` the assets whose price may move without any event: they stand on a leaf that emits
    nothing. `names` has aggregators' descriptions ("ETH / USD").
    """

    aggregators: Mapping[Address, tuple[Address, ...]]
    adapters: frozenset[Address]
    polled: frozenset[Address]
    names: Mapping[Address, str] = field(default_factory=dict)

    @property
    def watched(self) -> frozenset[Address]:
        """Return every address whose logs can tell of a price."""
        return self.adapters | {address for each in self.aggregators.values() for address in each}


async def walk(
    multicall: Multicall, market: Market, block: Block = "latest", feeds: Sequence[tuple[str, Address]] = ()
) -> PriceSources:
    """Walk every reserve's price source; `feeds` (the setting CHAINLINK_FEEDS) adds sources by symbol.

    An aggregator can change behind its proxy without an event, so this is repeated from time to time. Raise ConfigError
    when a feed's symbol is of no reserve, and what Multicall.read raises.
    """
    roots = {reserve.asset: [reserve.price_source] for reserve in market.reserves.values()}
    for symbol, feed in feeds:
        for asset in _assets_called(symbol, market.reserves.values()):
            roots[asset].append(feed)
    tree = await _tree(multicall, {root for each in roots.values() for root in each}, block)
    leaves = {asset: [leaf for root in each for leaf in _leaves(tree, root)] for asset, each in roots.items()}
    emitting = {asset: tuple(dict.fromkeys(a for a in found if tree[a].emits)) for asset, found in leaves.items()}
    return PriceSources(
        aggregators=emitting,
        adapters=frozenset(address for address, node in tree.items() if node.below and not node.is_proxy),
        polled=frozenset(asset for asset, found in leaves.items() if not all(tree[leaf].emits for leaf in found)),
        names={address: tree[address].description for each in emitting.values() for address in each},
    )


def watched_addresses(contracts: Contracts, market: Market, sources: PriceSources) -> frozenset[Address]:
    """Return every address whose logs can move a figure: what the feed has to watch."""
    tokens = {token for each in market.reserves.values() for token in (each.a_token, each.variable_debt_token)}
    fixed = {contracts.provider, contracts.pool, contracts.oracle, contracts.configurator}
    return frozenset(fixed | tokens) | sources.watched


def _assets_called(symbol: str, reserves: Iterable[Reserve]) -> list[Address]:
    known = {reserve.symbol.upper(): reserve.asset for reserve in reserves}
    found = [known[name] for name in (symbol.upper(), *WRAPPINGS.get(symbol.upper(), ())) if name in known]
    if not found:
        raise ConfigError(f"CHAINLINK_FEEDS={symbol}:…: allowed: the symbols of the market, {', '.join(sorted(known))}")
    return found


async def _tree(multicall: Multicall, roots: set[Address], block: Block) -> dict[Address, Node]:
    tree: dict[Address, Node] = {}
    frontier = roots
    for _ in range(MAX_DEPTH):
        if not frontier:
            break
        reading = Reading()
        for address in sorted(frontier):
            _ask_node(reading, address, tree)
        await reading.read(multicall, block)
        frontier = {below for address in frontier for below in tree[address].below} - tree.keys()
    for address in frontier:  # deeper than any price tree: what is there emits nothing that we know of
        tree[address] = Node((), is_proxy=False, emits=False, description="")
    return tree


def _ask_node(reading: Reading, address: Address, tree: dict[Address, Node]) -> None:
    def take(answers: Answers) -> None:
        proxied, rounds, description, *adapted = answers
        below = _addresses([proxied]) or _addresses(adapted)
        tree[address] = Node(
            below=tuple(dict.fromkeys(below)),
            is_proxy=bool(_addresses([proxied])),
            emits=not below and rounds is not None,
            description=_text(description),
        )

    selectors = (AGGREGATOR, LATEST_ROUND, DESCRIPTION, *ADAPTER_GETTERS.values())
    reading.ask([(address, selector) for selector in selectors], take)


def _addresses(answers: Iterable[bytes | None]) -> list[Address]:
    words = [answer for answer in answers if answer is not None and len(answer) == codec.WORD]
    found = [codec.address_at(word) for word in words if not any(word[: codec.WORD - 20])]
    return [address for address in found if address != ZERO_ADDRESS]


def _text(answer: bytes | None) -> str:
    try:
        return codec.text(answer) if answer else ""
    except ValueError:
        return ""


def _leaves(tree: Mapping[Address, Node], root: Address, depth: int = 0) -> list[Address]:
    below = tree[root].below
    if not below or depth > MAX_DEPTH:
        return [root]
    return [leaf for address in below for leaf in _leaves(tree, address, depth + 1)]

"""The contracts that a price comes through, from an aggregator up to what AaveOracle reads, and their arithmetic.

Every node answers as its contract's latestAnswer() would in a block of a given timestamp; 0 or less means "no price",
as it does to AaveOracle. Source: PriceCapAdapterBase, CLRatePriceCapAdapter, LBTCPriceCapAdapter,
PriceCapAdapterStable and EURPriceCapAdapterStable of aave-capo; Chainlink's EACAggregatorProxy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from core.domain.dual_aggregator import DualAggregator
from core.domain.units import PERCENTAGE_FACTOR, SECONDS_PER_YEAR, Address

GROWTH_SCALE = 10**6
"""What a ratio's growth per second is multiplied with so that truncation does not eat it."""

Read = Callable[[Address], int]
"""What the contract at an address answers the node that asks."""


@dataclass(frozen=True, slots=True)
class Aggregator:
    """A feed's emitting half: its newest answer and round."""

    answer: int
    round: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """A feed's readable half, which passes its aggregator's answer on.

    `secondary` says that it is the one through which a DualAggregator shows its secondary route.
    """

    aggregator: Address
    secondary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioCap:
    """A price times an exchange ratio, the ratio capped by growth per second since a snapshot (unix seconds)."""

    base: Address
    ratio: Address
    snapshot_ratio: int
    snapshot_timestamp: int
    growth_per_second_scaled: int
    ratio_decimals: int

    def max_ratio(self, now: int) -> int:
        """Return the highest ratio that counts at `now`, unix seconds, truncated."""
        grown = self.growth_per_second_scaled * (now - self.snapshot_timestamp) // GROWTH_SCALE
        return self.snapshot_ratio + grown

    def answer(self, now: int, read: Read) -> int:
        """Return the price, truncated; 0 without a base price or a ratio, and before the snapshot, where it reverts."""
        base, ratio = read(self.base), read(self.ratio)
        if base <= 0 or ratio <= 0 or now < self.snapshot_timestamp:
            return 0
        return base * min(ratio, self.max_ratio(now)) // int(10**self.ratio_decimals)

    def capped(self, now: int, read: Read) -> bool:
        """Tell whether the cap decides, so that the price grows with every second."""
        return read(self.ratio) > self.max_ratio(now)

    def with_parameters(self, ratio: int, timestamp: int, yearly_growth: int) -> RatioCap:
        """Return the node with another cap, growing by so many bps a year; both divisions truncate, in that order."""
        growth = ratio * yearly_growth * GROWTH_SCALE // PERCENTAGE_FACTOR // SECONDS_PER_YEAR
        return replace(self, snapshot_ratio=ratio, snapshot_timestamp=timestamp, growth_per_second_scaled=growth)


@dataclass(frozen=True, slots=True)
class StableCap:
    """A feed that never counts for more than a fixed cap."""

    asset: Address
    cap: int

    def answer(self, read: Read) -> int:
        """Return the lower of price and cap; 0 without a price."""
        price = read(self.asset)
        return min(price, self.cap) if price > 0 else 0


@dataclass(frozen=True, slots=True)
class EuroCap:
    """A feed that never counts for more than a share of another feed."""

    asset: Address
    base: Address
    cap_ratio: int
    ratio_decimals: int

    def answer(self, read: Read) -> int:
        """Return the lower of price and cap, the cap truncated; 0 without a price or a base."""
        price, base = read(self.asset), read(self.base)
        if price <= 0 or base <= 0:
            return 0
        return min(price, base * self.cap_ratio // int(10**self.ratio_decimals))


@dataclass(frozen=True, slots=True)
class Fixed:
    """A contract whose code can read nothing, so that it answers the same forever."""

    answer: int


@dataclass(frozen=True, slots=True)
class Polled:
    """A contract that is not understood: its last known answer, and what it is known to stand on.

    `ratio_of` names the adapter whose getRatio() tells the answer; without one it is its own latestAnswer(). `emits`
    says that it stands where an aggregator stands, so that its logs tell when to ask again.
    """

    answer: int
    below: tuple[Address, ...] = ()
    ratio_of: Address | None = None
    emits: bool = False


Node = Aggregator | DualAggregator | Proxy | RatioCap | StableCap | EuroCap | Fixed | Polled


def below(node: Node) -> tuple[Address, ...]:
    """Return the contracts that a node reads."""
    match node:
        case Proxy(aggregator=aggregator):
            return (aggregator,)
        case RatioCap(base=base, ratio=ratio):
            return base, ratio
        case StableCap(asset=asset):
            return (asset,)
        case EuroCap(asset=asset, base=base):
            return asset, base
        case Polled(below=known):
            return known
        case _:
            return ()


@dataclass(frozen=True, slots=True)
class PriceTree:
    """Hold every contract that prices come through, and where each reserve's begins, by reserve id.

    `names` has aggregators' descriptions ("ETH / USD").
    """

    nodes: Mapping[Address, Node]
    roots: Mapping[int, Address]
    names: Mapping[Address, str] = field(default_factory=dict)

    def with_node(self, address: Address, node: Node) -> PriceTree:
        """Return the tree with one contract understood differently."""
        return replace(self, nodes={**self.nodes, address: node})

    def reach(self, root: Address) -> frozenset[Address]:
        """Return a contract and every one below it."""
        found: set[Address] = set()
        frontier = [root]
        while frontier:
            address = frontier.pop()
            if address not in found and address in self.nodes:
                found.add(address)
                frontier += below(self.nodes[address])
        return frozenset(found)


class Reader:
    """Answer for the contracts of a tree in a block of timestamp `now`, each one's answer computed once."""

    def __init__(self, nodes: Mapping[Address, Node], now: int) -> None:
        self.now = now
        self._nodes = nodes
        self._answers: dict[Address, int] = {}

    def answer(self, address: Address, *, through_secondary: bool = False) -> int:
        """Return what a contract's latestAnswer() is; raise KeyError for one that is not in the tree."""
        node = self._nodes[address]
        if isinstance(node, DualAggregator):
            return node.answer(self.now, through_secondary=through_secondary)
        if address not in self._answers:
            self._answers[address] = self._compute(node)
        return self._answers[address]

    def next_change(self, address: Address, *, through_secondary: bool = False) -> int | None:
        """Return the first second after now at which an answer may differ by the clock alone; None without one."""
        node = self._nodes[address]
        if isinstance(node, DualAggregator):
            return node.next_change(self.now, through_secondary=through_secondary)
        if isinstance(node, Proxy):
            return self.next_change(node.aggregator, through_secondary=node.secondary)
        if isinstance(node, RatioCap) and node.capped(self.now, self.answer):
            return self.now + 1
        found = (self.next_change(each) for each in below(node) if each in self._nodes)
        return min((second for second in found if second is not None), default=None)

    def _compute(self, node: Node) -> int:
        match node:
            case Proxy():
                return self.answer(node.aggregator, through_secondary=node.secondary)
            case RatioCap():
                return node.answer(self.now, self.answer)
            case StableCap() | EuroCap():
                return node.answer(self.answer)
            case DualAggregator():
                return node.answer(self.now, through_secondary=False)
            case _:
                return node.answer

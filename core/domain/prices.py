"""Every reserve's price, computed from the tree of contracts that AaveOracle reads it through.

Events move the tree, and the clock does: `timed` says what and when. What is not understood keeps its last answer until
it is asked again, once per timestamp: `polled` says which prices depend on that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.domain.dual_aggregator import DualAggregator, DualEvent
from core.domain.events import (
    AnswerUpdated,
    CapParametersUpdated,
    Event,
    PriceCapRatioUpdated,
    PriceCapUpdated,
)
from core.domain.price_tree import (
    Aggregator,
    EuroCap,
    Node,
    Polled,
    PriceTree,
    RatioCap,
    Reader,
    StableCap,
)
from core.domain.units import Address, BaseUsd

_NO_RESERVES: frozenset[int] = frozenset()


class PriceBook:
    """Hold the price tree as the events so far left it; times are unix seconds of the block that prices are for."""

    def __init__(self, tree: PriceTree) -> None:
        self._tree = tree
        self._told: dict[int, int] = {}
        self._present: Reader | None = None
        reached = {reserve_id: tree.reach(root) for reserve_id, root in tree.roots.items()}
        self._above = {
            address: frozenset(reserve_id for reserve_id, found in reached.items() if address in found)
            for address in tree.nodes
        }
        self._polled = frozenset(
            reserve_id
            for reserve_id, found in reached.items()
            if any(isinstance(tree.nodes[address], Polled) for address in found)
        )

    @classmethod
    def of(cls, tree: PriceTree) -> PriceBook:
        """Return a book over a tree whose parameters and answers were read at one block."""
        return cls(tree)

    @property
    def tree(self) -> PriceTree:
        """Return the tree as it is now."""
        return self._tree

    @property
    def aggregators(self) -> frozenset[Address]:
        """Return the contracts whose logs tell of answers."""
        return frozenset(address for address, node in self._tree.nodes.items() if _emits(node))

    @property
    def adapters(self) -> frozenset[Address]:
        """Return the contracts whose logs tell of other caps."""
        nodes = self._tree.nodes.items()
        return frozenset(a for a, node in nodes if isinstance(node, RatioCap | StableCap | EuroCap) or _stands(node))

    @property
    def polled(self) -> frozenset[int]:
        """Return the reserves whose price may move with nothing to tell of it, so that the chain has to be asked."""
        return self._polled | self._told.keys()

    @property
    def polled_nodes(self) -> Mapping[Address, Polled]:
        """Return the contracts that have to be asked."""
        return {address: node for address, node in self._tree.nodes.items() if isinstance(node, Polled)}

    @property
    def distrusted(self) -> frozenset[int]:
        """Return the reserves for which only AaveOracle itself is asked."""
        return frozenset(self._told)

    def apply(self, event: Event) -> frozenset[int]:
        """Apply a price event and return the reserves whose price may have moved; none for any other event.

        A SourceChanged, or another aggregator behind a proxy, needs the tree to be walked again.
        """
        address = getattr(event, "aggregator", None) or getattr(event, "adapter", None)
        node = None if address is None else self._tree.nodes.get(address)
        if address is None or node is None:
            return _NO_RESERVES
        after = _moved(node, event)
        if after == node and not isinstance(node, Polled):
            return _NO_RESERVES
        self._put(address, after)
        return self._above.get(address, _NO_RESERVES)

    def price(self, reserve_id: int, now: int) -> BaseUsd | None:
        """Return a reserve's price in a block of timestamp `now`; None where its source gives none above zero.

        There AaveOracle goes on to its fallback oracle, which is not followed.
        """
        if reserve_id in self._told:
            answer = self._told[reserve_id]
        else:
            root = self._tree.roots.get(reserve_id)
            answer = 0 if root is None else self._reader(now).answer(root)
        return BaseUsd(answer) if answer > 0 else None

    def prices(self, now: int) -> dict[int, BaseUsd]:
        """Return every price that is known in a block of timestamp `now`, by reserve id."""
        found = ((reserve_id, self.price(reserve_id, now)) for reserve_id in self._tree.roots)
        return {reserve_id: price for reserve_id, price in found if price is not None}

    def timed(self, now: int) -> dict[int, int]:
        """Return the reserves whose price can move by the clock alone, each with the first second at which it may.

        A capped ratio's grows with every second; a DualAggregator shows a round when it has matured.
        """
        reader = self._reader(now)
        found = {
            reserve_id: reader.next_change(root)
            for reserve_id, root in self._tree.roots.items()
            if reserve_id not in self._told
        }
        return {reserve_id: second for reserve_id, second in found.items() if second is not None}

    def differing(self, prices: Mapping[int, int], now: int) -> frozenset[int]:
        """Return the reserves whose price here is not the given one; 0 stands for none."""
        return frozenset(id_ for id_, price in prices.items() if (self.price(id_, now) or 0) != price)

    def distrust(self, prices: Mapping[int, int]) -> None:
        """Take these prices as AaveOracle's own, and from now on ask only it about these reserves."""
        self._told |= prices

    def hear(self, address: Address, answer: int) -> frozenset[int]:
        """Take what a polled contract answered; return the reserves whose price moved by it."""
        node = self._tree.nodes.get(address)
        if not isinstance(node, Polled) or node.answer == answer:
            return _NO_RESERVES
        self._put(address, replace(node, answer=answer))
        return self._above.get(address, _NO_RESERVES)

    def _put(self, address: Address, node: Node) -> None:
        self._tree = self._tree.with_node(address, node)
        self._present = None

    def _reader(self, now: int) -> Reader:
        if self._present is None or self._present.now != now:
            self._present = Reader(self._tree.nodes, now)
        return self._present


def _emits(node: Node) -> bool:
    return isinstance(node, Aggregator | DualAggregator) or (isinstance(node, Polled) and node.emits)


def _stands(node: Node) -> bool:
    """Tell whether a contract that is not understood stands on others, as an adapter does."""
    return isinstance(node, Polled) and bool(node.below)


def _moved(node: Node, event: Event) -> Node:
    """Return the node after the event; the same one where the event says nothing to it."""
    match node, event:
        case Aggregator(), AnswerUpdated():
            return Aggregator(event.answer, event.round) if event.round >= node.round else node
        case RatioCap(), CapParametersUpdated():
            return node.with_parameters(event.snapshot_ratio, event.snapshot_timestamp, event.yearly_growth)
        case StableCap(), PriceCapUpdated():
            return replace(node, cap=event.cap)
        case EuroCap(), PriceCapRatioUpdated():
            return replace(node, cap_ratio=event.ratio)
        case DualAggregator(), _ if isinstance(event, DualEvent):
            return node.after(event)
        case _:
            return node

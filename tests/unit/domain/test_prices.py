"""Prices from a small tree of every kind of node, and what moves them."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain import events
from core.domain.dual_aggregator import DualAggregator, Transmission
from core.domain.events import AnswerUpdated, CapParametersUpdated, PriceCapRatioUpdated, PriceCapUpdated
from core.domain.price_tree import (
    Aggregator,
    EuroCap,
    Fixed,
    Node,
    Polled,
    PriceTree,
    Proxy,
    RatioCap,
    StableCap,
)
from core.domain.prices import PriceBook
from core.domain.units import Address

NOW = 1_700_000_000
YEAR = 31_536_000


def at(name: str) -> Address:
    return Address("0x" + name.encode().hex().rjust(40, "0"))


def ratio_cap(ratio: str, *, base: str = "eth", since: int = NOW - 100, growth: int = 0) -> RatioCap:
    return RatioCap(
        base=at(base),
        ratio=at(ratio),
        snapshot_ratio=12 * 10**17,
        snapshot_timestamp=since,
        growth_per_second_scaled=growth,
        ratio_decimals=18,
    )


NODES: dict[str, Node] = {
    "eth": Proxy(at("eth feed")),
    "eth feed": Aggregator(2_000_00000000, 9),
    "ratio": Proxy(at("ratio feed")),
    "ratio feed": Aggregator(11 * 10**17, 4),
    "wsteth": ratio_cap("ratio", growth=10**15 * 10**6),
    "rate": Polled(10**18 + 1, ratio_of=at("lbtc")),
    "lbtc": ratio_cap("rate"),
    "usd": Aggregator(1_00000000, 3),
    "usdc": StableCap(at("usd"), 1_04000000),
    "euro": Aggregator(1_10000000, 3),
    "eurc feed": Aggregator(1_11000000, 3),
    "eurc": EuroCap(at("eurc feed"), at("euro"), 1_04000000, 8),
    "gho": Fixed(10**8),
    "odd": Polled(55, below=(at("usd"),)),
}
ROOTS = ["eth", "wsteth", "lbtc", "usdc", "eurc", "gho", "odd"]
ETH, WSTETH, LBTC, USDC, EURC, GHO, ODD = range(7)


def book(**changes: Node) -> PriceBook:
    nodes = {at(name): node for name, node in (NODES | changes).items()}
    return PriceBook.of(PriceTree(nodes, {id_: at(name) for id_, name in enumerate(ROOTS)}))


def answer(name: str, value: int, round_: int = 10) -> AnswerUpdated:
    return AnswerUpdated(at(name), value, round_, NOW)


def test_every_kind_of_node_has_its_price() -> None:
    assert book().prices(NOW) == {
        ETH: 2_000_00000000,
        WSTETH: 2_200_00000000,
        LBTC: 2_000_00000000,
        USDC: 1_00000000,
        EURC: 1_11000000,
        GHO: 1_00000000,
        ODD: 55,
    }


def test_an_answer_moves_what_stands_on_it_and_nothing_else() -> None:
    prices = book()
    assert prices.apply(answer("eth feed", 1_000_00000001)) == {ETH, WSTETH, LBTC}
    assert prices.price(WSTETH, NOW) == 1_100_00000001
    assert prices.apply(answer("usd", 1_10000000)) == {USDC, ODD}
    assert prices.price(USDC, NOW) == 1_04000000
    assert prices.price(ODD, NOW) == 55
    assert prices.apply(answer("ratio feed", 115 * 10**16)) == {WSTETH}
    assert prices.price(WSTETH, NOW) == 1_150_00000001


@pytest.mark.parametrize(
    "event",
    [
        answer("eth feed", 1, round_=8),
        answer("nobody's feed", 1),
        events.SourceChanged(at("eth")),
        events.EModeEntered(at("ann"), 1),
        PriceCapUpdated(at("wsteth"), 1),
        events.CutoffTimeSet(at("eth feed"), 1),
    ],
)
def test_what_is_late_or_for_others_moves_nothing(event: Any) -> None:
    prices = book()
    assert prices.apply(event) == frozenset()
    assert prices.prices(NOW) == book().prices(NOW)


def test_a_capped_ratio_grows_by_the_second() -> None:
    prices = book()
    assert prices.timed(NOW) == {}
    prices.apply(answer("ratio feed", 2 * 10**18))
    assert prices.price(WSTETH, NOW) == 2_600_00000000
    assert prices.price(WSTETH, NOW + 1) == 2_602_00000000
    assert prices.timed(NOW) == {WSTETH: NOW + 1}
    assert prices.price(WSTETH, NOW + 1_000) == 4_000_00000000
    assert prices.timed(NOW + 1_000) == {}


def test_cap_parameters_truncate_twice_in_their_order() -> None:
    prices = book()
    moved = prices.apply(CapParametersUpdated(at("wsteth"), 1_227_182_231_483_433_137, NOW - 7, 968))
    node = prices.tree.nodes[at("wsteth")]
    assert isinstance(node, RatioCap)
    growth = 1_227_182_231_483_433_137 * 968 * 10**6 // 10**4 // YEAR
    assert (moved, node.growth_per_second_scaled) == ({WSTETH}, growth)
    assert node.max_ratio(NOW) == 1_227_182_231_483_433_137 + growth * 7 // 10**6


def test_caps_of_stable_coins() -> None:
    prices = book()
    assert prices.apply(PriceCapUpdated(at("usdc"), 99_000_000)) == {USDC}
    assert prices.price(USDC, NOW) == 99_000_000
    assert prices.apply(PriceCapRatioUpdated(at("eurc"), 99_999_999)) == {EURC}
    assert prices.price(EURC, NOW) == 109_999_998


@pytest.mark.parametrize("value", [0, -1])
def test_no_price_above_zero_is_none(value: int) -> None:
    prices = book()
    prices.apply(answer("eth feed", value))
    prices.apply(answer("usd", value))
    prices.apply(answer("euro", value))
    assert prices.prices(NOW).keys() == {GHO, ODD}
    assert prices.price(ETH, NOW) is None
    assert prices.price(99, NOW) is None


def test_before_its_snapshot_a_ratio_has_no_price() -> None:
    assert book(wsteth=ratio_cap("ratio", since=NOW + 1)).price(WSTETH, NOW) is None


def test_what_is_not_understood_is_asked() -> None:
    prices = book()
    assert prices.polled == {LBTC, ODD}
    assert prices.polled_nodes.keys() == {at("rate"), at("odd")}
    assert prices.hear(at("rate"), 11 * 10**17) == {LBTC}
    assert prices.price(LBTC, NOW) == 2_200_00000000
    assert prices.hear(at("rate"), 11 * 10**17) == frozenset()
    assert prices.hear(at("eth feed"), 1) == frozenset()
    assert prices.hear(at("odd"), 0) == {ODD}
    assert prices.price(ODD, NOW) is None


def test_who_is_to_be_heard() -> None:
    prices = book(odd=Polled(55, emits=True))
    feeds = {at(name) for name in ("eth feed", "ratio feed", "usd", "euro", "eurc feed")}
    assert prices.aggregators == feeds | {at("odd")}
    assert prices.adapters == {at(name) for name in ("wsteth", "lbtc", "usdc", "eurc")}
    assert book().adapters == prices.adapters | {at("odd")}
    assert prices.apply(answer("odd", 9)) == {ODD}


def test_a_price_that_the_oracle_contradicts_is_the_oracles() -> None:
    prices = book()
    told = {ETH: 2_000_00000000, WSTETH: 5, GHO: 0}
    assert prices.differing(told, NOW) == {WSTETH, GHO}
    prices.distrust({WSTETH: 5, GHO: 0})
    assert prices.distrusted == {WSTETH, GHO}
    assert prices.polled == {LBTC, ODD, WSTETH, GHO}
    assert (prices.price(WSTETH, NOW), prices.price(GHO, NOW)) == (5, None)
    assert prices.apply(answer("eth feed", 1)) == {ETH, WSTETH, LBTC}
    assert prices.price(WSTETH, NOW) == 5
    prices.apply(answer("ratio feed", 2 * 10**18))
    assert WSTETH not in prices.timed(NOW)


def dual(*, secondary: bool) -> PriceBook:
    feed = DualAggregator(
        latest=2,
        secondary=1,
        latest_is_secondary=False,
        cutoff=10,
        search_depth=20,
        transmissions={1: Transmission(1_000, NOW - 500), 2: Transmission(2_000, NOW)},
    )
    return book(**{"eth": Proxy(at("eth feed"), secondary=secondary), "eth feed": feed})


def test_two_readers_of_one_dual_aggregator_see_different_answers() -> None:
    hidden, plain = dual(secondary=True), dual(secondary=False)
    assert [hidden.price(ETH, NOW + later) for later in (0, 10, 11)] == [1_000, 1_000, 2_000]
    assert [plain.price(ETH, NOW + later) for later in (0, 10, 11)] == [2_000, 2_000, 2_000]
    assert hidden.timed(NOW) == dict.fromkeys((ETH, WSTETH, LBTC), NOW + 11)
    assert plain.timed(NOW) == {}
    assert hidden.apply(events.SecondaryRoundIdUpdated(at("eth feed"), 2)) == {ETH, WSTETH, LBTC}
    assert hidden.price(ETH, NOW) == 2_000


def test_one_aggregator_serves_both_its_readers_in_one_book() -> None:
    prices = dual(secondary=True)
    nodes = {**prices.tree.nodes, at("odd"): Proxy(at("eth feed"))}
    both = PriceBook.of(PriceTree(nodes, prices.tree.roots))
    assert (both.price(ETH, NOW), both.price(ODD, NOW)) == (1_000, 2_000)

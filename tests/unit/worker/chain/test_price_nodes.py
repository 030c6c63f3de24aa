"""Contracts are told apart by what they answer."""

from __future__ import annotations

from eth_abi.abi import encode as abi_encode

from core.domain.price_tree import Aggregator, EuroCap, Polled, Proxy, RatioCap, StableCap
from core.domain.units import Address
from worker.chain.price_nodes import SELECTORS, Contract, Round, node_of, round_of

ME, BASE, OTHER = (Address("0x" + pair * 20) for pair in ("3e", "ba", "0e"))


def contract(address: Address = ME, **answers: int | str | tuple[int, ...]) -> Contract:
    """Make a contract that answers some getters: numbers, addresses, texts, or rows of numbers."""
    encoded = {name: _encode(value) for name, value in answers.items()}
    return Contract(address, dict.fromkeys(SELECTORS) | encoded)


def _encode(value: int | str | tuple[int, ...]) -> bytes:
    if isinstance(value, tuple):
        return abi_encode(["int256"] * len(value), value)
    if isinstance(value, int):
        return abi_encode(["int256"], [value])
    return abi_encode(["address" if value.startswith("0x") else "string"], [value])


RATIO = {"getSnapshotRatio": 12, "getSnapshotTimestamp": 13, "getMaxRatioGrowthPerSecondScaled": 14}


def test_kinds_of_adapters() -> None:
    both = {"BASE_TO_USD_AGGREGATOR": BASE, "RATIO_DECIMALS": 18}
    assert node_of(contract(RATIO_PROVIDER=OTHER, latestAnswer=5, **both, **RATIO)) == RatioCap(
        base=BASE,
        ratio=OTHER,
        snapshot_ratio=12,
        snapshot_timestamp=13,
        growth_per_second_scaled=14,
        ratio_decimals=18,
    )
    assert node_of(contract(ASSET_TO_USD_AGGREGATOR=OTHER, getPriceCapRatio=7, **both)) == EuroCap(OTHER, BASE, 7, 18)
    assert node_of(contract(ASSET_TO_USD_AGGREGATOR=OTHER, getPriceCap=7)) == StableCap(OTHER, 7)
    assert node_of(contract(aggregator=OTHER, latestAnswer=5)) == Proxy(OTHER)


def test_an_adapter_that_answers_half_is_not_understood_but_its_feeds_are_known() -> None:
    half = contract(BASE_TO_USD_AGGREGATOR=BASE, RATIO_PROVIDER=OTHER, latestAnswer=5, getSnapshotRatio=1)
    assert node_of(half) == Polled(5, below=(BASE, OTHER))
    pegged = contract(ASSET_TO_PEG=BASE, PEG_TO_BASE=OTHER, latestAnswer=5)
    assert node_of(pegged) == Polled(5, below=(BASE, OTHER))


def test_an_aggregator_answers_by_itself_or_through_its_proxy() -> None:
    assert node_of(contract(latestAnswer=-5, latestRound=9)) == Aggregator(-5, 9)
    shut = contract()
    proxy = contract(OTHER, aggregator=ME, latestRoundData=((3 << 64) + 17, 55, 1, 2, 17))
    shut.proxies.append(proxy)
    assert node_of(shut) == Aggregator(55, 17)


def test_a_dual_aggregator_of_another_version_is_not_understood() -> None:
    other = contract(latestAnswer=5, latestRound=9, typeAndVersion="DualAggregator 2.0.0")
    assert other.is_dual
    assert node_of(other) == Polled(5, emits=True)


def test_a_rate_is_asked_of_the_adapter_that_uses_it() -> None:
    rate = contract()
    rate.rated_by = contract(OTHER, getRatio=77)
    assert node_of(rate) == Polled(77, ratio_of=OTHER)


def test_what_answers_nothing_is_worth_nothing() -> None:
    assert node_of(Contract.silent(ME)) == Polled(0)
    assert node_of(contract(latestAnswer=5)) == Polled(5)


def test_rounds_leave_the_phase_out() -> None:
    assert round_of(abi_encode(["int256"] * 5, [(7 << 64) + 3, -4, 1, 99, 3])) == Round(3, -4, 99)
    assert round_of(bytes(160)) is None
    assert round_of(bytes(32)) is None
    assert round_of(None) is None

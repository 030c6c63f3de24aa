"""What the contracts of a price tree answer to getters, and which kind of node each is by that.

No contract is known by its address. What does not answer as one of the known kinds does becomes a `Polled` node.
Source of the getters: PriceCapAdapterBase, PriceCapAdapterStable and EURPriceCapAdapterStable of aave-capo; Chainlink's
EACAggregatorProxy, OCR2Aggregator and DualAggregator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.domain.price_tree import Aggregator, EuroCap, Node, Polled, Proxy, RatioCap, StableCap
from core.domain.units import Address
from worker.chain import codec
from worker.chain.reading import Answers, Reading

_SELECTORS = {
    "aggregator": "245a7bfc",
    "latestAnswer": "50d25bcd",
    "latestRound": "668a0f02",
    "latestRoundData": "feaf968c",
    "description": "7284e416",
    "typeAndVersion": "181f5a77",
    "ASSET_TO_USD_AGGREGATOR": "4ebdc284",
    "BASE_TO_USD_AGGREGATOR": "d221087c",
    "RATIO_PROVIDER": "dc4a4be8",
    "ASSET_TO_PEG": "910bb70c",
    "PEG_TO_BASE": "de4aedab",
    "RATIO_DECIMALS": "a83622e0",
    "getRatio": "ec1ebd7a",
    "getSnapshotRatio": "fe4d9e79",
    "getSnapshotTimestamp": "deb8c641",
    "getMaxRatioGrowthPerSecondScaled": "82294d3c",
    "getPriceCap": "4c7afe60",
    "getPriceCapRatio": "4d3f6200",
}
SELECTORS = {name: bytes.fromhex(selector) for name, selector in _SELECTORS.items()}
_BELOW = ("ASSET_TO_USD_AGGREGATOR", "BASE_TO_USD_AGGREGATOR", "RATIO_PROVIDER", "ASSET_TO_PEG", "PEG_TO_BASE")
_AGGREGATOR_ROUND = (1 << 64) - 1
"""A proxy's round ids carry their phase above the aggregator's own 64 bits."""


@dataclass(frozen=True, slots=True)
class Round:
    """Hold an aggregator's round: its id without the phase, its answer and when it was recorded (unix seconds)."""

    id: int
    answer: int
    recorded: int


@dataclass(slots=True)
class Contract:
    """Hold what one contract answered; `proxies` are the ones above it, `rated_by` an adapter whose ratio it is."""

    address: Address
    answers: Mapping[str, bytes | None]
    proxies: list[Contract] = field(default_factory=list)
    rated_by: Contract | None = None
    code: bytes = b""

    @classmethod
    def silent(cls, address: Address) -> Contract:
        """Return a contract that answers nothing."""
        return cls(address, dict.fromkeys(SELECTORS))

    def number(self, name: str) -> int | None:
        """Return an answer as an unsigned number; None where there is no such getter."""
        answer = self.answers[name]
        return codec.uint_at(answer) if answer is not None and len(answer) == codec.WORD else None

    def signed(self, name: str) -> int | None:
        """Return an answer as a signed number; None where there is no such getter."""
        value = self.number(name)
        return None if value is None else codec.signed(value)

    def named(self, name: str) -> Address | None:
        """Return an answer as an address; None where there is none but zero."""
        value = self.number(name)
        return Address(f"0x{value:040x}") if value and not value >> 160 else None

    def text(self, name: str) -> str:
        """Return an answer as text, "" where it is none."""
        answer = self.answers[name]
        try:
            return codec.text(answer) if answer else ""
        except ValueError:
            return ""

    def round(self) -> Round | None:
        """Return what latestRoundData tells of the newest round that the asker may see."""
        return round_of(self.answers["latestRoundData"])

    @property
    def answer(self) -> int:
        """Return latestAnswer, 0 where it reverts, as it does to whom reads it on the chain."""
        return self.signed("latestAnswer") or 0

    @property
    def below(self) -> tuple[Address, ...]:
        """Return the contracts that it says it stands on."""
        proxied = self.named("aggregator")
        if proxied is not None:
            return (proxied,)
        return tuple(dict.fromkeys(found for name in _BELOW if (found := self.named(name)) is not None))

    @property
    def is_aggregator(self) -> bool:
        """Tell whether it stands where an aggregator stands: below a proxy, or with rounds of its own."""
        return not self.below and (bool(self.proxies) or self.number("latestRound") is not None)

    @property
    def is_dual(self) -> bool:
        """Tell whether it calls itself a DualAggregator, of whichever version."""
        return self.is_aggregator and self.text("typeAndVersion").startswith("DualAggregator ")


def ask(reading: Reading, address: Address, found: dict[Address, Contract]) -> None:
    """Ask a contract everything, to be put into `found`."""

    def take(answers: Answers) -> None:
        found[address] = Contract(address, dict(zip(SELECTORS, answers, strict=True)))

    reading.ask([(address, selector) for selector in SELECTORS.values()], take)


def round_of(answer: bytes | None) -> Round | None:
    """Decode latestRoundData or getRoundData; None where there is no such round."""
    if answer is None or len(answer) < 5 * codec.WORD:
        return None
    id_, value, _, recorded, _ = codec.uints(answer, 5)
    return Round(id_ & _AGGREGATOR_ROUND, codec.signed(value), recorded) if id_ else None


def node_of(contract: Contract) -> Node:
    """Return the kind of node that a contract is by its answers; aggregators as if they were plain ones."""
    proxied = contract.named("aggregator")
    if proxied is not None:
        return Proxy(proxied)
    return _adapter(contract) or _aggregator(contract) or _unknown(contract)


def _adapter(contract: Contract) -> Node | None:
    base, ratio = contract.named("BASE_TO_USD_AGGREGATOR"), contract.named("RATIO_PROVIDER")
    asset = contract.named("ASSET_TO_USD_AGGREGATOR")
    cap, cap_ratio = contract.signed("getPriceCap"), contract.signed("getPriceCapRatio")
    decimals = contract.number("RATIO_DECIMALS")
    snapshot, since = contract.number("getSnapshotRatio"), contract.number("getSnapshotTimestamp")
    growth = contract.number("getMaxRatioGrowthPerSecondScaled")
    if base and ratio and decimals is not None and snapshot is not None and since is not None and growth is not None:
        return RatioCap(
            base=base,
            ratio=ratio,
            snapshot_ratio=snapshot,
            snapshot_timestamp=since,
            growth_per_second_scaled=growth,
            ratio_decimals=decimals,
        )
    if asset and base and cap_ratio is not None and decimals is not None:
        return EuroCap(asset, base, cap_ratio, decimals)
    if asset and cap is not None:
        return StableCap(asset, cap)
    return None


def _aggregator(contract: Contract) -> Node | None:
    """Return a plain aggregator as its own getters tell of it, or, where it answers proxies only, as those do."""
    if not contract.is_aggregator or contract.is_dual:
        return None
    answer, round_ = contract.signed("latestAnswer"), contract.number("latestRound")
    if answer is not None and round_ is not None:
        return Aggregator(answer, round_)
    told = next((told for proxy in contract.proxies if (told := proxy.round()) is not None), None)
    return None if told is None else Aggregator(told.answer, told.id)


def _unknown(contract: Contract) -> Node:
    adapter = contract.rated_by
    if contract.number("latestAnswer") is None and adapter is not None:
        return Polled(adapter.signed("getRatio") or 0, contract.below, ratio_of=adapter.address)
    return Polled(contract.answer, contract.below, emits=contract.is_aggregator)

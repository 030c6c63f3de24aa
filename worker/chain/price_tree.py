"""Reading the price tree at one block: contracts level by level, rounds of DualAggregators, each node checked."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from core.domain.dual_aggregator import DualAggregator, Transmission
from core.domain.price_tree import Fixed, Node, Polled, PriceTree, Proxy, Reader, below
from core.domain.units import Address
from core.errors import RpcUnavailable
from worker.chain import codec, words
from worker.chain.bytecode import answers_never_change, holds_address
from worker.chain.multicall import Block, Multicall, block_tag
from worker.chain.price_nodes import Contract, Round, ask, node_of, round_of
from worker.chain.reading import Answers, Reading

log = logging.getLogger(__name__)

MAX_DEPTH = 8
MOST_ROUNDS = 256
GET_ROUND_DATA = bytes.fromhex("9a6fc8f5")
DUAL_VERSION = "DualAggregator 1.0.0"
HOT_VARS_SLOT = 13
CUTOFF_SLOT = 18
SEARCH_DEPTH_OF_BASE = 20
"""The search depth where storage holds none: the build that is deployed on Base has it in its code."""


async def read_tree(
    multicall: Multicall, sources: Mapping[int, Address], roots: Collection[Address], block: Block = "latest"
) -> PriceTree:
    """Return the tree below the reserves' price sources and further roots, every node checked at the block.

    Raise what Multicall.read raises.
    """
    number = await _number(multicall, block)
    contracts = await _contracts(multicall, {*roots, *sources.values()}, number)
    await _read_codes(multicall, contracts.values(), number)
    nodes = {address: node_of(contract) for address, contract in contracts.items()}
    for contract in contracts.values():
        if contract.is_dual and contract.text("typeAndVersion") == DUAL_VERSION:
            nodes[contract.address] = await _dual(multicall, contract, number)
            for proxy in contract.proxies:
                secondary = holds_address(contract.code, proxy.address)
                nodes[proxy.address] = Proxy(contract.address, secondary=secondary)
        elif _is_fixed(nodes[contract.address], contract):
            nodes[contract.address] = Fixed(contract.answer)
    _check(nodes, contracts, await timestamp_of(multicall, number))
    names = {address: contract.text("description") for address, contract in contracts.items()}
    return PriceTree(nodes, dict(sources), names)


async def timestamp_of(multicall: Multicall, block: int) -> int:
    """Return a block's timestamp in unix seconds, as the contracts see it."""
    found: list[int] = []

    def take(answers: Answers) -> None:
        found.append(codec.uint_at(words.given(answers[0], "Multicall3.getCurrentBlockTimestamp")))

    reading = Reading()
    reading.ask([(multicall.address, words.GET_CURRENT_BLOCK_TIMESTAMP)], take)
    await reading.read(multicall, block)
    return found[0]


async def _number(multicall: Multicall, block: Block) -> int:
    return block if isinstance(block, int) else _word(await multicall.rpc.call("eth_blockNumber", []))


async def _contracts(multicall: Multicall, roots: set[Address], block: int) -> dict[Address, Contract]:
    found: dict[Address, Contract] = {}
    frontier = roots
    for _ in range(MAX_DEPTH):
        reading = Reading()
        for address in sorted(frontier):
            ask(reading, address, found)
        await reading.read(multicall, block)
        frontier = {each for address in frontier for each in found[address].below} - found.keys()
    found |= {address: Contract.silent(address) for address in frontier}  # deeper than any price tree
    for contract in list(found.values()):
        for address in contract.below:
            _relate(contract, found[address])
    return found


def _relate(above: Contract, contract: Contract) -> None:
    if above.named("aggregator") == contract.address:
        contract.proxies.append(above)
    elif above.named("RATIO_PROVIDER") == contract.address:
        contract.rated_by = above


async def _read_codes(multicall: Multicall, contracts: Iterable[Contract], block: int) -> None:
    """Read the code of those whose kind it decides: DualAggregators, and leaves that give an answer and no rounds."""
    for contract in contracts:
        is_leaf = not contract.below and not contract.is_aggregator and contract.number("latestAnswer") is not None
        if is_leaf or contract.is_dual:
            code = await multicall.rpc.call("eth_getCode", [contract.address, block_tag(block)])
            contract.code = _bytes(code)


def _is_fixed(node: Node, contract: Contract) -> bool:
    return isinstance(node, Polled) and not contract.is_dual and answers_never_change(contract.code)


async def _dual(multicall: Multicall, contract: Contract, block: int) -> DualAggregator:
    """Read a DualAggregator: its state from storage, since no getter shows it, and its rounds from getters.

    The newest round may be hidden from all but the secondary proxy, which shows it then.
    """
    state, limits = [
        _word(await multicall.rpc.call("eth_getStorageAt", [contract.address, hex(slot), block_tag(block)]))
        for slot in (HOT_VARS_SLOT, CUTOFF_SLOT)
    ]
    latest, secondary = _field(state, 6), _field(state, 10)
    depth = _field(limits, 4) or SEARCH_DEPTH_OF_BASE
    ids = {*range(max(1, latest - min(depth, MOST_ROUNDS)), latest + 1), *([secondary] if secondary else [])}
    rounds = await _rounds(multicall, contract.address, ids, block)
    rounds += [seen for proxy in contract.proxies if (seen := proxy.round()) is not None and seen.id in ids]
    return DualAggregator(
        latest=latest,
        secondary=secondary,
        latest_is_secondary=bool(state >> 240 & 0xFF),
        cutoff=_field(limits, 0),
        search_depth=depth,
        transmissions={each.id: Transmission(each.answer, each.recorded) for each in rounds},
    )


async def _rounds(multicall: Multicall, aggregator: Address, ids: Iterable[int], block: int) -> list[Round]:
    found: list[Round] = []

    def take(answers: Answers) -> None:
        found.extend(told for answer in answers if (told := round_of(answer)) is not None)

    reading = Reading()
    reading.ask([(aggregator, codec.call_with_uint(GET_ROUND_DATA, id_)) for id_ in sorted(ids)], take)
    await reading.read(multicall, block)
    return found


def _check(nodes: dict[Address, Node], contracts: Mapping[Address, Contract], now: int) -> None:
    """Replace every node whose formula does not give its contract's own answer, from the leaves up."""
    for address in _leaves_first(nodes, contracts):
        node, contract = nodes[address], contracts[address]
        said = contract.signed("latestAnswer")
        if isinstance(node, Fixed | Polled) or (said is None and contract.is_aggregator):
            continue
        ours = Reader(nodes, now).answer(address)
        if ours != contract.answer:
            text = "[prices] %s answers %s but its formula gives %d: it is not understood, and polled"
            log.warning(text, address, said, ours)
            nodes[address] = Polled(contract.answer, below(node), emits=contract.is_aggregator)


def _leaves_first(nodes: dict[Address, Node], contracts: Mapping[Address, Contract]) -> list[Address]:
    """Return every contract after those it stands on; one that stands on itself is cut off from that."""
    done: dict[Address, bool] = {}
    order: list[Address] = []

    def visit(address: Address) -> None:
        done[address] = False
        for each in below(nodes[address]):
            if done.get(each) is False:
                nodes[address] = Polled(contracts[address].answer)
            elif each not in done:
                visit(each)
        done[address] = True
        order.append(address)

    for address in list(nodes):
        if address not in done:
            visit(address)
    return order


def _field(word: int, byte: int) -> int:
    """Return the uint32 that begins so many bytes above a storage word's lowest."""
    return word >> 8 * byte & 0xFFFF_FFFF


def _word(answer: object) -> int:
    try:
        return int(str(answer), 16)
    except ValueError:
        raise RpcUnavailable(f"the node answered {str(answer)[:40]!r} instead of a number") from None


def _bytes(answer: object) -> bytes:
    try:
        return codec.unhex(answer)
    except ValueError as exc:
        raise RpcUnavailable(f"the node sent code that is none: {exc}") from None

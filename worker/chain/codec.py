"""ABI words by hand: every call the worker makes per block takes and gives static words, so slicing is enough.

A word is 32 bytes, big-endian. Functions raise ValueError when data is too short for what is read from it.
Source: the Solidity ABI specification, "Formal Specification of the Encoding".
"""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.units import Address

Call = tuple[Address, bytes]
"""A target and its calldata."""

WORD = 32
ZERO_ADDRESS = Address("0x" + "0" * 40)

_AGGREGATE3 = bytes.fromhex("82ad56cb")
_POINTER_TO_ARRAY = (WORD).to_bytes(WORD, "big")
_ALLOW_FAILURE = (1).to_bytes(WORD, "big")
_CALL_DATA_OFFSET = (3 * WORD).to_bytes(WORD, "big")
_ADDRESS_PAD = bytes(12)


def uint_word(value: int) -> bytes:
    """Encode an unsigned integer below 2^256."""
    return value.to_bytes(WORD, "big")


def address_word(address: str) -> bytes:
    """Encode an address."""
    return _ADDRESS_PAD + bytes.fromhex(address[2:])


def call_with_address(selector: bytes, address: str) -> bytes:
    """Encode a call whose one argument is an address."""
    return selector + _ADDRESS_PAD + bytes.fromhex(address[2:])


def call_with_uint(selector: bytes, value: int) -> bytes:
    """Encode a call whose one argument is an unsigned integer."""
    return selector + value.to_bytes(WORD, "big")


def uint_at(data: bytes, index: int = 0) -> int:
    """Decode the word at a position as an unsigned integer."""
    word = data[index * WORD : (index + 1) * WORD]
    if len(word) < WORD:
        raise ValueError(f"{len(data)} bytes of return data hold no word {index}")
    return int.from_bytes(word, "big")


def signed(word: int) -> int:
    """Return what an unsigned word means as a signed integer (two's complement)."""
    return word - (1 << 256) if word >> 255 else word


def uints(data: bytes, count: int) -> list[int]:
    """Decode the first `count` words as unsigned integers."""
    if len(data) < count * WORD:
        raise ValueError(f"{len(data)} bytes of return data hold fewer than {count} words")
    return [int.from_bytes(data[at : at + WORD], "big") for at in range(0, count * WORD, WORD)]


def address_at(data: bytes, index: int = 0) -> Address:
    """Decode the word at a position as an address; raise ValueError when its upper bytes are not zero."""
    value = uint_at(data, index)
    if value >> 160:
        raise ValueError(f"word {index} is not an address: {value:#x}")
    return Address(f"0x{value:040x}")


def addresses(data: bytes) -> list[Address]:
    """Decode a returned address[]."""
    start = uint_at(data) // WORD
    return [address_at(data, start + 1 + i) for i in range(uint_at(data, start))]


def text(data: bytes) -> str:
    """Decode a returned string, or the bytes32 that old tokens return from symbol(); bad UTF-8 is replaced."""
    if len(data) == WORD:
        return data.rstrip(b"\0").decode("utf-8", "replace")
    at = uint_at(data)
    length = uint_at(data[at:])
    body = data[at + WORD : at + WORD + length]
    if len(body) < length:
        raise ValueError(f"a string of {length} bytes was promised, {len(body)} came")
    return body.decode("utf-8", "replace")


def unhex(value: object) -> bytes:
    """Decode the 0x string of a JSON-RPC answer; raise ValueError for anything else."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"expected a 0x string, got {str(value)[:40]!r}")
    return bytes.fromhex(value[2:])


def encode_aggregate3(calls: Sequence[Call]) -> bytes:
    """Encode Multicall3.aggregate3 with allowFailure set on every call."""
    heads: list[bytes] = [_AGGREGATE3, _POINTER_TO_ARRAY, len(calls).to_bytes(WORD, "big")]
    tails: list[bytes] = []
    offset = len(calls) * WORD
    for target, data in calls:
        padding = -len(data) % WORD
        heads.append(offset.to_bytes(WORD, "big"))
        tails += (
            _ADDRESS_PAD,
            bytes.fromhex(target[2:]),
            _ALLOW_FAILURE,
            _CALL_DATA_OFFSET,
            len(data).to_bytes(WORD, "big"),
            data,
            bytes(padding),
        )
        offset += 4 * WORD + len(data) + padding
    return b"".join(heads + tails)


def decode_aggregate3(data: bytes, count: int) -> list[bytes | None]:
    """Decode aggregate3's answer to `count` calls; None stands for a call that failed or returned nothing."""
    array = uint_at(data)
    if uint_at(data[array : array + WORD]) != count:
        raise ValueError(f"an answer to {uint_at(data[array : array + WORD])} calls came for {count}")
    base = array + WORD
    if len(data) < base + count * WORD:
        raise ValueError(f"{len(data)} bytes are too few for {count} results")
    results: list[bytes | None] = []
    for at in range(base, base + count * WORD, WORD):
        head = base + int.from_bytes(data[at : at + WORD], "big")
        body = head + 3 * WORD
        size = int.from_bytes(data[head + 2 * WORD : body], "big")
        if body + size > len(data):
            raise ValueError(f"a result of {size} bytes at {body} is cut off at {len(data)}")
        results.append(data[body : body + size] if size and data[head + WORD - 1] else None)
    return results

"""Words by hand equal words by eth_abi, and data that is cut off is refused."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from core.domain.units import Address
from worker.chain import codec

AN_ADDRESS = Address("0xa238dd80c259a72e81d7e4664a9801593f98d1c5")

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))
calls = st.lists(st.tuples(addresses, st.binary(max_size=100)), max_size=8)
results = st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=8)


@given(calls)
def test_aggregate3_is_encoded_as_eth_abi_does(made: list[codec.Call]) -> None:
    theirs = abi_encode(["(address,bool,bytes)[]"], [[(target, True, data) for target, data in made]])
    assert codec.encode_aggregate3(made) == bytes.fromhex("82ad56cb") + theirs


@given(results)
def test_aggregate3_answers_are_decoded_as_eth_abi_does(given_back: list[tuple[bool, bytes]]) -> None:
    data = abi_encode(["(bool,bytes)[]"], [given_back])
    expected = [answer if ok and answer else None for ok, answer in given_back]
    assert codec.decode_aggregate3(data, len(given_back)) == expected


@given(results.filter(len), st.data())
def test_a_cut_off_answer_is_refused_or_misses_only_padding(
    given_back: list[tuple[bool, bytes]], data: st.DataObject
) -> None:
    whole = abi_encode(["(bool,bytes)[]"], [given_back])
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        decoded = codec.decode_aggregate3(cut, len(given_back))
    except ValueError:
        return
    assert decoded == codec.decode_aggregate3(whole, len(given_back))


def test_an_answer_to_other_calls_is_refused() -> None:
    data = abi_encode(["(bool,bytes)[]"], [[(True, b"x")]])
    with pytest.raises(ValueError, match="an answer to 1 calls came for 2"):
        codec.decode_aggregate3(data, 2)


@given(st.integers(0, 2**256 - 1), addresses)
def test_words_equal_eth_abi(value: int, address: Address) -> None:
    assert codec.uint_word(value) == abi_encode(["uint256"], [value])
    assert codec.address_word(address) == abi_encode(["address"], [address])
    assert codec.call_with_address(b"abcd", address) == b"abcd" + codec.address_word(address)
    assert codec.call_with_uint(b"abcd", value) == b"abcd" + codec.uint_word(value)
    assert codec.uint_at(codec.uint_word(7) + codec.uint_word(value), 1) == value
    assert codec.uints(codec.uint_word(7) + codec.uint_word(value), 2) == [7, value]
    assert codec.address_at(codec.address_word(address)) == address


@given(st.lists(addresses, max_size=6))
def test_address_lists_equal_eth_abi(listed: list[Address]) -> None:
    assert codec.addresses(abi_encode(["address[]"], [listed])) == listed


@given(st.text(max_size=80))
def test_strings_equal_eth_abi(text: str) -> None:
    assert codec.text(abi_encode(["string"], [text])) == text


def test_symbols_of_old_tokens_are_bytes32() -> None:
    assert codec.text(b"MKR".ljust(32, b"\0")) == "MKR"


@pytest.mark.parametrize(
    "decode",
    [
        lambda: codec.uint_at(b"\0" * 31),
        lambda: codec.uints(b"\0" * 63, 2),
        lambda: codec.address_at(b"\x01" * 32),
        lambda: codec.addresses(codec.uint_word(32) + codec.uint_word(3) + codec.address_word(AN_ADDRESS)),
        lambda: codec.text(codec.uint_word(32) + codec.uint_word(40) + b"short"),
        lambda: codec.unhex(None),
        lambda: codec.unhex("a238"),
        lambda: codec.unhex("0xzz"),
    ],
)
def test_what_is_not_there_is_refused(decode: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode()  # type: ignore[operator]

"""Code that can read nothing answers the same forever, and nothing else is taken for that."""

from __future__ import annotations

import pytest

from core.domain.units import Address
from worker.chain.bytecode import answers_never_change, holds_address

METADATA = bytes.fromhex("a2646970667358221220" + "54" * 32 + "64736f6c634300081b0033")
ANSWERS_ONE = bytes.fromhex("60015f5260205ff3")


@pytest.mark.parametrize("code", [ANSWERS_ONE, ANSWERS_ONE + b"\xfe" + METADATA, bytes.fromhex("7f" + "54" * 32)])
def test_code_that_reads_nothing(code: bytes) -> None:
    assert answers_never_change(code)


@pytest.mark.parametrize(
    "code",
    [
        b"",
        bytes.fromhex("5f545f5260205ff3"),  # SLOAD
        bytes.fromhex("425f5260205ff3"),  # TIMESTAMP
        bytes.fromhex("5f5f5f5f5f5ffa"),  # STATICCALL
        bytes.fromhex("5f5f5f5f5ff4"),  # DELEGATECALL
        bytes.fromhex("335f5260205ff3"),  # CALLER
        bytes.fromhex("5fff"),  # SELFDESTRUCT
        bytes.fromhex("ef0100" + "11" * 20),  # a delegated account
        ANSWERS_ONE + METADATA[:-2] + b"\x00\x01",  # data that is no metadata
    ],
)
def test_code_that_may_answer_otherwise(code: bytes) -> None:
    assert not answers_never_change(code)


def test_an_immutable_address_is_found_in_the_code() -> None:
    address = Address("0x" + "ab" * 20)
    assert holds_address(b"\x7f" + bytes(12) + bytes.fromhex("ab" * 20), address)
    assert not holds_address(ANSWERS_ONE, address)

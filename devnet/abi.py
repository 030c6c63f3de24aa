"""Calls and answers as bytes: a function is written as one string, `name(types)(answer types)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from core.domain.units import Address


@dataclass(frozen=True, slots=True)
class Function:
    """Hold one contract function: its selector, what it takes and what it answers."""

    name: str
    selector: bytes
    takes: tuple[str, ...]
    answers: tuple[str, ...]

    def encode(self, arguments: Sequence[Any]) -> str:
        """Return the call data as 0x hex."""
        return "0x" + (self.selector + encode(self.takes, arguments)).hex()

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Return the answer's values; addresses come back in lower case."""
        return tuple(decode(self.answers, data))


@lru_cache(maxsize=512)
def function(text: str) -> Function:
    """Parse `name(takes)(answers)`; the second pair of parentheses may be missing."""
    name, rest = text.split("(", 1)
    takes, rest = _split_group("(" + rest)
    answers = _split_group(rest)[0] if rest else ""
    selector = keccak(text=f"{name}({takes})")[:4]
    return Function(name, selector, tuple(_split_list(takes)), tuple(_split_list(answers)))


@lru_cache(maxsize=128)
def topic(signature: str) -> str:
    """Return an event's topic0 from its signature."""
    return "0x" + keccak(text=signature).hex()


def encode_arguments(types: str, arguments: Sequence[Any]) -> str:
    """Return constructor arguments as hex without 0x; `types` is a comma-separated list."""
    return encode(list(_split_list(types)), arguments).hex()


def to_address(word: str | bytes) -> Address:
    """Return the address in the last 20 bytes of a word or a hex string, in lower case."""
    text = word.hex() if isinstance(word, bytes) else word
    return Address("0x" + text[-40:].lower())


def _split_group(text: str) -> tuple[str, str]:
    """Split `(inside)rest` at the parenthesis that closes the first one."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[1:position], text[position + 1 :]
    raise ValueError(f"unbalanced parentheses: {text}")


def _split_list(text: str) -> list[str]:
    """Split a list of types at its top-level commas."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if text:
        parts.append(text[start:])
    return parts

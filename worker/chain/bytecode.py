"""What a contract's code gives away without being run."""

from __future__ import annotations

from core.domain.units import Address

_PUSH1, _PUSH32 = 0x60, 0x7F
_READS_STATE = frozenset(
    {
        0x31,  # BALANCE
        *range(0x32, 0x34),  # ORIGIN, CALLER
        0x3A,  # GASPRICE
        *range(0x3B, 0x3D),  # EXTCODESIZE, EXTCODECOPY
        0x3F,  # EXTCODEHASH
        *range(0x40, 0x4C),  # BLOCKHASH to SLOTNUM: everything about blocks
        0x54,  # SLOAD
        0x5A,  # GAS
        0x5C,  # TLOAD
        0xF0,  # CREATE
        0xF1,  # CALL
        0xF2,  # CALLCODE
        0xF4,  # DELEGATECALL
        0xF5,  # CREATE2
        0xFA,  # STATICCALL
        0xFF,  # SELFDESTRUCT
    }
)
"""Every instruction by which an answer could depend on anything but the question, or the code be replaced."""
_METADATA_LENGTH = 2
_LONGEST_METADATA = 128
_CBOR_MAP = range(0xA1, 0xA5)
_DELEGATION = bytes.fromhex("ef0100")


def answers_never_change(code: bytes) -> bool:
    """Tell whether no instruction of the code can read state, time or another contract.

    The code is read as the EVM itself looks for jump targets, so nothing that can run is missed; constants that stand
    in between are read as code, too, which errs towards False. The compiler's metadata is left out.
    """
    if not code or code.startswith(_DELEGATION):
        return False
    code = _without_metadata(code)
    at = 0
    while at < len(code):
        instruction = code[at]
        if instruction in _READS_STATE:
            return False
        at += 1 + (instruction - _PUSH1 + 1 if _PUSH1 <= instruction <= _PUSH32 else 0)
    return True


def holds_address(code: bytes, address: Address) -> bool:
    """Tell whether an address is written into the code, as an immutable of the contract is."""
    return bytes(12) + bytes.fromhex(address[2:]) in code


def _without_metadata(code: bytes) -> bytes:
    """Cut off what the Solidity compiler appends (a CBOR map and its length), which is never run."""
    length = int.from_bytes(code[-_METADATA_LENGTH:], "big")
    start = len(code) - length - _METADATA_LENGTH
    if 0 < length <= _LONGEST_METADATA and start > 0 and code[start] in _CBOR_MAP:
        return code[:start]
    return code

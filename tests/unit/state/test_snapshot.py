"""A snapshot gives back exactly what was packed, and says so when it cannot."""

from __future__ import annotations

import json
import zlib

import pytest

from core.domain.position import Position
from core.domain.units import Address, ScaledAmount
from core.state.snapshot import ROWS_A_LINE, Snapshot, pack, unpack


async def test_what_is_packed_comes_back() -> None:
    positions = [
        Position(Address(f"0x{n:040x}"), n % 2, ((3, ScaledAmount(10**30 + n)),), ((3, ScaledAmount(n + 1)),), 8)
        for n in range(ROWS_A_LINE + 1)
    ]
    snapshot = Snapshot(99, "0xabc", 11, (positions[0].user,), positions)
    assert unpack(await pack(snapshot)) == snapshot


@pytest.mark.parametrize(
    "body",
    [b"", b"not compressed", zlib.compress(b""), zlib.compress(json.dumps([2, 9, "0x", 10, []]).encode())],
    ids=["empty", "garbage", "no header", "newer"],
)
async def test_what_cannot_be_read_says_so(body: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        unpack(body)

"""Positions as bytes: what a restart needs instead of reading every account again.

Compressed JSON lines: a header, then a thousand positions a line. Packing pauses between lines, so that it never holds
the event loop for long; positions are immutable, so what is packed is what was there when it began.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.position import Position
from core.domain.units import Address

VERSION = 1
ROWS_A_LINE = 1_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold positions as of a block with this hash.

    `unsettled` are accounts that logs touched so shortly before that some of them may have been late or early: their
    positions are not to be trusted.
    """

    block: int
    block_hash: str
    revision: int
    unsettled: tuple[Address, ...]
    positions: Sequence[Position]


async def pack(snapshot: Snapshot) -> bytes:
    """Return a snapshot as bytes."""
    packer = zlib.compressobj(level=1)
    header = [VERSION, snapshot.block, snapshot.block_hash, snapshot.revision, snapshot.unsettled]
    parts = [packer.compress(json.dumps(header).encode() + b"\n")]
    for line in _lines(snapshot.positions):
        parts.append(packer.compress(line))
        await asyncio.sleep(0)
    return b"".join((*parts, packer.flush()))


def unpack(body: bytes) -> Snapshot:
    """Return what was packed; raise ValueError for what this version cannot read."""
    try:
        lines = zlib.decompress(body).splitlines()
        version, block, block_hash, revision, unsettled = json.loads(lines[0])
        positions = [_position(row) for line in lines[1:] for row in json.loads(line)]
    except (zlib.error, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"the snapshot cannot be read: {error!r}") from error
    if version != VERSION:
        raise ValueError(f"the snapshot is of version {version}; this program reads version {VERSION}")
    return Snapshot(block, block_hash, revision, tuple(unsettled), positions)


def _lines(positions: Sequence[Position]) -> Iterator[bytes]:
    for start in range(0, len(positions), ROWS_A_LINE):
        rows = [
            (p.user, p.e_mode, p.collateral_enabled, p.collateral, p.debt)
            for p in positions[start : start + ROWS_A_LINE]
        ]
        yield json.dumps(rows, separators=(",", ":")).encode() + b"\n"


def _position(row: list[Any]) -> Position:
    user, e_mode, enabled, collateral, debt = row
    return Position(user, e_mode, tuple(map(tuple, collateral)), tuple(map(tuple, debt)), enabled)

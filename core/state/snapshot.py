"""The mirror as bytes: what a restart needs instead of reading every account again.

Compressed JSON lines: a header with block, reserves and e-modes, then a thousand positions a line. Packing pauses
between lines, so that it never holds the event loop for long; positions are immutable, so what is packed is what was
there when it began.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.domain.market import EModeCategory, Market, Reserve, Revision
from core.domain.position import Position

VERSION = 1
ROWS_A_LINE = 1_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold a market and its positions, exact at the end of a block with this hash; prices are not kept."""

    market: Market
    block_hash: str
    positions: list[Position]


async def pack(market: Market, block_hash: str, positions: Sequence[Position]) -> bytes:
    """Return the mirror as bytes."""
    packer = zlib.compressobj(level=1)
    parts = [packer.compress(_header(market, block_hash))]
    for line in _lines(positions):
        parts.append(packer.compress(line))
        await asyncio.sleep(0)
    return b"".join((*parts, packer.flush()))


def unpack(body: bytes) -> Snapshot:
    """Return what was packed; raise ValueError for what this version cannot read."""
    try:
        header, *lines = zlib.decompress(body).splitlines()
        head = json.loads(header)
        if head["v"] != VERSION:
            raise ValueError(f"a snapshot of version {head['v']}; this program reads version {VERSION}")
        market = Market(
            revision=Revision(head["revision"]),
            reserves={row["id"]: Reserve(**row) for row in head["reserves"]},
            e_modes={row["id"]: EModeCategory(**row) for row in head["e_modes"]},
            block=head["block"],
            timestamp=head["timestamp"],
        )
        positions = [_position(row) for line in lines for row in json.loads(line)]
    except (zlib.error, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the snapshot is damaged: {error!r}") from error
    return Snapshot(market, head["hash"], positions)


def _header(market: Market, block_hash: str) -> bytes:
    head = {
        "v": VERSION,
        "revision": market.revision,
        "block": market.block,
        "hash": block_hash,
        "timestamp": market.timestamp,
        "reserves": [asdict(reserve) for reserve in market.reserves.values()],
        "e_modes": [asdict(category) for category in market.e_modes.values()],
    }
    return json.dumps(head).encode() + b"\n"


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

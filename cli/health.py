"""Compare our figures with the chain's, to the wei."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.connection import connected, known_borrowers
from cli.progress import bars
from core.config import Settings
from core.domain.health_factor import HFCalculator, UserAccountData
from core.domain.market import Market
from core.domain.units import Address
from core.errors import ConfigError
from worker.chain.aave import AaveReader

BATCH = 200


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold an account's six figures as computed here and as the chain says, at the same block; None: no figures."""

    user: Address
    block: int
    ours: UserAccountData | None
    chain: UserAccountData | None

    @property
    def equal(self) -> bool:
        """Tell whether there are six figures on both sides, and all are equal."""
        return self.ours is not None and self.ours == self.chain

    @property
    def empty(self) -> bool:
        """Tell whether neither side has figures, such as where a price is missing: nothing was compared."""
        return self.ours is None and self.chain is None

    def as_json(self) -> dict[str, Any]:
        """Return the comparison with every figure as a decimal string."""
        return {
            "user": self.user,
            "block": self.block,
            "ours": _strings(self.ours),
            "chain": _strings(self.chain),
            "equal": self.equal,
            "empty": self.empty,
        }


def main(argv: Sequence[str]) -> int:
    """Print each account's six figures as computed here and as the chain says at the same block.

    Exit status 1 when any differ, or neither side has figures.
    """
    parser = argparse.ArgumentParser(prog="liquidbot health", description=main.__doc__)
    parser.add_argument("address", nargs="*", help="accounts to look at")
    parser.add_argument("--all", action="store_true", help="every borrower that the store knows or the logs name")
    parser.add_argument("--block", type=int, help="at this block instead of the latest one")
    parser.add_argument("--json", action="store_true", help="one JSON object an account")
    options = parser.parse_args(argv)
    if bool(options.address) == options.all:
        parser.error("give addresses, or --all")
    if options.block is not None and options.block < 0:
        raise ConfigError(f"--block {options.block}: allowed: a block's number, 0 or more")
    users = [_address(text) for text in options.address]
    return asyncio.run(_run(Settings.load(), users, options.block, options.json))


async def _run(settings: Settings, users: list[Address], block: int | None, as_json: bool) -> int:
    async with connected(settings) as reader:
        with bars(quiet=as_json) as progress:
            at = block if block is not None else await reader.block_number()
            market = await reader.load_market(at)
            chosen = users or await known_borrowers(settings, reader, market, progress)
            if not chosen:
                print("no borrower is known: is START_BLOCK right?", file=sys.stderr)
                return 1
            found = []
            async for comparison in compare(reader, market, chosen):
                found.append(comparison)
                progress("comparing accounts", len(found), len(chosen))
    if as_json:
        for comparison in found:
            print(json.dumps(comparison.as_json()))
    else:
        _show(found)
    return 0 if all(comparison.equal for comparison in found) else 1


async def compare(reader: AaveReader, market: Market, users: Sequence[Address]) -> AsyncIterator[Comparison]:
    """Yield a comparison for each account, in order, at the market's block."""
    for start in range(0, len(users), BATCH):
        batch = users[start : start + BATCH]
        positions = await reader.positions(batch, market.block)
        theirs = await reader.account_data(batch, market.block)
        for position, chain in zip(positions, theirs, strict=True):
            try:
                ours = HFCalculator().calculate(market, position, market.timestamp)
            except LookupError:
                ours = None
            yield Comparison(position.user, market.block, ours, chain)


def _show(found: Sequence[Comparison]) -> None:
    different = [comparison for comparison in found if not comparison.equal]
    table = Table("account", "figure", "ours", "chain", box=None, title=f"block {found[0].block}")
    for comparison in different or (found if len(found) <= 20 else []):
        for index, name in enumerate(UserAccountData._fields):
            ours, chain = (str(side[index]) if side else "-" for side in (comparison.ours, comparison.chain))
            style = "bold red" if ours != chain else ""
            table.add_row(comparison.user if index == 0 else "", name, ours, chain, style=style)
    console = Console()
    if table.row_count:
        console.print(table)
    console.print(f"{len(found)} accounts at block {found[0].block}: {_verdict(found)}")


def _verdict(found: Sequence[Comparison]) -> str:
    equal, empty = sum(one.equal for one in found), sum(one.empty for one in found)
    if equal == len(found):
        return "equal"
    different = len(found) - equal - empty
    parts = {"equal": equal, "DIFFER": different, "without figures on either side": empty}
    return ", ".join(f"{count} {words}" for words, count in parts.items() if count)


def _strings(figures: UserAccountData | None) -> dict[str, str] | None:
    return {name: str(value) for name, value in figures._asdict().items()} if figures else None


def _address(text: str) -> Address:
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ConfigError(f"{text}: allowed: an address, 0x and 40 hex digits")
    return Address(text.lower())

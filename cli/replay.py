"""Replay a recording."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from core.domain.health_factor import health_factor_text
from core.domain.opportunity import Opportunity
from worker.collectors.recorder import read_tape
from worker.replaying import Verdict, replay


def main(argv: Sequence[str]) -> int:
    """Run the pipeline over a recording (liquidbot worker --record FILE), without a chain, and compare its decisions.

    Exit status 1 says that a decision differs from the recorded one.
    """
    parser = argparse.ArgumentParser(prog="liquidbot replay", description=main.__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording; its further parts are found beside it")
    parser.add_argument("--speed", type=_speed, default=None, metavar="N|max", help="times the recorded speed; or max")
    parser.add_argument("--json", action="store_true", help="a JSON object a decision, then one with the counts")
    options = parser.parse_args(argv)
    return asyncio.run(_run(options.file, options.speed, options.json))


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: allowed: a number above 0, or max")
    return speed


async def _run(file: Path, speed: float | None, as_json: bool) -> int:
    console = Console()
    rows: list[tuple[str, ...]] = []
    tell: Callable[[Opportunity, Verdict], None] = _print if as_json else lambda o, v: rows.append(_row(o, v))
    result = await replay(read_tape(file), tell, speed)
    if as_json:
        print(json.dumps({**asdict(result), "faithful": result.faithful}))
    else:
        _show(console, rows)
        console.print("  ".join(f"{name}={value}" for name, value in asdict(result).items()))
        if not result.faithful:
            console.print("[bold red]not the recorded decisions[/]")
    return 0 if result.faithful else 1


def _fields(opportunity: Opportunity, verdict: Verdict) -> dict[str, Any]:
    """Return a decision for machines; amounts in the tokens' own units."""
    quote = opportunity.quote
    return {
        "id": opportunity.id,
        "block": opportunity.last_block,
        "user": opportunity.user,
        "state": opportunity.state,
        "reason": opportunity.reason,
        "trigger": opportunity.trigger.kind,
        "health_factor": str(opportunity.account.health_factor),
        "debt": quote and {"symbol": quote.debt.symbol, "amount": str(quote.debt.amount)},
        "collateral": quote and {"symbol": quote.collateral.symbol, "amount": str(quote.collateral.amount)},
        "profit_base": quote and str(quote.profit_base),
        "verdict": verdict,
    }


def _print(opportunity: Opportunity, verdict: Verdict) -> None:
    print(json.dumps(_fields(opportunity, verdict)))


def _row(opportunity: Opportunity, verdict: Verdict) -> tuple[str, ...]:
    quote = opportunity.quote
    state = f"{opportunity.state} ({opportunity.reason})" if opportunity.reason else str(opportunity.state)
    hf = health_factor_text(opportunity.account.health_factor)
    legs = (_amount(quote.debt), _amount(quote.collateral)) if quote else ("", "")
    return opportunity.label, str(opportunity.last_block), opportunity.user, state, hf, *legs, verdict


def _amount(leg: Any) -> str:
    return f"{leg.amount / 10**leg.decimals:,.6g} {leg.symbol}"


def _show(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    table = Table("", "block", "account", "state", "health factor", "debt", "collateral", "recorded", box=None)
    for row in rows:
        table.add_row(*row)
    console.print(table)

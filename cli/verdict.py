"""Judge what the worker recorded against what the chain says, block by block.

In scope is an account that owes at least MIN_DEBT_USD at the end of some block. It was detected when an opportunity was
on record during a row of blocks at whose ends the chain puts it below 1; missed when there was none, or when the first
was recorded after the block that ended the row had arrived. False is an opportunity whose block is in no such row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from core.domain.opportunity import OVER, Opportunity
from core.domain.units import Address, BaseUsd
from devnet.truth import SubOneRun


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the counts of one run; `crossings` are rows of blocks in scope, `crossed` the accounts among them.

    Latencies are milliseconds from the arrival of the causing frame at the worker to its journal.
    """

    borrowers: int
    crossed: int
    crossings: int
    detected: int
    missed: int
    late: int
    false: int
    inside_one_block: int
    blocks: int
    blocks_sampled: int
    latency_p50_ms: float
    latency_p95_ms: float
    missed_accounts: tuple[Address, ...] = ()
    false_labels: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Tell whether nothing was missed and nothing falsely reported."""
        return self.missed == 0 and self.false == 0

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold what there is to judge; `arrivals` maps a block to the unix time at which its head arrived here."""

    runs: Sequence[SubOneRun]
    opportunities: Sequence[Opportunity]
    arrivals: Mapping[int, float]
    first_block: int
    last_block: int
    min_debt: BaseUsd
    borrowers: int
    inside_one_block: int
    blocks_sampled: int


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on the blocks from `first_block` to `last_block`."""
    by_user: dict[Address, list[Opportunity]] = defaultdict(list)
    for opportunity in evidence.opportunities:
        by_user[opportunity.user].append(opportunity)
    in_scope = [run for run in evidence.runs if run.max_debt_base >= evidence.min_debt]
    ranks = [_rank(run, by_user[run.user], evidence) for run in in_scope]
    missed = [run.user for run, rank in zip(in_scope, ranks, strict=True) if rank != "detected"]
    false = [o.label for o in evidence.opportunities if not _true(o, evidence)]
    latencies = sorted(o.latency_ms for o in evidence.opportunities)
    return Verdict(
        borrowers=evidence.borrowers,
        crossed=len({run.user for run in in_scope}),
        crossings=len(in_scope),
        detected=ranks.count("detected"),
        missed=len(missed),
        late=ranks.count("late"),
        false=len(false),
        inside_one_block=evidence.inside_one_block,
        blocks=evidence.last_block - evidence.first_block + 1,
        blocks_sampled=evidence.blocks_sampled,
        latency_p50_ms=_quantile(latencies, 0.5),
        latency_p95_ms=_quantile(latencies, 0.95),
        missed_accounts=tuple(missed),
        false_labels=tuple(false),
    )


LABELS = {"blocks_sampled": "blocks read (the others did not change)"}
"""What a count is called on the screen where its name says too little."""


def show(summary: Mapping[str, Any]) -> None:
    """Print a summary as a table; lists below it, where they are not empty."""
    table = Table("what", "count", box=None)
    lists = {name: value for name, value in summary.items() if isinstance(value, tuple)}
    for name, value in summary.items():
        if name not in lists:
            table.add_row(
                LABELS.get(name, name.replace("_", " ")), f"{value:.1f}" if isinstance(value, float) else f"{value}"
            )
    console = Console()
    console.print(table)
    for name, members in lists.items():
        if members:
            console.print(f"{name.replace('_', ' ')}: {', '.join(members)}", style="bold red")


def _rank(run: SubOneRun, opportunities: Sequence[Opportunity], evidence: Evidence) -> str:
    on_record = [o for o in opportunities if _overlaps(o, run)]
    if not on_record:
        return "missed"
    ended_at = evidence.arrivals.get(run.last_block + 1) if run.last_block is not None else None
    if ended_at is not None and all(o.seen_at + o.latency_ms / 1000 > ended_at for o in on_record):
        return "late"
    return "detected"


def _overlaps(opportunity: Opportunity, run: SubOneRun) -> bool:
    """Tell whether the opportunity was open during the row; it ends before the block of its last state."""
    begins_in_time = run.last_block is None or opportunity.block <= run.last_block
    still_open = opportunity.state not in OVER or opportunity.last_block > run.first_block
    return begins_in_time and still_open


def _true(opportunity: Opportunity, evidence: Evidence) -> bool:
    if not evidence.first_block <= opportunity.block <= evidence.last_block:
        return True
    return any(
        run.user == opportunity.user
        and run.first_block <= opportunity.block
        and (run.last_block is None or opportunity.block <= run.last_block)
        for run in evidence.runs
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

"""The judge of a demo: what counts as detected, late, missed and false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cli.verdict import Evidence, Verdict, judge, show
from core.domain.opportunity import Opportunity, State
from core.domain.units import Address, BaseUsd
from devnet.truth import SubOneRun
from tests.unit.bot.kit import opportunity

ADA, BEN = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
ARRIVED = {block: 1_000.0 + block for block in range(1, 200)}


def run(first: int, last: int | None, user: Address = ADA, debt: int = 100) -> SubOneRun:
    return SubOneRun(user, first, last, debt)


def told(
    block: int, *, user: Address = ADA, state: State = State.REHEARSED, ended: int = 0, **more: Any
) -> Opportunity:
    seen = more.pop("seen_at", 1_000.0 + block)
    made = replace(opportunity(more.pop("number", 1), state), user=user, block=block, last_block=ended or block)
    return replace(made, **{"seen_at": seen, "latency_ms": 10.0} | more)


def verdict(runs: Sequence[SubOneRun], opportunities: Sequence[Opportunity], **changes: Any) -> Verdict:
    evidence = Evidence(
        runs=runs,
        opportunities=opportunities,
        arrivals=ARRIVED,
        first_block=10,
        last_block=100,
        min_debt=BaseUsd(50),
        borrowers=2_000,
        inside_one_block=3,
        blocks_sampled=91,
    )
    return judge(replace(evidence, **changes))


def test_nothing_happened() -> None:
    found = verdict([], [])
    assert found.clean
    assert (found.crossings, found.crossed, found.detected, found.missed, found.false) == (0, 0, 0, 0, 0)
    assert (found.blocks, found.blocks_sampled, found.inside_one_block, found.borrowers) == (91, 91, 3, 2_000)
    assert (found.latency_p50_ms, found.latency_p95_ms) == (0.0, 0.0)


def test_a_crossing_is_detected_while_it_lasts() -> None:
    assert verdict([run(20, 30)], [told(20, state=State.RECOVERED, ended=31)]).clean
    assert verdict([run(20, None)], [told(20)]).detected == 1
    assert verdict([run(20, 20)], [told(20, state=State.RECOVERED, ended=21)]).clean


def test_one_opportunity_may_span_a_flicker_of_rows() -> None:
    found = verdict([run(20, 22), run(24, 30)], [told(20, state=State.RECOVERED, ended=31)])
    assert (found.crossings, found.crossed, found.detected, found.clean) == (2, 1, 2, True)


def test_what_nobody_told_of_is_missed() -> None:
    found = verdict([run(20, 30), run(20, 30, BEN)], [told(21, user=BEN)])
    assert (found.missed, found.missed_accounts, found.detected, found.clean) == (1, (ADA,), 1, False)


def test_an_opportunity_that_was_over_before_is_no_detection() -> None:
    found = verdict([run(12, 14), run(20, 30)], [told(12, state=State.RECOVERED, ended=15)])
    assert (found.missed, found.detected) == (1, 1)
    assert verdict([run(20, 30)], [told(31)]).missed == 1


def test_recorded_only_after_the_row_had_ended_is_late() -> None:
    late = told(20, seen_at=ARRIVED[31], latency_ms=1.0)
    found = verdict([run(20, 30)], [late])
    assert (found.late, found.missed, found.detected, found.clean) == (1, 1, 0, False)
    in_time = told(20, seen_at=ARRIVED[31] - 0.1, latency_ms=99.0)
    assert verdict([run(20, 30)], [in_time]).clean
    assert verdict([run(20, None)], [late]).clean
    assert verdict([run(20, 30)], [late], arrivals={}).late == 0


def test_small_debts_are_out_of_scope() -> None:
    found = verdict([run(20, 30, debt=49)], [])
    assert (found.crossings, found.clean) == (0, True)
    assert verdict([run(20, 30, debt=50)], []).missed == 1


def test_what_the_chain_does_not_bear_out_is_false() -> None:
    for wrong in (told(19), told(31), told(20, user=BEN)):
        found = verdict([run(20, 30)], [told(20), wrong])
        assert (found.false, found.false_labels, found.clean) == (1, ("#A1",), False)
    assert verdict([run(20, 30, debt=49)], [told(25)]).false == 0
    assert verdict([], [told(9), told(101)]).false == 0


def test_latencies_are_summarised() -> None:
    runs = [run(20, None)]
    found = verdict(runs, [told(20, number=n, latency_ms=float(n)) for n in range(1, 101)])
    assert (found.latency_p50_ms, found.latency_p95_ms) == (51.0, 96.0)


def test_the_summary_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    show(verdict([run(20, 30)], []).as_dict())
    said = capsys.readouterr().out
    assert "missed accounts: " + ADA in said.replace("\n", "")
    assert "latency p50 ms" in said


def test_the_screen_says_what_was_read_and_what_had_not_changed(capsys: pytest.CaptureFixture[str]) -> None:
    show(verdict([], []).as_dict())
    assert "blocks read (the others did not change)" in capsys.readouterr().out

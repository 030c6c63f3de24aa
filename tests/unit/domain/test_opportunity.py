"""An opportunity's states: one table, and nothing beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain.opportunity import OVER, TRANSITIONS, SkipReason, State
from tests.contract.samples import address, opportunity

PAIRS = [(before, after) for before in State for after in State]
END = frozenset({State.SKIPPED, State.RECOVERED, State.TAKEN})


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=str)
def test_a_step_is_taken_if_and_only_if_the_table_has_it(before: State, after: State) -> None:
    one = opportunity(17, state=before)
    if after in TRANSITIONS[before]:
        assert one.to(after) == replace(one, state=after)
    else:
        with pytest.raises(ValueError, match=f"#A17 cannot go from {before} to {after}"):
            one.to(after)


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {State.DETECTED}.union(*TRANSITIONS.values())
    assert reached == set(State)


def test_no_state_steps_to_itself() -> None:
    assert [state for state in State if state in TRANSITIONS[state]] == []


@pytest.mark.parametrize("state", [State.DETECTED, State.CONFIRMED, State.QUOTED, State.SIMULATED])
def test_before_anything_is_sent_it_may_always_end(state: State) -> None:
    assert TRANSITIONS[state] >= END


def test_what_was_sent_is_never_skipped() -> None:
    assert State.SKIPPED not in TRANSITIONS[State.SUBMITTED]
    assert State.REHEARSED not in TRANSITIONS[State.SUBMITTED]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.DETECTED, State.QUOTED),
        (State.QUOTED, State.REHEARSED),
        (State.QUOTED, State.SUBMITTED),
        (State.EXPIRED, State.LIQUIDATED),
        (State.LIQUIDATED, State.SUBMITTED),
    ],
)
def test_rows_that_the_real_world_adds(before: State, after: State) -> None:
    assert after in TRANSITIONS[before]


def test_over_means_that_only_a_reorg_leads_on() -> None:
    leading_on = {state for state in OVER if TRANSITIONS[state]}
    assert leading_on == {State.LIQUIDATED}
    assert State.SKIPPED not in OVER
    assert State.REHEARSED not in OVER


def test_a_step_carries_its_reason_and_note_and_forgets_the_last_one() -> None:
    skipped = opportunity(1).to(State.SKIPPED, reason=SkipReason.DEBT_ZERO, note="repaid")
    assert (skipped.reason, skipped.note) == (SkipReason.DEBT_ZERO, "repaid")
    assert skipped.to(State.RECOVERED) == replace(opportunity(1), state=State.RECOVERED)


def test_the_familiar_reasons_keep_their_words() -> None:
    assert list(SkipReason)[:4] == ["hf_not_below_threshold", "user_not_liquidatable", "stale_head", "debt_zero"]


def test_names_for_people_and_for_alerts() -> None:
    one = opportunity(17, user=3, episode=4)
    assert one.label == "#A17"
    assert one.episode_key == f"{address(3)}:4"
    assert opportunity(18, user=3, episode=4).episode_key == one.episode_key


def test_figures_of_a_later_block_keep_the_first_one() -> None:
    one = opportunity(1)
    account = one.account._replace(ltv=one.account.current_liquidation_threshold)
    assert one.as_of(one.block + 5, account) == replace(one, last_block=one.block + 5, account=account)

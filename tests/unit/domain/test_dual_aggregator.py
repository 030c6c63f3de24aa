"""A DualAggregator's read rule, route by route and second by second."""

from __future__ import annotations

from core.domain.dual_aggregator import ROUNDS_KEPT_BEYOND, DualAggregator, DualEvent, Transmission
from core.domain.events import (
    AnswerUpdated,
    CutoffTimeSet,
    MaxSyncIterationsSet,
    PrimaryFeedUnlocked,
    SecondaryRoundIdUpdated,
)
from core.domain.units import Address

FEED = Address("0x" + "fe" * 20)
T = 1_700_000_000
OLD = DualAggregator(
    latest=5,
    secondary=5,
    latest_is_secondary=False,
    cutoff=10,
    search_depth=20,
    transmissions={4: Transmission(400, T - 2_000), 5: Transmission(500, T - 1_000)},
)


def primary(round_: int, at: int, answer: int | None = None) -> AnswerUpdated:
    return AnswerUpdated(FEED, 100 * round_ if answer is None else answer, round_, at)


def after(*events: DualEvent, start: DualAggregator = OLD) -> DualAggregator:
    for event in events:
        start = start.after(event)
    return start


def seen(state: DualAggregator, *seconds: int) -> list[int]:
    return [state.answer(T + second, through_secondary=True) for second in seconds]


def test_a_primary_round_is_seen_one_second_after_the_cutoff() -> None:
    state = after(primary(6, T))
    assert seen(state, 0, 10, 11, 12) == [500, 500, 600, 600]
    assert state.next_change(T, through_secondary=True) == T + 11
    assert state.next_change(T + 11, through_secondary=True) is None
    assert state.answer(T, through_secondary=False) == 600


def test_rounds_mature_one_after_the_other() -> None:
    state = after(primary(6, T), primary(7, T + 4), primary(8, T + 5, answer=700))
    assert seen(state, 10, 11, 14, 15, 16) == [500, 600, 600, 700, 700]
    changes, now = [], T + 5
    while (second := state.next_change(now, through_secondary=True)) is not None:
        changes.append(second - T)
        now = second
    assert changes == [11, 15]


def test_a_secondary_answer_is_seen_at_once_and_hides_newer_primary_ones_until_it_is_old() -> None:
    state = after(SecondaryRoundIdUpdated(FEED, 6), primary(6, T), primary(7, T + 1))
    assert seen(state, 1, 10, 11, 12) == [600, 600, 600, 700]
    assert state.next_change(T + 1, through_secondary=True) == T + 12


def test_a_known_round_is_pointed_at_without_an_answer() -> None:
    state = after(primary(6, T), primary(7, T + 1), SecondaryRoundIdUpdated(FEED, 6))
    assert seen(state, 1, 10, 11, 12) == [600, 600, 600, 700]
    assert not state.latest_is_secondary


def test_a_secondary_round_counts_only_with_its_answer() -> None:
    half = after(SecondaryRoundIdUpdated(FEED, 6))
    assert seen(half, 0) == [500]
    assert half.after(primary(6, T)).secondary == 6
    assert half.after(primary(7, T)).secondary == 5


def test_a_secondary_answer_is_hidden_from_others_within_its_second() -> None:
    state = after(SecondaryRoundIdUpdated(FEED, 6), primary(6, T))
    assert [state.answer(second, through_secondary=False) for second in (T, T + 1)] == [500, 600]
    assert state.next_change(T, through_secondary=False) == T + 1
    assert state.next_change(T + 1, through_secondary=False) is None
    unlocked = state.after(PrimaryFeedUnlocked(FEED, 6))
    assert unlocked.answer(T, through_secondary=False) == 600
    assert unlocked.next_change(T, through_secondary=False) is None


def test_the_search_ends_at_its_depth_and_falls_back_to_the_secondary_round() -> None:
    rounds = [primary(round_, T + round_ - 6) for round_ in range(6, 12)]
    shallow = after(*rounds, MaxSyncIterationsSet(FEED, 3))
    deep = after(*rounds)
    assert deep.answer(T + 11, through_secondary=True) == 600
    assert shallow.answer(T + 11, through_secondary=True) == 500
    assert shallow.answer(T + 14, through_secondary=True) == 900
    assert shallow.next_change(T + 11, through_secondary=True) == T + 14


def test_the_cutoff_can_change() -> None:
    state = after(primary(6, T), CutoffTimeSet(FEED, 3))
    assert seen(state, 3, 4) == [500, 600]


def test_logs_that_come_twice_or_late_change_nothing() -> None:
    state = after(primary(6, T), primary(7, T + 1), SecondaryRoundIdUpdated(FEED, 7))
    assert after(primary(6, T), primary(7, T + 1), SecondaryRoundIdUpdated(FEED, 6), start=state) == state


def test_rounds_out_of_reach_are_forgotten_but_not_the_secondary_one() -> None:
    state = after(*(primary(round_, T + round_) for round_ in range(6, 100)))
    assert min(state.transmissions.keys() - {5}) == 99 - 20 - ROUNDS_KEPT_BEYOND
    assert state.transmissions[5] == Transmission(500, T - 1_000)


def test_before_any_answer_there_is_none() -> None:
    empty = DualAggregator(latest=0, secondary=0, latest_is_secondary=False, cutoff=10, search_depth=20)
    assert seen(empty, 0) == [0]
    assert empty.answer(T, through_secondary=False) == 0
    assert empty.next_change(T, through_secondary=True) is None

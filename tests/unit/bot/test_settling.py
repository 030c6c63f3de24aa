"""Each outcome of a call has one consequence for its row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.outcomes import (
    Blocked,
    MaybeSent,
    Migrated,
    NotSent,
    Outcome,
    Refusal,
    Rejected,
    Sent,
    Throttled,
    Unauthorised,
    Unchanged,
)
from bot.settling import GIVE_UP_PROBING, Memo, judge
from core.state.ports import Delivery, DeliveryState, Lane

NEW = Delivery("alert:1", 5, Lane.ALERT, "{}", note="after=41")
SHOWN = replace(NEW, message_id=42, lane=Lane.EDIT)
LOST = replace(NEW, state=DeliveryState.UNKNOWN)
S = DeliveryState


@pytest.mark.parametrize(
    ("row", "outcome", "state", "result"),
    [
        (NEW, Sent(42), S.SENT, "sent"),
        (SHOWN, Sent(42), S.SENT, "sent"),
        (SHOWN, Unchanged(), S.SENT, "sent"),
        (LOST, Sent(42), S.SENT, "sent"),
        (NEW, NotSent("x"), S.QUEUED, "not_sent"),
        (LOST, NotSent("x"), S.UNKNOWN, "not_sent"),
        (NEW, Unauthorised(), S.QUEUED, "not_sent"),
        (NEW, MaybeSent("x"), S.UNKNOWN, "ambiguous"),
        (SHOWN, MaybeSent("x"), S.QUEUED, "ambiguous"),
        (NEW, Throttled(3.0), S.QUEUED, "throttled"),
        (LOST, Throttled(3.0), S.UNKNOWN, "throttled"),
        (NEW, Rejected(Refusal.PARSE, "x"), S.QUEUED, "plain"),
        (NEW, Rejected(Refusal.CHAT, "x"), S.DEAD, "dead"),
        (SHOWN, Rejected(Refusal.MISSING, "x"), S.DEAD, "dead"),
        (NEW, Blocked("x"), S.DEAD, "dead"),
        (NEW, Migrated(-100), S.DEAD, "moved"),
    ],
)
def test_outcome_decides_the_state(row: Delivery, outcome: Outcome, state: DeliveryState, result: str) -> None:
    verdict = judge(row, outcome, now=1_000.0, backoff=2.0)
    assert (verdict.row.state, verdict.result) == (state, result)


def test_message_id_is_learnt_once_and_kept() -> None:
    assert judge(NEW, Sent(42), 0.0, 1.0).row.message_id == 42
    assert judge(SHOWN, Unchanged(), 0.0, 1.0).row.message_id == 42


def test_patience_is_stored_so_that_a_restart_does_not_hammer() -> None:
    verdict = judge(NEW, Throttled(30.0), now=1_000.0, backoff=1.0)
    assert verdict.row.not_before == 1_030.0
    assert (verdict.hold_chat, verdict.hold_all) == (30.0, 0.0)


def test_an_unreachable_telegram_holds_everything_and_a_lost_answer_its_chat() -> None:
    assert judge(NEW, NotSent("x"), 0.0, 4.0).hold_all == 4.0
    assert judge(NEW, MaybeSent("x"), 0.0, 4.0).hold_chat == 4.0


def test_html_that_is_refused_goes_once_as_plain_text() -> None:
    again = judge(NEW, Rejected(Refusal.PARSE, "x"), 0.0, 1.0).row
    assert Memo.read(again.note) == Memo(after=41, plain=True)
    assert judge(again, Rejected(Refusal.PARSE, "x"), 0.0, 1.0).row.state is S.DEAD


def test_a_row_that_is_lost_again_and_again_stops_holding_up_its_chat() -> None:
    tired = replace(LOST, attempts=GIVE_UP_PROBING)
    row = judge(tired, MaybeSent("x"), 1_000.0, 4.0).row
    assert row.not_before == 1_008.0
    assert Memo.read(row.note).after is None


@pytest.mark.parametrize("memo", [Memo(), Memo(7), Memo(7, repeat=True), Memo(None, True, True), Memo(7, False, True)])
def test_memo_is_read_back(memo: Memo) -> None:
    assert Memo.read(memo.write()) == memo


def test_a_note_in_other_words_says_nothing() -> None:
    assert Memo.read("moved to -100") == Memo()

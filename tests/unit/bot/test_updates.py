"""Updates are read for what we use; whatever else comes is a BadUpdate, never another error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.updates import BadUpdate, Membership, Other, Person, Place, Pressed, Typed, parse

ANN = {"id": 1001, "is_bot": False, "first_name": "Ann", "last_name": "Lee"}
CHAT = {"id": 1001, "type": "private", "first_name": "Ann"}
MESSAGE: dict[str, Any] = {"message_id": 5, "date": 1_700_000_000, "chat": CHAT, "from": ANN, "text": "/status"}


def read(**body: Any) -> object:
    return parse(9, json.dumps({"update_id": 9, **body}))


def test_message_is_read() -> None:
    assert read(message=MESSAGE) == Typed(
        9, Person(1001, "Ann Lee"), Place(1001, "private", "Ann"), 5, 1_700_000_000.0, "/status"
    )


def test_edited_messages_say_so() -> None:
    update = read(edited_message=MESSAGE)
    assert isinstance(update, Typed)
    assert update.edited


def test_messages_in_the_name_of_a_channel_say_so() -> None:
    update = read(message={**MESSAGE, "sender_chat": {"id": -100, "type": "channel"}})
    assert isinstance(update, Typed)
    assert update.by_channel


def test_topic_is_read() -> None:
    update = read(message={**MESSAGE, "message_thread_id": 7, "is_topic_message": True})
    assert isinstance(update, Typed)
    assert update.place.thread == 7


def test_press_is_read_also_without_its_message() -> None:
    query = {"id": "q1", "from": ANN, "data": "1|status|||k", "message": MESSAGE}
    update = read(callback_query=query)
    assert isinstance(update, Pressed)
    assert (update.message_id, update.data, update.place.id) == (5, "1|status|||k", 1001)
    del query["message"]
    alone = read(callback_query=query)
    assert isinstance(alone, Pressed)
    assert alone.message_id is None


def test_membership_and_other_kinds() -> None:
    changed = read(my_chat_member={"chat": CHAT, "from": ANN, "new_chat_member": {"status": "kicked"}})
    assert isinstance(changed, Membership)
    assert changed.status == "kicked"
    assert read(poll={"id": "1"}) == Other(9, "poll")
    assert parse(9, "{}") == Other(9, "empty")


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "[]",
        "null",
        '{"message": null}',
        '{"message": {"message_id": "5", "date": 1, "chat": {"id": 1, "type": "private"}}}',
        '{"message": {"message_id": 5, "date": 1, "chat": {"id": 1, "type": "private"}, "text": 7}}',
        '{"callback_query": {"id": "1"}}',
        "[" * 5_000,
    ],
)
def test_what_is_not_telegrams_is_a_bad_update(raw: str) -> None:
    with pytest.raises(BadUpdate):
        parse(1, raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MESSAGE, *ANN, "type"]), inner),
    max_leaves=12,
)


@given(st.sampled_from(["message", "callback_query", "my_chat_member", "channel_post", "zzz"]), JSON)
def test_no_json_makes_anything_but_an_update_or_a_bad_update(kind: str, item: object) -> None:
    try:
        parse(1, json.dumps({"update_id": 1, kind: item}))
    except BadUpdate as error:
        assert str(error)

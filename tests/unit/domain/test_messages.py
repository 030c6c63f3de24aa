"""Every message survives its journey as text, and what a version does not know is kept as it came."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.messages import (
    Answer,
    AskStatus,
    Command,
    Event,
    Operator,
    OpportunityUpdated,
    PredictionReport,
    PredictionScore,
    Question,
    SetDryRun,
    Unknown,
    decode,
    encode,
)
from tests.contract.samples import opportunity, report

LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**260), 2**260),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(exclude_categories=["Cs"])),
    bool: st.booleans(),
    NoneType: st.none(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of values of a type made of dataclasses, named tuples, enums, tuples and plain values."""
    kind = getattr(kind, "__supertype__", kind)
    if kind in LEAVES:
        return LEAVES[kind]
    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*map(values_of, get_args(kind)))
    if get_origin(kind) is tuple:
        first, *others = get_args(kind)
        if others == [Ellipsis]:
            return st.lists(values_of(first), max_size=3).map(tuple)
        return st.tuples(*map(values_of, (first, *others)))
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return st.builds(kind, **{name: values_of(hint) for name, hint in get_type_hints(kind).items()})


KINDS = [one for group in (Command, Event, Question, Answer) for one in (get_args(group) or (group,))]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_message_comes_back_equal(kind: Any, data: st.DataObject) -> None:
    message = data.draw(values_of(kind))
    assert decode(encode(message)) == message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_message_is_frozen_and_has_slots(kind: Any) -> None:
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)


def test_the_text_has_version_kind_and_body() -> None:
    message = SetDryRun("u17", Operator(1, "Ada"), 5.0, enabled=True)
    assert json.loads(encode(message)) == {
        "v": 1,
        "kind": "SetDryRun",
        "body": {"id": "u17", "operator": {"id": 1, "name": "Ada"}, "at": 5.0, "enabled": True, "reason": ""},
    }


def test_a_command_of_a_version_without_reasons_is_read() -> None:
    body = {"id": "u17", "operator": {"id": 1, "name": "Ada"}, "at": 5.0, "enabled": True}
    assert decode(json.dumps({"v": 1, "kind": "SetDryRun", "body": body})) == SetDryRun(
        "u17", Operator(1, "Ada"), 5.0, enabled=True, reason=""
    )


def test_whole_numbers_beyond_any_float_stay_exact() -> None:
    message = OpportunityUpdated(opportunity(1))
    assert '"amount":115792089237316195423570985008687907853269984665640564039457584007913129639935' in encode(message)
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "raw",
    [
        '{"v":1,"kind":"SetEverything","body":{}}',
        '{"v":2,"kind":"AskStatus","body":{}}',
        '{"v":1,"kind":"SetDryRun","body":{"id":"a"}}',
        '{"v":1,"kind":"AskWatchlist","body":{"page":"first"}}',
    ],
)
def test_what_this_version_does_not_know_is_kept_as_it_came(raw: str) -> None:
    assert decode(raw) == Unknown(json.loads(raw)["kind"], raw)


def test_a_state_of_a_newer_version_does_not_stop_the_reader() -> None:
    raw = encode(OpportunityUpdated(opportunity(1))).replace('"detected"', '"teleported"')
    assert decode(raw) == Unknown("OpportunityUpdated", raw)


def test_a_field_of_a_newer_version_is_ignored() -> None:
    assert decode('{"v":1,"kind":"AskStatus","body":{"verbose":true},"trace":"t"}') == AskStatus()


def test_a_status_of_an_older_version_says_nothing_of_prediction() -> None:
    now = replace(report(), prediction=PredictionReport(2, 1, 3, (PredictionScore("baseline", 4, 1, 0, 1, 2, 1, 0.1),)))
    assert decode(encode(now)) == now
    older = json.loads(encode(now))
    del older["body"]["prediction"]
    assert decode(json.dumps(older)) == report()


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "null",
        "17",
        "[]",
        "{}",
        '{"v":1,"kind":"AskStatus"}',
        '{"kind":"AskStatus","body":{}}',
        '{"v":"1","kind":"AskStatus","body":{}}',
        '{"v":1,"kind":null,"body":{}}',
        "<html></html>",
    ],
)
def test_what_is_no_message_is_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        decode(raw)

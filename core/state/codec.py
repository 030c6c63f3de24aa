"""Texts in which every store keeps the values of the domain."""

from __future__ import annotations

import logging
from typing import cast

from pydantic import TypeAdapter

from core.domain.controls import Controls
from core.domain.messages import Answer, Command, Event, OpportunityUpdated, Question, Unknown, decode, encode
from core.domain.opportunity import Opportunity
from core.errors import StoreError

logger = logging.getLogger(__name__)
_CONTROLS = TypeAdapter(Controls)


def pack_opportunity(opportunity: Opportunity) -> str:
    """Return the opportunity as text: the event that tells of it, so that it is made once for journal and outbox."""
    return encode(OpportunityUpdated(opportunity))


def unpack_opportunity(raw: str) -> Opportunity:
    """Return the opportunity in `raw`; raise StoreError when a newer version wrote it in a form unknown here."""
    message = _decoded(raw)
    if not isinstance(message, OpportunityUpdated):
        raise StoreError("an opportunity in the store was written by a newer version of liquidbot: run that version")
    return message.opportunity


def pack_controls(controls: Controls) -> str:
    """Return the controls as JSON."""
    return _CONTROLS.dump_json(controls).decode()


def unpack_controls(raw: str) -> Controls:
    """Return the controls in `raw`; raise StoreError when it holds none."""
    try:
        return _CONTROLS.validate_json(raw)
    except ValueError as error:
        raise StoreError("the controls in the store cannot be read") from error


def unpack_event(raw: str) -> Event | Unknown:
    """Return the event in `raw`."""
    return cast("Event | Unknown", _decoded(raw))


def unpack_answer(raw: str) -> Answer | Unknown:
    """Return the answer in `raw`."""
    return cast("Answer | Unknown", _decoded(raw))


def unpack_command(raw: str) -> Command | None:
    """Return the command in `raw`; None, with a warning, when only a newer version knows it."""
    return cast("Command | None", _known(raw))


def unpack_question(raw: str) -> Question | None:
    """Return the question in `raw`; None, with a warning, when only a newer version knows it."""
    return cast("Question | None", _known(raw))


def _known(raw: str) -> object | None:
    message = _decoded(raw)
    if not isinstance(message, Unknown):
        return message
    logger.warning("left in the store for a newer version: a %s that this version does not know", message.kind)
    return None


def _decoded(raw: str) -> object:
    try:
        return decode(raw)
    except ValueError as error:
        raise StoreError("the store holds text that is not a message") from error

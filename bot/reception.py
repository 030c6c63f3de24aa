"""Receive one update: read it, let the gate judge it, have it answered, and stage the answer."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.auth import Allowed, Denial, Gate, StrangerLimit
from bot.cards import Card, Handle, Press, decode_card, esc, parse_press
from bot.commands import Commands, Line, identity_html, lowers_risk, nearest, parse_line
from bot.desk import Desk
from bot.replies import answer, new_handle, reply_key
from bot.request import Request
from bot.telegram import Telegram
from bot.updates import BadUpdate, Membership, Other, Person, Place, Pressed, Typed, parse
from core.domain.messages import SetDryRun, decode
from core.errors import StoreUnavailable
from core.ops.metrics import BotMetrics
from core.state.ports import Delivery, Lane

logger = logging.getLogger(__name__)

_EXPIRED = "This button is no longer valid."


@dataclass(frozen=True, slots=True)
class Household:
    """Hold what receiving needs of the rest of the bot; `heard` is told of people's message ids."""

    gate: Gate
    desk: Desk
    telegram: Telegram
    metrics: BotMetrics
    ring: Callable[[], None]
    heard: Callable[[int, int], None]


class Reception:
    """Turn updates into answers, once in effect: the reply to an update has one key, and so has its command."""

    def __init__(self, house: Household) -> None:
        self._house = house
        self._store = house.desk.store
        self._commands = Commands(house.desk)
        self._strangers = StrangerLimit()

    def read(self, update_id: int, raw: str) -> Typed | Pressed | None:
        """Return the update, or None when there is nothing to do for it (which is counted and logged)."""
        try:
            update = parse(update_id, raw)
        except BadUpdate as error:
            logger.warning("update %d cannot be read: %s", update_id, error)
            self._count("none", "bad_update")
            return None
        if isinstance(update, Typed | Pressed):
            return update
        what = update.kind if isinstance(update, Other) else f"{update.status} in chat {update.place.id}"
        logger.info("update %d: %s", update_id, what)
        self._count("none", "membership" if isinstance(update, Membership) else "other")
        return None

    def _count(self, command: str, result: str) -> None:
        self._house.metrics.commands.labels(command=command, result=result).inc()

    def is_urgent(self, update: Typed | Pressed) -> bool:
        """Tell whether the update must not wait for the ones before it: it lowers risk."""
        line = parse_line(update.text) if isinstance(update, Typed) else None
        return line is not None and lowers_risk(line)

    async def receive(self, update: Typed | Pressed) -> None:
        """Answer the update. A crash in the answering is logged and told; it neither repeats nor passes in silence."""
        try:
            await self._receive(update)
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("update %d could not be handled", update.update_id)
            self._count("none", "crashed")
            await self._stage(update, reply_key(update.update_id), _sorry(update.update_id))

    async def _receive(self, update: Typed | Pressed) -> None:
        verdict = self._house.gate.judge(update)
        if isinstance(verdict, Denial):
            await self._deny(update, verdict)
        elif isinstance(update, Pressed):
            await self._press(update, verdict)
        elif not update.edited:
            self._house.heard(update.place.id, update.message_id)
            await self._type(update, verdict)
        else:
            self._count("none", "edited")

    async def _type(self, update: Typed, who: Allowed) -> None:
        line = parse_line(update.text)
        if line is None or not self._is_ours(line, update.place, who):
            self._count("none", "not_ours" if line else "no_command")
            return
        key = reply_key(update.update_id)
        existing = await self._store.deliveries.get(key, update.place.id)
        if existing is not None:  # the process died after staging: the command may not be in the mailbox yet
            await self._post(decode_card(existing.content))
            return
        request = Request(update.update_id, who.person, who.role, update.place, update.date, line.args, new_handle(key))
        result, card = await self._commands.typed(line.name, request)
        self._count(line.name if result != "unknown" else "unknown", result)
        await self._stage(update, key, card)
        await self._post(card)

    def _is_ours(self, line: Line, place: Place, who: Allowed) -> bool:
        if line.to:
            return line.to == self._house.telegram.username.lower()
        return place.kind == "private" or bool(nearest(line.name, who.role))

    async def _press(self, update: Pressed, who: Allowed) -> None:
        press = parse_press(update.data)
        row = await self._store.deliveries.get(press.key, update.place.id) if press else None
        if press is None or row is None or not _genuine(update, press, row):
            self._count("button", "expired")
            await self._house.telegram.answer(update.query_id, _EXPIRED)
            return
        card = decode_card(row.content)
        if card.owner and card.owner != who.person.id:
            self._count("button", "forbidden")
            await self._house.telegram.answer(update.query_id, "Only the one who asked may press this.", alert=True)
            return
        await self._house.telegram.answer(update.query_id)
        args = (press.arg,) if press.arg else ()
        handle = Handle(press.key, card.token)
        request = Request(update.update_id, who.person, who.role, update.place, time.time(), args, handle)
        shown = await self._commands.pressed(press.action, request)
        self._count(press.action if shown else "button", "ok" if shown else "unknown")
        if shown is not None:
            await self._put(answer(press.key, update.place.id, replace(shown, thread=card.thread)))

    async def _stage(self, update: Typed | Pressed, key: str, card: Card) -> None:
        if isinstance(update, Typed) and update.place.kind != "private":
            card = replace(card, reply_to=update.message_id)
        await self._put(answer(key, update.place.id, replace(card, thread=update.place.thread)))

    async def _put(self, *deliveries: Delivery) -> None:
        await self._store.deliveries.stage(0, [], deliveries)
        self._house.ring()

    async def _post(self, card: Card) -> None:
        command = decode(card.command) if card.command else None
        if isinstance(command, SetDryRun):
            await self._store.mailbox.post(command, time.time())

    async def _deny(self, update: Typed | Pressed, denial: Denial) -> None:
        self._count("none", denial)
        logger.info("update %d is not heard: %s", update.update_id, denial)
        if denial is not Denial.STRANGER or not isinstance(update, Typed) or update.edited or update.person is None:
            return
        line = parse_line(update.text)
        polite = line is not None and line.name in ("start", "id") and update.place.kind == "private"
        if polite and self._strangers.admits(update.person.id, time.time()):
            await self._greet(update, update.person)

    async def _greet(self, update: Typed, person: Person) -> None:
        html = f"Not authorised. Your id: <code>{person.id}</code>. Ask an admin to let you in."
        await self._stage(update, reply_key(update.update_id), Card(html))
        name = esc(person.name, 64)
        notice = Card(f"👤 A stranger knocked: {name}\n{identity_html(person, update.place, None)}", silent=True)
        for admin in self._house.gate.admins():
            if await self._store.deliveries.get(f"stranger:{person.id}", admin) is None:
                await self._put(Delivery(f"stranger:{person.id}", admin, Lane.EDIT, notice.encode()))


def _genuine(update: Pressed, press: Press, row: Delivery) -> bool:
    token = decode_card(row.content).token
    return bool(token) and row.message_id == update.message_id and hmac.compare_digest(token, press.token)


def _sorry(update_id: int) -> Card:
    return Card(f"⚠️ Something failed, id <code>{update_id}</code>. Nothing was changed that you were not told of.")

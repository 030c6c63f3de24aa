"""Make the chats look as their delivery rows say: one sender per chat, paced, and honest about lost answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bot.auth import Chats
from bot.cards import Card, decode_card, esc
from bot.outcomes import Outcome, Refusal, Rejected, Sent, Throttled, Unchanged
from bot.pacing import Pace
from bot.patience import Patience
from bot.settling import Memo, Verdict, judge
from bot.telegram import Telegram
from core.errors import StoreUnavailable
from core.ops.metrics import BotMetrics
from core.state.ports import Deliveries, Delivery, DeliveryState, Lane

logger = logging.getLogger(__name__)

EDIT_SPACING_SECONDS = 3.0
ANSWERS_IN_A_ROW = 3
"""After so many answers a chat gets one of whatever else waits for it, so that a flood of them holds no alert back."""
_PROBES = 8
_PROBES_BEYOND = 3
_IDLE_SECONDS = 1.0
_EDITS_REMEMBERED = 1_000
_FEW, _MANY = 100, 10_000
REPEAT_MARK = "↻ <i>possible repeat</i>\n"


@dataclass(frozen=True, slots=True)
class Place:
    """Say where deliveries are kept, which chats there are, and who hears of a chat that cannot be reached."""

    deliveries: Deliveries
    chats: Chats
    admins: Sequence[int] = ()


class Courier:
    """Send what is due. `may_send` tells whether this process still holds the lease."""

    def __init__(self, place: Place, telegram: Telegram, metrics: BotMetrics, may_send: Callable[[], bool]) -> None:
        self._deliveries = place.deliveries
        self._chats = place.chats
        self._admins = place.admins
        self._telegram = telegram
        self._metrics = metrics
        self._may_send = may_send
        self._pace = Pace()
        self._patience = Patience("store", logger)
        self._wake = asyncio.Event()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._failures: Counter[int] = Counter()
        self._edited: dict[tuple[str, int], float] = {}
        self._highest: dict[int, int] = {}
        self._unreachable: set[int] = set()
        self._answered: Counter[int] = Counter()
        self._stopping = False

    def ring(self) -> None:
        """Say that something new may be due."""
        self._wake.set()

    def heard(self, chat_id: int, message_id: int) -> None:
        """Learn the id of a person's message: ours come after it. Useless before our first one in this process."""
        if chat_id in self._highest:
            self._highest[chat_id] = max(self._highest[chat_id], message_id)

    async def run(self) -> None:
        """Send until cancelled; start by treating whatever was being sent as unknown."""
        await self._patience.insist(self._recover)
        async with asyncio.TaskGroup() as senders:
            while True:
                self._wake.clear()
                rows = await self._patience.insist(self._due)
                if not self._stopping:
                    for chat in self._ready(rows):
                        self._busy[chat] = senders.create_task(self._serve(chat), name=f"send to {chat}")
                await self._rest(0.25 if rows else _IDLE_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Begin nothing new and wait until what is being sent has its answer, at most so long."""
        self._stopping = True
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=seconds)

    async def _recover(self) -> None:
        lost = await self._deliveries.recover()
        if lost:
            logger.warning("%d messages were being sent when the bot stopped; checking whether they arrived", lost)

    async def _due(self) -> Sequence[Delivery]:
        rows = await self._deliveries.due(time.time(), _FEW)
        if len(rows) == _FEW:  # the first hundred may be all of one chat
            rows = await self._deliveries.due(time.time(), _MANY)
        waiting = Counter(row.lane for row in rows)
        for lane in Lane:
            self._metrics.outbox_depth.labels(lane=lane).set(waiting[lane])
        return rows

    def _ready(self, rows: Iterable[Delivery]) -> list[int]:
        by_chat: dict[int, list[Delivery]] = {}
        for row in rows:
            by_chat.setdefault(row.chat_id, []).append(row)
        return [chat for chat, waiting in by_chat.items() if chat not in self._busy and self._choose(waiting)]

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for would lose a cancellation that comes with the ring
                await self._wake.wait()

    def _choose(self, rows: Sequence[Delivery]) -> Delivery | None:
        """Return what the chat gets next: a lost message is cleared up before anything may follow it."""
        lost = [row for row in rows if row.state is DeliveryState.UNKNOWN and row.message_id is None]
        if lost:
            return lost[0]
        may_go = [row for row in rows if row.lane is not Lane.EDIT or self._rested(row)]
        if may_go and self._answered[may_go[0].chat_id] >= ANSWERS_IN_A_ROW:
            return next((row for row in may_go if row.lane is not Lane.ANSWER), may_go[0])
        return may_go[0] if may_go else None

    def _rested(self, row: Delivery) -> bool:
        return time.monotonic() - self._edited.get((row.key, row.chat_id), 0.0) >= EDIT_SPACING_SECONDS

    async def _serve(self, chat: int) -> None:
        try:
            await self._pace.turn(chat)
            rows = [row for row in await self._due() if row.chat_id == chat]
            row = self._choose(rows)
            if row is not None and self._may_send() and not self._stopping:
                self._answered[chat] = self._answered[chat] + 1 if row.lane is Lane.ANSWER else 0
                await self._deliver(row)
        except StoreUnavailable as error:
            await self._patience.wait(error)
        finally:
            del self._busy[chat]
            self._wake.set()

    async def _deliver(self, row: Delivery) -> None:
        card = decode_card(row.content)
        lost = row.state is DeliveryState.UNKNOWN and row.message_id is None
        if row.message_id is None and not lost:
            row = replace(row, note=replace(Memo.read(row.note), after=self._highest.get(row.chat_id)).write())
            await self._deliveries.settle(row)  # `sending` keeps no note
        await self._deliveries.sending(row)
        if lost:
            row, outcome = await self._resolve(row, card)
        else:
            outcome = await self._show(row, card)
        await self._finish(row, outcome)

    async def _show(self, row: Delivery, card: Card) -> Outcome:
        memo = Memo.read(row.note)
        if memo.repeat:
            card = replace(card, html=REPEAT_MARK + card.html, silent=True)
        self._pace.spend(row.chat_id)
        if row.message_id is None:
            return await self._telegram.send(row.chat_id, card, silent=card.silent, as_plain=memo.plain)
        self._note_edit(row)
        return await self._telegram.edit(row.chat_id, row.message_id, card, as_plain=memo.plain)

    def _note_edit(self, row: Delivery) -> None:
        now = time.monotonic()
        if len(self._edited) >= _EDITS_REMEMBERED:
            self._edited = {who: at for who, at in self._edited.items() if now - at < EDIT_SPACING_SECONDS}
        self._edited[row.key, row.chat_id] = now

    async def _resolve(self, row: Delivery, card: Card) -> tuple[Delivery, Outcome]:
        """Find a lost message and adopt it, or send it again, marked."""
        memo = Memo.read(row.note)
        found = await self._probe(row, memo) if memo.after is not None else None
        if isinstance(found, Sent):
            logger.info("the lost message %s was found in chat %s", row.key, row.chat_id)
            self._metrics.deliveries.labels(result="adopted").inc()
            return row, found
        if found is not None:
            return row, found
        row = replace(row, note=replace(memo, repeat=True, after=self._highest.get(row.chat_id)).write())
        logger.warning("message %s may have been lost in chat %s; sending it again, marked", row.key, row.chat_id)
        self._metrics.deliveries.labels(result="repeat_marked").inc()
        return row, await self._show(row, card)

    async def _probe(self, row: Delivery, memo: Memo) -> Outcome | None:
        """Return Sent with the id of the lost message, None when it is not there, or the trouble met on the way."""
        missing = 0
        for candidate in range((memo.after or 0) + 1, (memo.after or 0) + 1 + _PROBES):
            await self._pace.turn(row.chat_id)
            outcome = await self._show(replace(row, message_id=candidate), decode_card(row.content))
            match outcome:
                case Sent() | Unchanged():
                    return Sent(candidate)
                case Rejected(Refusal.FOREIGN):
                    missing = 0
                case Rejected(Refusal.MISSING):
                    missing += 1
                case _:
                    return outcome
            if missing == _PROBES_BEYOND:
                return None
        return None

    async def _finish(self, row: Delivery, outcome: Outcome) -> None:
        verdict = judge(row, outcome, time.time(), self._backoff(row.chat_id))
        if isinstance(outcome, Throttled):
            self._metrics.retry_after.inc(outcome.seconds)
        self._learn(verdict, outcome)
        self._pace.hold(row.chat_id, verdict.hold_chat)
        self._pace.hold_all(verdict.hold_all)
        await self._patience.insist(lambda: self._save(verdict))

    def _backoff(self, chat: int) -> float:
        return min(30.0, 0.5 * 2.0 ** min(self._failures[chat], 8)) + random.uniform(0, 0.25)  # noqa: S311  (jitter)

    def _learn(self, verdict: Verdict, outcome: Outcome) -> None:
        row = verdict.row
        self._metrics.deliveries.labels(result=verdict.result).inc()
        if row.state is DeliveryState.SENT:
            del self._failures[row.chat_id]
            self._unreachable.discard(row.chat_id)
            if row.message_id is not None:
                self._highest[row.chat_id] = max(self._highest.get(row.chat_id, 0), row.message_id)
            return
        self._failures[row.chat_id] += 1
        known = row.chat_id in self._unreachable
        level = logging.INFO if known else logging.ERROR if row.state is DeliveryState.DEAD else logging.WARNING
        logger.log(level, "message %s to chat %s: %s", row.key, row.chat_id, outcome)

    async def _save(self, verdict: Verdict) -> None:
        row = verdict.row
        if verdict.moved_to is not None:
            await self._move(row, verdict.moved_to)
        elif verdict.unreachable:
            await self._tell_admins(row)
        await self._deliveries.settle(row)

    async def _tell_admins(self, row: Delivery) -> None:
        """Say by another way, once a chat, that alerts do not get through."""
        if row.chat_id in self._unreachable or row.chat_id not in self._chats.alerted():
            return
        self._unreachable.add(row.chat_id)
        key = f"unreachable:{row.chat_id}"
        content = Card(f"⚠️ Alerts do not reach chat <code>{row.chat_id}</code>: {esc(row.note)}").encode()
        for admin in self._admins:
            if admin != row.chat_id and await self._deliveries.get(key, admin) is None:
                await self._deliveries.stage(0, [], [Delivery(key, admin, Lane.OUTCOME, content)])

    async def _move(self, row: Delivery, to: int) -> None:
        logger.warning("group %s has become %s: change TELEGRAM_CHAT_IDS", row.chat_id, to)
        self._chats.moved(row.chat_id, to)
        moved = Delivery(row.key, to, row.lane, row.content)
        mark = Delivery(MOVED_KEY, row.chat_id, Lane.EDIT, str(to), DeliveryState.DEAD)
        await self._deliveries.stage(0, [], [moved, mark])


MOVED_KEY = "moved"
"""The key of a row that is never sent: its content is the id that a group goes by now."""


async def remember_moves(deliveries: Deliveries, chats: Chats) -> None:
    """Learn which of the configured groups have become supergroups since."""
    for chat in chats.configured():
        mark = await deliveries.get(MOVED_KEY, chat)
        if mark is not None:
            chats.moved(chat, int(mark.content))

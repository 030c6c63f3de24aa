"""A machine that does the same random things to every store and compares the answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from core.domain.controls import Controls
from core.domain.messages import AskStatus
from core.domain.opportunity import State
from core.errors import StoreError
from core.state.ports import Alert, Confirmation, Delivery, DeliveryState, Lane, Presence, Store
from tests.contract.places import MemoryPlace, Place, SqlitePlace
from tests.contract.samples import ADA, address, changed, dry_run, opportunity, page, refused, warned

FEW = st.integers(1, 4)
NOW = st.integers(0, 40).map(lambda number: number / 2)
NAMES = st.sampled_from(["a", "b", "c"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WHO = st.booleans()
"""Which of two processes does it."""


class Alike(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        places: list[Place] = [SqlitePlace(Path(self._directory.name)), MemoryPlace()]
        self._pairs = [[self._loop.run_until_complete(place.open()) for _ in range(2)] for place in places]

    def teardown(self) -> None:
        for pair in self._pairs:
            for store in pair:
                self._loop.run_until_complete(store.close())
        self._loop.close()
        self._directory.cleanup()

    def both(self, who: bool, act: Callable[[Store], Awaitable[Any]]) -> Any:
        answers = [self._loop.run_until_complete(self._outcome(act(pair[who]))) for pair in self._pairs]
        assert answers[0] == answers[1]
        return answers[0]

    async def _outcome(self, action: Awaitable[Any]) -> Any:
        try:
            return await action
        except StoreError as error:
            return type(error), str(error)


class Commands(Alike):
    @rule(who=WHO, name=NAMES, enabled=st.booleans(), now=NOW)
    def post(self, who: bool, name: str, enabled: bool, now: float) -> None:
        self.both(who, lambda store: store.mailbox.post(dry_run(name, enabled=enabled), now))
        self.both(who, lambda store: store.mailbox.unhandled())

    @rule(who=WHO, name=NAMES, now=NOW)
    def refuse(self, who: bool, name: str, now: float) -> None:
        self.both(who, lambda store: store.mailbox.refuse(refused(name), name, now))
        self.both(who, lambda store: store.mailbox.unhandled())


class Worker(Commands):
    @rule(who=WHO, ids=st.lists(st.tuples(FEW, FEW), max_size=3), state=st.sampled_from(State), now=NOW)
    def record(self, who: bool, ids: list[tuple[int, int]], state: State, now: float) -> None:
        given = [opportunity(number, user=user, episode=user, state=state) for number, user in ids]
        self.both(who, lambda store: store.journal.record(given, now))

    @rule(who=WHO, after=st.integers(0, 4), limit=FEW)
    def read_the_journal(self, who: bool, after: int, limit: int) -> None:
        self.both(who, lambda store: store.journal.last_ids())
        self.both(who, lambda store: store.journal.open_opportunities())
        self.both(who, lambda store: store.journal.counts(after))
        self.both(who, lambda store: store.journal.opportunities(after, limit))

    @rule(who=WHO, codes=st.lists(TEXT, max_size=3), now=NOW)
    def append(self, who: bool, codes: list[str], now: float) -> None:
        self.both(who, lambda store: store.outbox.append([warned(code) for code in codes], now))

    @rule(who=WHO, after=st.integers(0, 20), limit=FEW)
    def read_the_outbox(self, who: bool, after: int, limit: int) -> None:
        self.both(who, lambda store: store.outbox.read(after, limit))

    @rule(who=WHO, ahead=st.integers(-1, 2), enabled=st.booleans(), handled=st.sampled_from(["", "a", "b"]), now=NOW)
    def save_controls(self, who: bool, ahead: int, enabled: bool, handled: str, now: float) -> None:
        version = self.both(who, lambda store: store.controls.load()).version + ahead
        after = Controls(version, dry_run=enabled, changed_by=ADA, changed_at=now)
        self.both(who, lambda store: store.controls.save(after, changed(version, handled), handled, now))
        self.both(who, lambda store: store.controls.load())

    @rule(who=WHO, users=st.lists(FEW, max_size=4), block=st.integers(0, 9))
    def add_borrowers(self, who: bool, users: list[int], block: int) -> None:
        self.both(who, lambda store: store.borrowers.add([address(user) for user in users], block))
        self.both(who, lambda store: store.borrowers.all())
        self.both(who, lambda store: store.borrowers.discovered_to())


class Bot(Commands):
    @rule(who=WHO, deadline=NOW, now=st.one_of(NOW, NOW.map(lambda now: now + 3600)))
    def ask(self, who: bool, deadline: float, now: float) -> None:
        self.both(who, lambda store: store.queries.ask(AskStatus(), deadline, now))
        self.both(who, lambda store: store.queries.open(now))

    @rule(who=WHO, number=FEW, block=FEW, now=NOW)
    def answer(self, who: bool, number: int, block: int, now: float) -> None:
        self.both(who, lambda store: store.queries.answer(number, page(block), now))
        self.both(who, lambda store: store.queries.answer_to(number))

    @rule(who=WHO, updates=st.lists(st.tuples(FEW, TEXT), max_size=3), done=FEW, now=NOW, limit=FEW)
    def take_updates_in(self, who: bool, updates: list[tuple[int, str]], done: int, now: float, limit: int) -> None:
        self.both(who, lambda store: store.inbox.store(updates, now))
        self.both(not who, lambda store: store.inbox.pending(limit))
        self.both(who, lambda store: store.inbox.done(done, now))
        self.both(not who, lambda store: store.inbox.pending())

    @rule(who=WHO, code=TEXT, user=FEW, expires_at=NOW)
    def put_confirmation(self, who: bool, code: str, user: int, expires_at: float) -> None:
        self.both(who, lambda store: store.confirmations.put(Confirmation(code, user, 1, dry_run("a"), expires_at)))

    @rule(who=WHO, user=FEW, now=NOW)
    def take_confirmation(self, who: bool, user: int, now: float) -> None:
        self.both(who, lambda store: store.confirmations.take(user, 1, now))


class Chats(Alike):
    @rule(
        who=WHO,
        cursor=st.integers(0, 9),
        wanted=st.lists(st.tuples(NAMES, st.integers(1, 2), st.sampled_from(Lane), TEXT), max_size=3),
        alerts=st.lists(st.tuples(NAMES, NOW, st.sampled_from(["", "board"])), max_size=2),
    )
    def stage(
        self,
        who: bool,
        cursor: int,
        wanted: list[tuple[str, int, Lane, str]],
        alerts: list[tuple[str, float, str]],
    ) -> None:
        deliveries = [Delivery(key, chat, lane, content) for key, chat, lane, content in wanted]
        told = [Alert(key, opened, opportunity(1), board) for key, opened, board in alerts]
        self.both(who, lambda store: store.deliveries.stage(cursor, told, deliveries))
        self.both(who, lambda store: store.deliveries.cursor())

    @rule(who=WHO, since=NOW, board=st.sampled_from([None, "", "board"]), key=NAMES)
    def read_alerts(self, who: bool, since: float, board: str | None, key: str) -> None:
        self.both(who, lambda store: store.deliveries.alerts(board=board, since=since))
        self.both(who, lambda store: store.deliveries.alert(key))

    @rule(
        who=WHO,
        now=NOW,
        state=st.sampled_from(DeliveryState),
        message_id=st.none() | st.integers(1, 2**40),
        hold=NOW,
        late=st.booleans(),
    )
    def send_one(
        self, who: bool, now: float, state: DeliveryState, message_id: int | None, hold: float, late: bool
    ) -> None:
        due = self.both(who, lambda store: store.deliveries.due(now))
        if not due:
            return
        one: Delivery = due[0]
        self.both(who, lambda store: store.deliveries.sending(one))
        if late:
            self.both(not who, lambda store: store.deliveries.stage(0, [], [replace(one, content="late")]))
        settled = replace(one, state=state, message_id=message_id, not_before=hold, note=state)
        self.both(who, lambda store: store.deliveries.settle(settled))
        self.both(who, lambda store: store.deliveries.get(one.key, one.chat_id))

    @rule(who=WHO, now=NOW, key=NAMES)
    def crash_and_recover(self, who: bool, now: float, key: str) -> None:
        self.both(who, lambda store: store.deliveries.sending(Delivery(key, 1, Lane.ALERT, "")))
        self.both(who, lambda store: store.deliveries.recover())
        self.both(not who, lambda store: store.deliveries.due(now, 3))


class Shared(Alike):
    @rule(who=WHO, process=st.sampled_from(["worker", "bot"]), name=NAMES, now=NOW)
    def beat(self, who: bool, process: str, name: str, now: float) -> None:
        self.both(who, lambda store: store.presences.beat(Presence(process, name, "1", now, name)))
        self.both(not who, lambda store: store.presences.presence("worker"))

    @rule(who=WHO, holder=NAMES, ttl=FEW, now=NOW)
    def acquire(self, who: bool, holder: str, ttl: int, now: float) -> None:
        self.both(who, lambda store: store.lease.acquire("worker", holder, ttl, now))

    @rule(who=WHO, holder=NAMES)
    def release(self, who: bool, holder: str) -> None:
        self.both(who, lambda store: store.lease.release("worker", holder))


@pytest.mark.parametrize(("machine", "examples"), [(Worker, 60), (Bot, 60), (Chats, 80), (Shared, 20)])
def test_stores_answer_alike(machine: type[Alike], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )

"""Hear the operators: commands from the mailbox, questions from the bot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from core.domain.controls import Controls, Limits, Refusal, apply
from core.domain.messages import MAX_REASON, Answer, Change, Command, CommandRefused, ControlsChanged, Question
from core.errors import StoreError
from core.state.ports import Store

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
TROUBLE_SECONDS = 1.0


class CommandDesk:
    """Apply commands in order, and answer questions while somebody still waits for them.

    The worker is the only writer of the controls. `take_over` hands saved controls to whoever acts on them; `block`
    tells the last head processed.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        take_over: Callable[[Controls], None],
        block: Callable[[], int],
        answer: Callable[[Question], Awaitable[Answer]],
    ) -> None:
        self._store = store
        self._limits = limits
        self._take_over = take_over
        self._block = block
        self._answer = answer

    async def run(self) -> None:
        """Serve forever; a store that fails is tried again, and commands wait in it."""
        bell = self._store.bell()
        while True:
            try:
                await self.serve_once()
                await bell.wait(POLL_SECONDS)
            except StoreError as error:
                logger.warning("[commands] the store does not answer: %s", error)
                await asyncio.sleep(TROUBLE_SECONDS)

    async def serve_once(self) -> None:
        """Apply every waiting command and answer every open question."""
        for command, stored_at in await self._store.mailbox.unhandled():
            await self._handle(command, stored_at)
        for number, question in await self._store.queries.open(time.time()):
            await self._store.queries.answer(number, await self._answer(question), time.time())

    async def _handle(self, command: Command, stored_at: float) -> None:
        now = time.time()
        before = await self._store.controls.load()
        after = apply(before, command, self._limits, now)
        if isinstance(after, Refusal):
            logger.warning("[commands] refused %s of %s: %s", command.id, command.operator.name, after.value)
            refused = CommandRefused(command.id, command.operator, after.value, self._block())
            await self._store.mailbox.refuse(refused, command.id, now)
            return
        event = ControlsChanged(
            version=after.version,
            changes=changes(before, after),
            command_id=command.id,
            operator=command.operator,
            block=self._block(),
            seconds=max(0.0, now - stored_at),
            reason=command.reason[:MAX_REASON],
        )
        await self._store.controls.save(after, event, command.id, now)
        self._take_over(after)
        logger.warning("[commands] %s by %s: controls v%d", event.changes, command.operator.name, after.version)


def changes(before: Controls, after: Controls) -> tuple[Change, ...]:
    """Return what differs between two versions of the controls, as people read it."""
    words = {True: "on", False: "off"}
    if before.dry_run == after.dry_run:
        return ()
    return (Change("dry run", words[before.dry_run], words[after.dry_run]),)

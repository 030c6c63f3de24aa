"""Keep the cards that ask for a code true: each says what became of its code, and then has no button any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.cards import decode_card
from bot.replies import reply_of
from core.state.ports import Confirmation, Delivery, Lane, Store

SWEEP_AFTER_SECONDS = 2.0
"""How long after its end a code counts as expired here: by then whoever typed it in time has been heard."""
_AT_ANY_AGE = 0.0


class Codes:
    """Know the codes that are out, and end their cards. The store alone decides whether a code still counts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._out: dict[str, Confirmation] = {}

    async def arm(self, confirmation: Confirmation, now: float) -> None:
        """Let a command wait for its code; one that waited before, of the same person in the same chat, is void."""
        before = await self._store.confirmations.take(confirmation.user_id, confirmation.chat_id, _AT_ANY_AGE)
        await self._store.confirmations.put(confirmation)
        self._out[confirmation.command.id] = confirmation
        if before and before.command.id != confirmation.command.id:
            expired = before.expires_at < now
            await self.close(before, f"{'expired' if expired else 'replaced by a newer code'}. Nothing was changed.")

    async def close(self, confirmation: Confirmation, became: str, *, but: str = "") -> bool:
        """Say on the card what became of its code and drop its button; not on the one that `but` names.

        Return whether the card changed: one that was closed before stays as it is.
        """
        changed = await self._close(confirmation, became, but)
        self._out.pop(confirmation.command.id, None)
        return changed

    async def sweep(self, now: float) -> bool:
        """Close the cards of codes that nobody typed in time; return whether any changed."""
        late = [one for one in self._out.values() if now > one.expires_at + SWEEP_AFTER_SECONDS]
        return any([await self.close(one, "expired. Nothing was changed.") for one in late])

    async def recover(self, places: Iterable[tuple[int, int]]) -> None:
        """Learn which codes an earlier process left out; `places` are (user id, chat id)."""
        for user_id, chat_id in places:
            waiting = await self._store.confirmations.take(user_id, chat_id, _AT_ANY_AGE)
            if waiting is not None:
                self._out[waiting.command.id] = waiting
                await self._store.confirmations.put(waiting)

    async def _close(self, confirmation: Confirmation, became: str, but: str) -> bool:
        place = reply_of(confirmation.command.id)
        row = await self._store.deliveries.get(*place) if place and place[0] != but else None
        card = decode_card(row.content) if row else None
        if row is None or card is None or not card.token:
            return False
        closed = replace(card, html=f"🔐 <b>Dry run off</b>: {became}", buttons=(), token="", owner=0)
        lane = Lane.ANSWER if row.message_id is None else Lane.EDIT
        await self._store.deliveries.stage(0, [], [Delivery(row.key, row.chat_id, lane, closed.encode())])
        return True

"""Speak with Telegram; the only file that imports its library. Every call gives a value, none raises for Telegram."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlencode

import httpx

os.environ.setdefault("PTB_TIMEDELTA", "1")  # else the library warns of its own RetryAfter each time it raises one

from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeChat,
    BotCommandScopeDefault,
    CopyTextButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
    error,
)
from telegram.constants import ParseMode
from telegram.request import BaseRequest, HTTPXRequest

from bot import outcomes
from bot.cards import Button, Card, plain
from bot.outcomes import Outcome, Refusal

logger = logging.getLogger(__name__)

ALLOWED_UPDATES = ("message", "callback_query", "my_chat_member")
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_UNREADABLE = (KeyError, TypeError, ValueError)
Observe: TypeAlias = Callable[[str, str], None]
"""Called with each request's method and outcome ("ok", "429", "MaybeSent"), for the metrics."""


@dataclass(frozen=True, slots=True)
class Polled:
    """Hold the updates of one poll, as Telegram wrote them."""

    updates: tuple[tuple[int, str], ...]


POLL_FAILURES = ("conflict", "token", "throttled", "away")


@dataclass(frozen=True, slots=True)
class PollFailed:
    """Tell why a poll gave nothing: `kind` is one of POLL_FAILURES, `pause` the least wait in seconds."""

    kind: str
    reason: str
    pause: float = 0.0


class Telegram:
    """Be the bot's one connection to the Bot API at `api_url`."""

    def __init__(self, token: str, api_url: str, observe: Observe, timeout: float = 10.0) -> None:
        self._token = token
        self._observe = observe
        self._poll_url = f"{api_url}/bot{token}/getUpdates"
        self._polling = HTTPXRequest(1, timeout, timeout, min(5.0, timeout))
        self._request = HTTPXRequest(8, timeout, timeout, min(5.0, timeout), pool_timeout=5.0)
        self._bot = Bot(token, base_url=f"{api_url}/bot", request=self._request, get_updates_request=self._polling)
        self.username = ""

    def __repr__(self) -> str:
        """Return a name without the token."""
        return f"Telegram(username={self.username!r})"

    async def introduce(self) -> PollFailed | None:
        """Learn the bot's own name; return None when Telegram answered, else why not."""
        try:
            await self._bot.initialize()
        except error.TelegramError as exc:
            return self._failed("getMe", exc)
        except _UNREADABLE as exc:
            return PollFailed("away", f"unreadable answer to getMe: {type(exc).__name__}")
        self.username = self._bot.username or ""
        self._observe("getMe", "ok")
        return None

    async def close(self) -> None:
        """Let go of every connection."""
        for request in (self._polling, self._request):  # Bot.shutdown closes nothing before a first getMe
            await request.shutdown()

    async def poll(self, offset: int, seconds: int) -> Polled | PollFailed:
        """Ask for updates from `offset`, which confirms all before it; wait up to `seconds` for the first.

        The answer is read as JSON only: an update that the library cannot parse must not stop the ones behind it.
        """
        query = {"offset": offset, "timeout": seconds, "allowed_updates": json.dumps(ALLOWED_UPDATES)}
        try:
            raw = await self._polling.retrieve(f"{self._poll_url}?{urlencode(query)}", read_timeout=seconds + 5)
            result = BaseRequest.parse_json_payload(raw)["result"]
            updates = tuple((int(item["update_id"]), json.dumps(item, separators=(",", ":"))) for item in result)
        except error.TelegramError as exc:
            return self._failed("getUpdates", exc)
        except _UNREADABLE as exc:
            return PollFailed("away", f"unreadable answer to getUpdates: {type(exc).__name__}")
        self._observe("getUpdates", "ok")
        return Polled(updates)

    async def send(self, chat_id: int, card: Card, *, silent: bool, as_plain: bool = False) -> Outcome:
        """Send a new message."""
        reply = ReplyParameters(card.reply_to, allow_sending_without_reply=True) if card.reply_to else None
        return await self._try(
            "sendMessage",
            self._bot.send_message(
                chat_id,
                plain(card.html) if as_plain else card.html,
                parse_mode=None if as_plain else ParseMode.HTML,
                disable_notification=silent,
                reply_markup=_keyboard(card.buttons),
                message_thread_id=card.thread,
                reply_parameters=reply,
                link_preview_options=_NO_PREVIEW,
            ),
        )

    async def edit(self, chat_id: int, message_id: int, card: Card, *, as_plain: bool = False) -> Outcome:
        """Make a message look like the card."""
        return await self._try(
            "editMessageText",
            self._bot.edit_message_text(
                plain(card.html) if as_plain else card.html,
                chat_id,
                message_id,
                parse_mode=None if as_plain else ParseMode.HTML,
                reply_markup=_keyboard(card.buttons),
                link_preview_options=_NO_PREVIEW,
            ),
        )

    async def answer(self, query_id: str, text: str = "", alert: bool = False) -> None:
        """Stop the spinner of a pressed button, with a line of text; best effort: Telegram forgets old presses."""
        outcome = await self._try(
            "answerCallbackQuery",
            self._bot.answer_callback_query(query_id, text[:200] or None, alert or None, read_timeout=3.0),
        )
        if not isinstance(outcome, outcomes.Unchanged):
            logger.info("a button's press could not be answered: %s", outcome)

    async def set_commands(self, chat_id: int | None, commands: Sequence[tuple[str, str]]) -> bool:
        """Set the command list of one chat, or of everybody (None); return False when Telegram did not take it."""
        scope = BotCommandScopeDefault() if chat_id is None else BotCommandScopeChat(chat_id)
        call = self._bot.set_my_commands([BotCommand(name, text) for name, text in commands], scope=scope)
        outcome = await self._try("setMyCommands", call)
        if isinstance(outcome, outcomes.Rejected | outcomes.Blocked):
            logger.info("no command list for chat %s: %s", chat_id, outcome.reason)
        return isinstance(outcome, outcomes.Unchanged | outcomes.Rejected | outcomes.Blocked)

    async def _try(self, method: str, call: Awaitable[Message | bool]) -> Outcome:
        try:
            result = await call
        except error.TelegramError as exc:
            outcome = classify(exc)
        except _UNREADABLE as exc:
            outcome = outcomes.MaybeSent(f"unreadable answer: {type(exc).__name__}")
        else:
            self._observe(method, "ok")
            return outcomes.Sent(result.message_id) if isinstance(result, Message) else outcomes.Unchanged()
        self._observe(method, type(outcome).__name__)
        return outcome

    def _failed(self, method: str, exc: error.TelegramError) -> PollFailed:
        outcome = classify(exc)
        self._observe(method, "Conflict" if isinstance(exc, error.Conflict) else type(outcome).__name__)
        if isinstance(exc, error.Conflict):
            return PollFailed("conflict", "another program polls with this token", 1.0)
        if isinstance(outcome, outcomes.Unauthorised):
            return PollFailed("token", "Telegram refuses TELEGRAM_BOT_TOKEN")
        if isinstance(outcome, outcomes.Throttled):
            return PollFailed("throttled", "Telegram asks for patience", outcome.seconds)
        return PollFailed("away", self._clean(getattr(outcome, "reason", "no usable answer")))

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "••••") if self._token else text


def classify(exc: error.TelegramError) -> Outcome:
    """Return what an error of the library means for the message; a bad request is a network error there, not here."""
    match exc:
        case error.RetryAfter():
            outcome: Outcome = outcomes.Throttled(_seconds(exc))
        case error.ChatMigrated():
            outcome = outcomes.Migrated(exc.new_chat_id)
        case error.BadRequest():
            outcome = _rejected(str(exc))
        case error.Forbidden():
            outcome = outcomes.Blocked(str(exc)[:200])
        case error.InvalidToken():
            outcome = outcomes.Unauthorised()  # its text holds the token
        case _ if isinstance(exc.__cause__, _UNSENT):
            outcome = outcomes.NotSent(type(exc.__cause__).__name__)
        case _:
            outcome = outcomes.MaybeSent(type(exc.__cause__).__name__ if exc.__cause__ else str(exc)[:80])
    return outcome


def _rejected(text: str) -> Outcome:
    lower = text.lower()
    if "message is not modified" in lower:
        return outcomes.Unchanged()
    kinds = {
        "parse entities": Refusal.PARSE,
        "message to edit not found": Refusal.MISSING,
        "message_id_invalid": Refusal.MISSING,
        "message can't be edited": Refusal.FOREIGN,
        "chat not found": Refusal.CHAT,
    }
    kind = next((kind for part, kind in kinds.items() if part in lower), Refusal.OTHER)
    return outcomes.Rejected(kind, text[:200])


def _seconds(exc: error.RetryAfter) -> float:
    after = exc.retry_after
    return float(after) if isinstance(after, int) else after.total_seconds()


def _keyboard(rows: tuple[tuple[Button, ...], ...]) -> InlineKeyboardMarkup | None:
    if not rows:
        return None
    return InlineKeyboardMarkup([[_button(button) for button in row] for row in rows])


def _button(button: Button) -> InlineKeyboardButton:
    if button.url:
        return InlineKeyboardButton(button.text, url=button.url)
    if button.copy:
        return InlineKeyboardButton(button.text, copy_text=CopyTextButton(button.copy))
    return InlineKeyboardButton(button.text, callback_data=button.data, style=button.style or None)

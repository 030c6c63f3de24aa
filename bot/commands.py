"""The commands: what each is called, who may use it, and what it answers."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from bot import answers
from bot.cards import Card, compose, esc
from bot.desk import Desk
from bot.dryrun import DryRun
from bot.request import Request
from bot.updates import Person, Place
from core.config import Role

Answering: TypeAlias = Callable[[Request], Awaitable[Card]]


@dataclass(frozen=True, slots=True)
class Spec:
    """Describe one command: its words, who may use it, and what it is for."""

    name: str
    usage: str
    role: Role
    summary: str
    detail: str = ""


SPECS = (
    Spec("status", "/status", Role.VIEWER, "how worker and bot are"),
    Spec("watchlist", "/watchlist [page]", Role.VIEWER, "accounts closest to liquidation"),
    Spec("settings", "/settings", Role.VIEWER, "the worker's effective settings"),
    Spec(
        "dryrun",
        "/dryrun on|off [reason]",
        Role.OPERATOR,
        "nothing is sent (on), or live (off)",
        "On is immediate, at any age of the message. Off takes an admin and a typed code, and is refused while "
        "EXECUTION_ENABLED is false or DRY_RUN_EXECUTION is true in the worker's settings.",
    ),
    Spec("confirm", "/confirm CODE", Role.ADMIN, "confirm with the code that was asked for", "A code lives 60 s."),
    Spec("cancel", "/cancel", Role.ADMIN, "drop what waits for a code"),
    Spec("id", "/id", Role.VIEWER, "your id and this chat's, as settings want them"),
    Spec("help", "/help [command]", Role.VIEWER, "what you may do here"),
    Spec("start", "/start", Role.VIEWER, "begin"),
)
_BY_NAME = {spec.name: spec for spec in SPECS}


@dataclass(frozen=True, slots=True)
class Line:
    """Hold a typed command: its name in lower case, whom it was addressed to, and its arguments."""

    name: str
    to: str
    args: tuple[str, ...]


def parse_line(text: str) -> Line | None:
    """Return the command in a message, or None when it is none."""
    words = text.split()
    if not words or not words[0].startswith("/") or len(words[0]) < 2:
        return None
    name, _, to = words[0][1:].partition("@")
    return Line(name.lower(), to.lower(), tuple(words[1:]))


def lowers_risk(line: Line) -> bool:
    """Tell whether a command must not wait behind anything."""
    return line.name == "dryrun" and bool(line.args) and line.args[0].lower() == "on"


def listed_for(role: Role) -> list[tuple[str, str]]:
    """Return the command list that Telegram shows to a role."""
    return [(spec.name, spec.summary) for spec in SPECS if spec.role <= role and spec.name != "start"]


class Commands:
    """Answer what operators type and press."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._dryrun = DryRun(desk)
        self._answers: dict[str, Answering] = {
            "status": self._status,
            "watchlist": self._watchlist,
            "settings": self._settings,
            "dryrun": self._dryrun.command,
            "confirm": self._dryrun.confirm,
            "cancel": self._dryrun.cancel,
            "id": self._id,
            "help": self._help,
            "start": self._start,
        }
        self._presses: dict[str, Answering] = {
            "status": self._status,
            "watch": self._watchlist,
            "settings": self._settings,
            "cancel": self._dryrun.cancel,
        }

    async def typed(self, name: str, request: Request) -> tuple[str, Card]:
        """Return how it went ("ok", "forbidden" or "unknown") and the answer."""
        spec = _BY_NAME.get(name)
        if spec is None:
            return "unknown", Card(_suggestion(name, request.role))
        if request.role < spec.role:
            needed, yours = spec.role.name.lower(), request.role.name.lower()
            return "forbidden", Card(f"⛔️ /{name} takes the role {needed}; you are {yours}.")
        return "ok", await self._answers[name](request)

    async def pressed(self, action: str, request: Request) -> Card | None:
        """Return how the message should look after a press, or None for an action that does not exist."""
        answering = self._presses.get(action)
        return await answering(request) if answering else None

    async def _status(self, request: Request) -> Card:
        return await answers.status(self._desk, request.handle)

    async def _watchlist(self, request: Request) -> Card:
        page = request.args[0] if request.args else "1"
        if not page.isascii() or not page.isdigit() or not 1 <= int(page[:6]) <= 99_999:
            return Card("A page is a whole number from 1, as in <code>/watchlist 2</code>.")
        return await answers.watchlist(self._desk, request.handle, int(page[:6]))

    async def _settings(self, request: Request) -> Card:
        return await answers.settings(self._desk, request.handle)

    async def _id(self, request: Request) -> Card:
        return Card(identity_html(request.person, request.place, request.role))

    async def _start(self, request: Request) -> Card:
        handle = request.handle
        row = (
            handle.button("📊 Status", "status"),
            handle.button("📋 Watchlist", "watch", "1"),
            handle.button("⚙️ Settings", "settings"),
        )
        html = f"👋 <b>liquidbot</b> watches Aave for you.\n{help_html(request.role)}"
        return Card(html, (row,), token=handle.token)

    async def _help(self, request: Request) -> Card:
        if not request.args:
            return Card(help_html(request.role))
        name = request.args[0].lower().lstrip("/")
        spec = _BY_NAME.get(name)
        if spec is None or spec.role > request.role:
            return Card(_suggestion(name, request.role))
        return Card(compose([f"<code>{esc(spec.usage)}</code>: {esc(spec.summary)}", esc(spec.detail, 400)]))


def help_html(role: Role) -> str:
    """Return the commands that a role may use."""
    lines = [f"<code>{esc(spec.usage)}</code> · {esc(spec.summary)}" for spec in SPECS if spec.role <= role]
    return compose([f"<b>You may</b> ({role.name.lower()}):", *lines])


def identity_html(person: Person, place: Place, role: Role | None) -> str:
    """Return a person's and a chat's ids, ready to be copied into the settings."""
    topic = f" · topic {place.thread}" if place.thread is not None else ""
    lines = [f"user {person.id} · chat {place.id}{topic}"]
    lines.append(f"<code>TELEGRAM_OPERATORS={person.id}:{(role or Role.VIEWER).name.lower()}</code>")
    lines.append(f"<code>TELEGRAM_CHAT_IDS={place.id}</code>")
    return compose(lines)


def _suggestion(name: str, role: Role) -> str:
    near = nearest(name, role)
    hint = f" Did you mean /{near}?" if near else ""
    return f"There is no command <code>/{esc(name, 32)}</code>.{hint} /help lists what there is."


def nearest(name: str, role: Role) -> str:
    """Return the command of this role that is spelt most like `name`, or ""."""
    names = [spec.name for spec in SPECS if spec.role <= role]
    return next(iter(difflib.get_close_matches(name, names, 1, 0.6)), "")

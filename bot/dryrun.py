"""`/dryrun`, `/confirm`, `/cancel`: lowering risk is immediate; raising it takes a typed code and a willing worker."""

from __future__ import annotations

import hmac
import secrets
import time

from bot.cards import Card, compose, one_line
from bot.desk import Desk
from bot.replies import command_id
from bot.request import Request
from bot.views import because, silence
from core.config import Role
from core.domain.controls import STALE_AFTER_SECONDS, Refusal
from core.domain.messages import MAX_REASON, AskStatus, SetDryRun, StatusReport, encode
from core.state.ports import Confirmation

CODE_SECONDS = 60
USAGE = "Use <code>/dryrun on</code> or <code>/dryrun off</code>."
_REFUSED = "⛔️ <b>Refused</b>: "


class DryRun:
    """Change dry run on an operator's word."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def command(self, request: Request) -> Card:
        """Answer `/dryrun on|off [reason]`."""
        wanted = request.args[0].lower() if request.args else ""
        if wanted == "on":
            return self._stored(request, reason_in(request), enabled=True)
        if wanted != "off":
            return Card(USAGE)
        if request.role < Role.ADMIN:
            return Card(f"{_REFUSED}switching dry run off takes an admin; you are {request.role.name.lower()}.")
        return await self._ask_for_code(request)

    async def confirm(self, request: Request) -> Card:
        """Answer `/confirm CODE`; a wrong code voids the command, so that nobody can guess on."""
        store = self._desk.store
        waiting = await store.confirmations.take(request.person.id, request.place.id, time.time())
        if waiting is None:
            return Card("Nothing of yours waits for a code here; it may have expired. Nothing was changed.")
        typed = request.args[0] if request.args else ""
        if not hmac.compare_digest(typed.encode(errors="replace"), waiting.code.encode()):
            await self._desk.codes.close(waiting, "void, a wrong code was typed. Nothing was changed.")
            return Card("⛔️ <b>Wrong code</b>. Nothing was changed; send <code>/dryrun off</code> for a new one.")
        if time.time() - request.date > STALE_AFTER_SECONDS:
            await self._desk.codes.close(waiting, "void, its code came too late. Nothing was changed.")
            return Card(f"{_REFUSED}{Refusal.STALE}. Nothing was changed.")
        await self._desk.codes.close(waiting, "confirmed with its code.")
        return self._stored(request, waiting.command.reason, enabled=waiting.command.enabled)

    async def cancel(self, request: Request) -> Card:
        """Answer `/cancel`, typed or pressed."""
        waiting = await self._desk.store.confirmations.take(request.person.id, request.place.id, time.time())
        if waiting is None:
            return Card("Nothing of yours waits for a code here. Nothing was changed.")
        await self._desk.codes.close(waiting, "cancelled. Nothing was changed.", but=request.handle.key)
        return Card("✖️ <b>Cancelled</b>. Nothing was changed.")

    async def _ask_for_code(self, request: Request) -> Card:
        if time.time() - request.date > STALE_AFTER_SECONDS:
            return Card(f"{_REFUSED}{Refusal.STALE}. Nothing was changed.")
        refusal = await self._why_not()
        if refusal:
            return Card(f"{_REFUSED}{refusal}. Nothing was changed.")
        now = time.time()
        code = f"{secrets.randbelow(10_000):04d}"
        command = _command(request, reason_in(request), enabled=False)
        await self._desk.codes.arm(
            Confirmation(code, request.person.id, request.place.id, command, now + CODE_SECONDS), now
        )
        html = compose(
            [
                f"🔐 {title(enabled=False)}: real transactions may be sent.",
                because(command.reason),
                f"Type <code>/confirm {code}</code> within {CODE_SECONDS} s, or /cancel.",
            ]
        )
        button = request.handle.button("✖️ Cancel", "cancel", style="danger")
        return Card(html, ((button,),), token=request.handle.token, owner=request.person.id)

    async def _why_not(self) -> str:
        """Return why the worker would refuse to go live, or "": without its answer nothing is armed."""
        report = await self._desk.ask(AskStatus())
        if not isinstance(report, StatusReport):
            return f"{silence(await self._desk.worker(), time.time())}, and going live takes its answer"
        if report.execution == "off":
            return Refusal.EXECUTION_DISABLED
        if report.execution == "dry":
            return Refusal.DRY_RUN_FORCED
        return "" if report.dry_run else f"dry run is off already (v{report.controls_version})"

    def _stored(self, request: Request, reason: str, *, enabled: bool) -> Card:
        command = _command(request, reason, enabled=enabled)
        html = compose([f"💾 {title(enabled=enabled)}: stored · waiting for the worker", because(reason)])
        return Card(html, command=encode(command))


def _command(request: Request, reason: str, *, enabled: bool) -> SetDryRun:
    name = command_id(request.update_id, request.place.id)
    return SetDryRun(name, request.operator, request.date, enabled, reason)


def reason_in(request: Request) -> str:
    """Return the words after on or off, on one line and bounded; they are the operator's own and not fit for HTML."""
    return one_line(" ".join(request.args[1:]), MAX_REASON)


def title(*, enabled: bool) -> str:
    """Return what a command wants, for the head of its reply."""
    return f"<b>Dry run {'on' if enabled else 'off'}</b>"

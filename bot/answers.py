"""Build the cards that show what the worker knows; typed or pressed, they are the same."""

from __future__ import annotations

import time

from bot import views
from bot.cards import Card, Handle
from bot.desk import Desk
from core.domain.messages import AskSettings, AskStatus, AskWatchlist, SettingsReport, StatusReport, WatchlistPage


async def status(desk: Desk, handle: Handle) -> Card:
    """Return the status card."""
    report = await desk.ask(AskStatus())
    html = views.status_html(
        report if isinstance(report, StatusReport) else None, await desk.worker(), await desk.facts(), time.time()
    )
    return Card(html, views.status_buttons(handle), token=handle.token)


async def watchlist(desk: Desk, handle: Handle, page: int) -> Card:
    """Return one page of the watch list; the worker decides what a page beyond the last one shows."""
    answer = await desk.ask(AskWatchlist(page))
    if isinstance(answer, WatchlistPage):
        html = views.watchlist_html(answer, time.time())
        return Card(html, views.watchlist_buttons(handle, answer), token=handle.token)
    return await _unanswered(desk, handle, answer, "watch")


async def settings(desk: Desk, handle: Handle) -> Card:
    """Return the worker's effective settings."""
    answer = await desk.ask(AskSettings())
    if isinstance(answer, SettingsReport):
        html = views.settings_html(answer, time.time())
        return Card(html, views.refresh_buttons(handle, "settings"), token=handle.token)
    return await _unanswered(desk, handle, answer, "settings")


async def _unanswered(desk: Desk, handle: Handle, answer: object, action: str) -> Card:
    now = time.time()
    html = views.silent_html(await desk.worker(), now) if answer is None else views.unexpected_html(now)
    return Card(html, views.refresh_buttons(handle, action), token=handle.token)

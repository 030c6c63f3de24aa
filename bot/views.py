"""Word what the worker answers and what befalls it. Pure: from values to HTML and buttons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.amounts import clock, group, health_factor_floor, short_seconds, span, usd_half_even
from bot.cards import Button, Handle, compose, esc
from core.domain.messages import (
    MAX_REASON,
    Change,
    CommandRefused,
    ControlsChanged,
    PredictionReport,
    SettingsReport,
    StatusReport,
    WatchlistPage,
    WorkerStarted,
    WorkerStopped,
)
from core.state.ports import Presence

Rows = tuple[tuple[Button, ...], ...]


@dataclass(frozen=True, slots=True)
class BotFacts:
    """Hold what the bot knows of itself: seconds since start, and messages that wait to be sent."""

    version: str
    uptime_seconds: float
    waiting: int


def silence(worker: Presence | None, now: float) -> str:
    """Return how long the worker has not been heard of."""
    if worker is None:
        return "no worker has been seen yet"
    return f"worker silent for {span(now - worker.at)}"


def status_html(report: StatusReport | None, worker: Presence | None, bot: BotFacts, now: float) -> str:
    """Return the status card; without a report it says how long the worker has been silent."""
    own = f"Bot     ● up {span(bot.uptime_seconds)} · waiting to be sent: {group(bot.waiting)} · {esc(bot.version, 40)}"
    footer = f"updated {clock(now)}"
    if report is None:
        return compose([f"⚪️ <b>No answer</b>: {silence(worker, now)}", own], footer)
    return compose([*_mode_blocks(report), *_worker_blocks(report), own, *_warnings(report.warnings)], footer)


def _mode_blocks(report: StatusReport) -> list[str]:
    mode = "🟢 <b>DRY RUN</b>: nothing is sent" if report.dry_run else "🔴 <b>LIVE</b>: dry run is off"
    words = {
        "off": "execution is disabled (EXECUTION_ENABLED=false)",
        "dry": "dry run is forced (DRY_RUN_EXECUTION=true)",
        "armable": "an admin may switch dry run off",
    }
    return [f"{mode} · v{report.controls_version}", f"Execution: {words.get(report.execution, esc(report.execution))}"]


def _worker_blocks(report: StatusReport) -> list[str]:
    latency = report.latency
    bands = " · ".join(f"&lt;{esc(name, 12)}: {group(count)}" for name, count in report.bands)
    day = " · ".join(f"{esc(name, 24)} {group(count)}" for name, count in report.day)
    measured = f"p50 {latency.p50:.0f} ms · p95 {latency.p95:.0f} ms · worst {latency.worst:.0f} ms"
    return [
        f"Worker  ● {esc(report.role, 24)} · up {span(report.uptime_seconds)} · {esc(report.version, 40)}",
        f"Block {group(report.block)} · {short_seconds(report.head_age_seconds)} old"
        f" · chain {report.chain_id} · revision {report.revision}",
        f"Borrowers {group(report.borrowers)} · watched {group(report.watched)}",
        f"Health factor {bands}" if bands else "",
        f"Endpoints: {esc(', '.join(report.endpoints), 300)}" if report.endpoints else "",
        f"Latency: {measured} ({group(latency.count)} measured)" if latency.count else "",
        f"24 h: {day}" if day else "24 h: nothing yet",
        _prediction(report.prediction) if report.prediction else "",
    ]


def _prediction(card: PredictionReport) -> str:
    """Return the predictive report card in one line: precision by scenario, recall, Brier score."""
    scored = [score for score in card.scores if score.scored]
    if not scored and not card.crossings:
        return f"Prediction: {group(card.open)} open, none scored yet"
    precision = [f"{esc(s.scenario, 24)} {_share(s.precision)} of {group(s.scored)}" for s in scored]
    parts = [f"precision {', '.join(precision)}"] if precision else []
    parts += [f"recall {_share(card.recall)} of {group(card.crossings)}"] if card.crossings else []
    parts += [f"Brier {card.brier:.3f}"] if scored else []
    return f"Prediction: {' · '.join(parts)}"


def _share(share: float) -> str:
    """Return a share as "86 %", cut off so that only a whole one reads 100 %."""
    return f"{int(share * 100 + 1e-9)} %"


def _warnings(warnings: Sequence[str]) -> list[str]:
    return [f"⚠️ {esc(text, 300)}" for text in warnings]


def status_buttons(handle: Handle) -> Rows:
    """Return what a thumb wants with the status card."""
    refresh = handle.button("🔄 Refresh", "status")
    return ((refresh, handle.button("📋 Watchlist", "watch", "1"), handle.button("⚙️ Settings", "settings")),)


def watchlist_html(page: WatchlistPage, now: float) -> str:
    """Return one page of the watch list, lowest health factor first."""
    title = f"📋 <b>Watch list</b> · {group(page.total)} accounts"
    columns = f"block {group(page.block)} · health factor · debt / collateral"
    rows = [
        f"<b>{health_factor_floor(row.health_factor)}</b> · {usd_half_even(row.total_debt_base)}"
        f" / {usd_half_even(row.total_collateral_base)}\n<code>{esc(row.user)}</code>"
        for row in page.rows
    ]
    footer = f"page {page.page}/{page.pages} · updated {clock(now)}"
    return compose([title, columns, *(rows or ["No account is being watched."])], footer)


def watchlist_buttons(handle: Handle, page: WatchlistPage) -> Rows:
    """Return ◀ 1/7 ▶ and a refresh; at an end the arrow goes round to the other one."""
    before = page.page - 1 if page.page > 1 else page.pages
    after = page.page + 1 if page.page < page.pages else 1
    arrows = (
        handle.button("◀", "watch", str(before)),
        handle.button(f"{page.page}/{page.pages}", "watch", str(page.page)),
        handle.button("▶", "watch", str(after)),
    )
    below = (handle.button("🔄 Refresh", "watch", str(page.page)), handle.button("↩ Status", "status"))
    return (arrows, below) if page.pages > 1 else (below,)


def settings_html(report: SettingsReport, now: float) -> str:
    """Return the effective settings: what was set first, then the defaults."""
    given = [row for row in report.rows if row.source != "default"]
    rest = [row for row in report.rows if row.source == "default"]
    blocks = ["⚙️ <b>Settings</b> of the worker"]
    blocks += [f"<code>{esc(row.name, 60)}={esc(row.value)}</code> · {esc(row.source, 24)}" for row in given]
    if rest:
        blocks.append("<b>At their defaults</b>")
        blocks += [f"<code>{esc(row.name, 60)}={esc(row.value)}</code>" for row in rest]
    return compose(blocks, f"updated {clock(now)}")


def silent_html(worker: Presence | None, now: float) -> str:
    """Return the card of a question that nobody answered."""
    return f"⚪️ <b>No answer</b>: {silence(worker, now)}\nupdated {clock(now)}"


def unexpected_html(now: float) -> str:
    """Return the card of an answer that this version cannot read, as in the middle of a deploy."""
    text = "The worker answered in words that this bot does not know; are their versions the same?"
    return f"⚪️ {text}\nupdated {clock(now)}"


def refresh_buttons(handle: Handle, action: str) -> Rows:
    """Return a refresh of the same card, and the way back."""
    return ((handle.button("🔄 Refresh", action), handle.button("↩ Status", "status")),)


def applied_html(event: ControlsChanged) -> str:
    """Return the end of a write that the worker applied: what changed, when, by whom, and how to undo it."""
    live = any(_goes_live(change) for change in event.changes)
    undo = f" · undo: /dryrun {'on' if live else 'off'}" if event.changes else ""
    by = f" · by {esc(event.operator.name, 64)}" if event.operator else ""
    return compose(
        [
            f"{'🔴' if live else '🟢'} {changes_line(event.changes)}",
            f"applied by the worker at block {group(event.block)}, {short_seconds(event.seconds)}"
            f" · v{event.version}{by}{undo}",
            because(event.reason),
        ]
    )


def because(reason: str) -> str:
    """Return the line that gives an operator's reason, or "" without one."""
    return f"reason: {esc(reason, MAX_REASON)}" if reason else ""


def _goes_live(change: Change) -> bool:
    return change.name.replace("_", " ") == "dry run" and change.new == "off"


def changes_line(changes: Sequence[Change]) -> str:
    """Return "dry_run: on → off" for each change."""
    lines = [f"<b>{esc(c.name, 40)}</b>: {esc(c.old, 80)} → <b>{esc(c.new, 80)}</b>" for c in changes]
    return ", ".join(lines) or "nothing changed"


def refused_html(event: CommandRefused) -> str:
    """Return the end of a write that the worker refused."""
    return f"⛔️ <b>Not applied</b>: {esc(event.reason, 300)}\nrefused by the worker at block {group(event.block)}"


def changed_alone_html(event: ControlsChanged) -> str:
    """Return the notice of a change that nobody asked for in this chat: a cold start, or somebody elsewhere."""
    by = f"by {esc(event.operator.name, 64)} (user {event.operator.id})" if event.operator else "by the worker itself"
    why = f": {esc(event.reason)}" if event.reason else ""
    return f"🛡 {changes_line(event.changes)} · {by}{why}\nblock {group(event.block)} · v{event.version}"


def started_html(event: WorkerStarted) -> str:
    """Return the notice of a worker that began to work."""
    mode = "🟢 <b>dry run</b>, nothing is sent" if event.dry_run else "🔴 <b>LIVE</b>"
    return (
        f"▶️ <b>Worker started</b> · {mode}\n"
        f"chain {event.chain_id} · revision {event.revision} · block {group(event.block)}"
        f" · watching {group(event.watched)} accounts · {esc(event.version, 40)}"
    )


def stopped_html(event: WorkerStopped) -> str:
    """Return the notice of a worker that stopped on purpose."""
    return f"⏹ <b>Worker stopped</b>: {esc(event.reason)}\nlast block {group(event.block)}"


def warned_html(text: str, times: int, first: float, last: float, resolved: bool) -> str:
    """Return a warning, how often and since when it came, and whether it is over."""
    often = f"{times} times, " if times > 1 else ""
    until = f" to {clock(last)}" if last - first >= 1 else ""
    head = f"✅ <b>Resolved</b>: {esc(text, 600)}" if resolved else f"⚠️ <b>Warning</b>: {esc(text, 600)}"
    return f"{head}\n{often}{clock(first)}{until}"

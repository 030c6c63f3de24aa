"""Every message that the bot can say, once: what the golden files hold, and what the validator is fed."""

from __future__ import annotations

from bot import alert_views, views
from bot.cards import Handle
from bot.commands import help_html, identity_html
from bot.updates import Person, Place
from core.config import Role
from core.domain.messages import (
    Change,
    CommandRefused,
    ControlsChanged,
    Operator,
    PredictionReport,
    PredictionScore,
    SettingRow,
    SettingsReport,
    WatchedAccount,
    WatchlistPage,
    WorkerStarted,
    WorkerStopped,
)
from core.domain.opportunity import Opportunity, SkipReason, State
from core.domain.units import BaseUsd, Wad
from core.state.ports import Alert, Presence
from tests.unit.bot.kit import opportunity, quote, report, user

NOW = 1_700_000_042.0
BOT = views.BotFacts("0.1.0", 93_784.0, 3)
WORKER = Presence("worker", "w", "0.1.0", NOW - 42)
PREDICTED = PredictionReport(
    crossings=20,
    foretold=19,
    open=37,
    scores=(
        PredictionScore("baseline", 14, 12, 3, 1, 1, 12, 0.091),
        PredictionScore("adverse", 1_060, 20, 2, 4, 1_000, 19, 0.0195),
        PredictionScore("extreme", 0, 0, 0, 0, 0, 0, 0.0),
    ),
)
HANDLE = Handle("reply:812345678", "0a1b2c3d")


def board(count: int) -> list[Alert]:
    """Return alerts in all states, each with a profit of its own."""
    states = list(State)
    return [
        Alert(f"e{n}", NOW + n / 10, opportunity(n, states[n % len(states)], quote=quote(n * 7_77000000)), "board:1")
        for n in range(1, count + 1)
    ]


def samples() -> dict[str, str]:
    """Return each message's HTML by the name of its golden file."""
    skipped: Opportunity = opportunity(18, State.SKIPPED, reason=SkipReason.NO_EXECUTOR)
    taken = opportunity(19, State.TAKEN, note="by 0x9f…01, which paid 0.02 gwei", quote=None)
    changed = ControlsChanged(
        43, (Change("dry run", "off", "on"),), "u1@1", Operator(1001, "Ann"), 38_120_441, 0.31, ""
    )
    live = ControlsChanged(44, (Change("dry run", "on", "off"),), "u2@1", Operator(1001, "Ann"), 38_120_500, 12.0, "")
    cold = ControlsChanged(45, (Change("dry run", "off", "on"),), "", None, 1, 0.0, "cold start")
    page = WatchlistPage(
        38_120_441,
        2,
        7,
        64,
        tuple(WatchedAccount(user(n), Wad(10**18 + n), BaseUsd(n * 10**10), BaseUsd(n * 10**11)) for n in range(10)),
    )
    rows = (SettingRow("CHAIN_ID", "31337", "environment"), SettingRow("HTTP_TOKEN", "••••", ".env"))
    effective = SettingsReport((*rows, SettingRow("MIN_DEBT_USD", "50", "default")))
    return {
        "alert_quoted": alert_views.opportunity_html(opportunity(), alert_views.BASE_CHAIN_ID),
        "alert_rehearsed": alert_views.opportunity_html(opportunity(state=State.REHEARSED), 31337),
        "alert_skipped": alert_views.opportunity_html(skipped, 31337),
        "alert_taken": alert_views.opportunity_html(taken, alert_views.BASE_CHAIN_ID),
        "board": alert_views.board_html(board(57), alert_views.BASE_CHAIN_ID),
        "board_local": alert_views.board_html(board(3), 31337),
        "status": views.status_html(report(), WORKER, BOT, NOW),
        "status_live": views.status_html(
            report(dry_run=False, controls_version=44, warnings=("the store is slow",)), WORKER, BOT, NOW
        ),
        "status_predicting": views.status_html(report(prediction=PREDICTED), WORKER, BOT, NOW),
        "status_silent": views.status_html(None, WORKER, BOT, NOW),
        "status_never_seen": views.status_html(None, None, BOT, NOW),
        "watchlist": views.watchlist_html(page, NOW),
        "watchlist_empty": views.watchlist_html(WatchlistPage(5, 1, 1, 0, ()), NOW),
        "settings": views.settings_html(effective, NOW),
        "silent": views.silent_html(WORKER, NOW),
        "unexpected": views.unexpected_html(NOW),
        "applied_on": views.applied_html(changed),
        "applied_off": views.applied_html(live),
        "refused": views.refused_html(
            CommandRefused("u3@1", Operator(1, "A"), "it is older than 120 s; send it again", 7)
        ),
        "changed_elsewhere": views.changed_alone_html(changed),
        "changed_cold_start": views.changed_alone_html(cold),
        "worker_started": views.started_html(WorkerStarted("0.1.0", 31337, 10, 38_120_441, 1_204, True)),
        "worker_stopped": views.stopped_html(WorkerStopped("deploy", 38_120_999)),
        "warning": views.warned_html("RPC endpoint 127.0.0.1 is silent", 3, NOW - 60, NOW, resolved=False),
        "warning_resolved": views.warned_html("RPC endpoint 127.0.0.1 answers", 3, NOW - 60, NOW, resolved=True),
        "help_viewer": help_html(Role.VIEWER),
        "help_admin": help_html(Role.ADMIN),
        "identity": identity_html(Person(7, "Eve"), Place(-100123, "supergroup", "Ops", 7), None),
    }

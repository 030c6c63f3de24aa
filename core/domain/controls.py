"""The operator's controls: a versioned value and the one pure function that changes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from core.domain.messages import Command, Operator, SetDryRun

STALE_AFTER_SECONDS = 120
"""A command that raises risk and is older than this is refused: the market it was meant for is gone."""


class Refusal(StrEnum):
    """Name why a command was not applied."""

    EXECUTION_DISABLED = "EXECUTION_ENABLED is false in the worker's settings"
    DRY_RUN_FORCED = "DRY_RUN_EXECUTION is true in the worker's settings"
    STALE = "it is older than 120 s; send it again"


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold what the worker's own settings permit an operator to do."""

    execution_enabled: bool
    dry_run_execution: bool


@dataclass(frozen=True, slots=True)
class Controls:
    """Hold what operators decided. A fresh store, like every cold start, is in dry run."""

    version: int = 0
    dry_run: bool = True
    changed_by: Operator | None = None
    changed_at: float = 0.0


def apply(controls: Controls, command: Command, limits: Limits, now: float) -> Controls | Refusal:
    """Return the controls after `command`, or why it is refused; lowering risk is never refused, at any age.

    `now` and `command.at` are unix seconds.
    """
    match command:
        case SetDryRun(enabled=enabled):
            refusal = None if enabled else _refuse_live(command, limits, now)
            return refusal or replace(
                controls,
                version=controls.version + 1,
                dry_run=enabled,
                changed_by=command.operator,
                changed_at=now,
            )


def cold_start(controls: Controls, now: float) -> Controls:
    """Return the controls that a starting worker begins with: always dry run."""
    if controls.dry_run:
        return controls
    return replace(controls, version=controls.version + 1, dry_run=True, changed_by=None, changed_at=now)


def _refuse_live(command: SetDryRun, limits: Limits, now: float) -> Refusal | None:
    if not limits.execution_enabled:
        return Refusal.EXECUTION_DISABLED
    if limits.dry_run_execution:
        return Refusal.DRY_RUN_FORCED
    if now - command.at > STALE_AFTER_SECONDS:
        return Refusal.STALE
    return None

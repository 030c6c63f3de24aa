"""The rules of the operator's switch: turning risk down is never refused, turning it up is asked three questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.controls import STALE_AFTER_SECONDS, Controls, Limits, Refusal, apply, cold_start
from core.domain.messages import Operator, SetDryRun

ADA = Operator(1, "Ada")
OPEN = Limits(execution_enabled=True, dry_run_execution=False)
NOW = 1_700_000_000.0


def command(enabled: bool, at: float = NOW) -> SetDryRun:
    return SetDryRun("u1", ADA, at, enabled)


def test_a_fresh_store_is_in_dry_run() -> None:
    assert Controls().dry_run
    assert Controls().version == 0


def test_going_live_is_recorded_with_person_and_time() -> None:
    assert apply(Controls(), command(enabled=False), OPEN, NOW) == Controls(
        1, dry_run=False, changed_by=ADA, changed_at=NOW
    )


def test_applying_twice_makes_two_versions() -> None:
    once = apply(Controls(), command(enabled=True), OPEN, NOW)
    assert isinstance(once, Controls)
    assert apply(once, command(enabled=True), OPEN, NOW) == Controls(2, dry_run=True, changed_by=ADA, changed_at=NOW)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(execution_enabled=False, dry_run_execution=False), Refusal.EXECUTION_DISABLED),
        (Limits(execution_enabled=False, dry_run_execution=True), Refusal.EXECUTION_DISABLED),
        (Limits(execution_enabled=True, dry_run_execution=True), Refusal.DRY_RUN_FORCED),
    ],
)
def test_settings_forbid_going_live(limits: Limits, expected: Refusal) -> None:
    assert apply(Controls(), command(enabled=False), limits, NOW) is expected


@pytest.mark.parametrize(
    ("age", "refused"), [(0.0, False), (STALE_AFTER_SECONDS, False), (STALE_AFTER_SECONDS + 0.5, True), (-30.0, False)]
)
def test_going_live_must_be_fresh(age: float, refused: bool) -> None:
    after = apply(Controls(), command(enabled=False, at=NOW - age), OPEN, NOW)
    assert (after is Refusal.STALE) == refused


def test_a_refusal_names_the_setting_to_change() -> None:
    assert "EXECUTION_ENABLED" in Refusal.EXECUTION_DISABLED
    assert "DRY_RUN_EXECUTION" in Refusal.DRY_RUN_FORCED
    assert f"{STALE_AFTER_SECONDS} s" in Refusal.STALE


CONTROLS = st.builds(Controls, version=st.integers(0, 9), dry_run=st.booleans())


@given(CONTROLS, st.booleans(), st.booleans(), st.floats(0, 1e12))
def test_lowering_risk_is_never_refused(controls: Controls, enabled: bool, forced: bool, age: float) -> None:
    after = apply(controls, command(enabled=True, at=NOW - age), Limits(enabled, forced), NOW)
    assert after == Controls(controls.version + 1, dry_run=True, changed_by=ADA, changed_at=NOW)


@given(CONTROLS)
def test_a_cold_start_is_always_dry_and_changes_nothing_without_need(controls: Controls) -> None:
    after = cold_start(controls, NOW)
    assert after.dry_run
    expected = controls if controls.dry_run else Controls(controls.version + 1, dry_run=True, changed_at=NOW)
    assert after == expected

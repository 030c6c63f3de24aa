"""Lines are parsed as people type them, and everybody sees what they may do."""

from __future__ import annotations

import pytest

from bot.commands import SPECS, help_html, listed_for, lowers_risk, nearest, parse_line
from core.config import Role


@pytest.mark.parametrize(
    ("text", "name", "to", "args"),
    [
        ("/status", "status", "", ()),
        ("/STATUS", "status", "", ()),
        ("  /DryRun@My_Bot   OFF  now ", "dryrun", "my_bot", ("OFF", "now")),
        ("/watchlist\n2", "watchlist", "", ("2",)),
    ],
)
def test_line_is_parsed(text: str, name: str, to: str, args: tuple[str, ...]) -> None:
    line = parse_line(text)
    assert line
    assert (line.name, line.to, line.args) == (name, to, args)


@pytest.mark.parametrize("text", ["", "/", "status", "hello /status", "😀"])
def test_anything_else_is_no_command(text: str) -> None:
    assert parse_line(text) is None


@pytest.mark.parametrize(("text", "urgent"), [("/dryrun on", True), ("/DRYRUN ON x", True), ("/dryrun off", False)])
def test_only_lowering_risk_is_urgent(text: str, urgent: bool) -> None:
    line = parse_line(text)
    assert line
    assert lowers_risk(line) is urgent


def test_each_role_is_shown_what_it_may_do() -> None:
    assert "dryrun" not in dict(listed_for(Role.VIEWER))
    assert "dryrun" in dict(listed_for(Role.OPERATOR))
    assert "confirm" not in dict(listed_for(Role.OPERATOR))
    for spec in SPECS:
        assert (f"/{spec.name}" in help_html(Role.VIEWER)) is (spec.role is Role.VIEWER)
        assert f"/{spec.name}" in help_html(Role.ADMIN)


def test_the_nearest_command_is_suggested_within_the_role() -> None:
    assert nearest("statsu", Role.VIEWER) == "status"
    assert nearest("dryrum", Role.ADMIN) == "dryrun"
    assert nearest("dryrum", Role.VIEWER) == ""
    assert nearest("zzzzzz", Role.ADMIN) == ""

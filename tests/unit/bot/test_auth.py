"""The gate is closed by default and the same for every kind of update."""

from __future__ import annotations

import pytest

from bot.auth import ANONYMOUS_ADMIN, FAKE_CHANNEL, Allowed, Chats, Denial, Gate, StrangerLimit
from bot.updates import Membership, Person, Place, Pressed, Typed
from core.config import OperatorEntry, Role
from tests.unit.bot.kit import ANN, BEN, EVE, OPERATORS

GROUP = -100123


def gate(*chats: int, operators: tuple[OperatorEntry, ...] = OPERATORS) -> Gate:
    return Gate(operators, Chats(chats, operators))


def typed(user: int | None, place: Place, *, by_channel: bool = False, is_bot: bool = False) -> Typed:
    person = None if user is None else Person(user, "x", is_bot)
    return Typed(1, person, place, 1, 0.0, "/status", by_channel=by_channel)


def private(user: int) -> Place:
    return Place(user, "private")


def test_operators_are_heard_in_their_private_chats_with_their_roles() -> None:
    assert gate().judge(typed(ANN, private(ANN))) == Allowed(Person(ANN, "x"), Role.ADMIN)
    assert gate().judge(typed(BEN, private(BEN))) == Allowed(Person(BEN, "x"), Role.VIEWER)


def test_an_empty_list_means_nobody() -> None:
    assert gate(GROUP, operators=()).judge(typed(ANN, private(ANN))) is Denial.STRANGER


def test_strangers_are_strangers_everywhere() -> None:
    for place in (private(EVE), Place(GROUP, "supergroup")):
        assert gate(GROUP).judge(typed(EVE, place)) is Denial.STRANGER


def test_groups_must_be_configured() -> None:
    assert isinstance(gate(GROUP).judge(typed(ANN, Place(GROUP, "supergroup"))), Allowed)
    assert gate(GROUP).judge(typed(ANN, Place(-5, "group"))) is Denial.FOREIGN_CHAT
    assert gate().judge(typed(ANN, Place(GROUP, "supergroup"))) is Denial.FOREIGN_CHAT


def test_another_persons_private_chat_is_foreign() -> None:
    assert gate().judge(typed(ANN, private(BEN))) is Denial.FOREIGN_CHAT


@pytest.mark.parametrize("nobody", [ANONYMOUS_ADMIN, FAKE_CHANNEL])
def test_shared_identities_are_refused_even_if_listed(nobody: int) -> None:
    listed = (OperatorEntry(nobody, Role.ADMIN),)
    assert gate(GROUP, operators=listed).judge(typed(nobody, Place(GROUP, "supergroup"))) is Denial.ANONYMOUS


def test_channels_bots_and_nobody_are_refused() -> None:
    place = Place(GROUP, "supergroup")
    assert gate(GROUP).judge(typed(None, Place(GROUP, "channel"))) is Denial.CHANNEL
    assert gate(GROUP).judge(typed(ANN, place, by_channel=True)) is Denial.CHANNEL
    assert gate(GROUP).judge(typed(ANN, place, is_bot=True)) is Denial.ANONYMOUS
    assert gate(GROUP).judge(typed(None, place)) is Denial.ANONYMOUS


def test_presses_and_memberships_pass_the_same_gate() -> None:
    place = Place(GROUP, "supergroup")
    for person, expected in ((Person(ANN, "x"), Allowed), (Person(EVE, "x"), Denial)):
        assert isinstance(gate(GROUP).judge(Pressed(1, person, place, 1, "q", "d")), expected)
        assert isinstance(gate(GROUP).judge(Membership(1, person, place, "member")), expected)


def test_alerts_go_to_the_configured_chats_or_else_to_every_operator() -> None:
    assert Chats((GROUP, 5, 5), OPERATORS).alerted() == [GROUP, 5]
    assert Chats((), OPERATORS).alerted() == [ANN, BEN]


def test_a_moved_group_is_still_the_configured_one() -> None:
    chats = Chats((-5,), OPERATORS)
    chats.moved(-5, GROUP)
    assert chats.alerted() == [GROUP]
    assert chats.admits(GROUP)
    assert not chats.admits(-5)


def test_menus_show_groups_what_a_viewer_may_do() -> None:
    assert gate(GROUP, 7).audience() == {GROUP: Role.VIEWER, ANN: Role.ADMIN, BEN: Role.VIEWER}


def test_strangers_are_answered_rarely() -> None:
    limit = StrangerLimit(per_person=600, per_hour=3)
    assert limit.admits(1, 0.0)
    assert not limit.admits(1, 599.0)
    assert limit.admits(1, 600.0)
    assert limit.admits(2, 600.0)
    assert limit.admits(3, 600.0)
    assert not limit.admits(4, 601.0)
    assert limit.admits(4, 4_201.0)

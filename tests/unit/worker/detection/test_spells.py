"""Spells: one opportunity for each, one episode for those that flicker, and nothing forgotten by a restart."""

from __future__ import annotations

from dataclasses import replace

from core.domain.opportunity import Opportunity, SkipReason, State, Trigger, TriggerKind
from core.domain.units import Address
from tests.unit.bot.kit import opportunity
from worker.detection.spells import SAME_EPISODE_SECONDS, Spells

NOW = 1_700_000_000.0
ACCOUNT = opportunity().account
PRICE = Trigger(TriggerKind.PRICE, "WETH -1.00%", "price-1-1")
ADA, BEN = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
RIVAL = Address("0x" + "c" * 40)


def fallen(spells: Spells, user: Address, now: float = NOW, block: int = 7) -> Opportunity:
    begun = spells.begin(user, ACCOUNT, PRICE, block, now)
    spells.settle(begun.to(State.SKIPPED, reason=SkipReason.STALE_HEAD), now)
    return begun


def recovered(spells: Spells, user: Address, now: float, taken_by: Address | None = None) -> Opportunity:
    ended = spells.end(user, ACCOUNT, 9, taken_by)
    spells.settle(ended, now)
    return ended


def test_numbers_go_on_after_the_last_ones() -> None:
    spells = Spells(41, 17, [], NOW)
    first, second = fallen(spells, ADA), fallen(spells, BEN)
    assert (first.id, first.episode, first.state, first.block, first.last_block) == (42, 18, State.CONFIRMED, 7, 7)
    assert (second.id, second.episode) == (43, 19)
    assert set(spells.users) == {ADA, BEN}
    assert spells.of(ADA).state is State.SKIPPED


def test_an_end_is_a_recovery_or_a_rivals_doing() -> None:
    spells = Spells(0, 0, [], NOW)
    fallen(spells, ADA)
    fallen(spells, BEN)
    ended, taken = recovered(spells, ADA, NOW), recovered(spells, BEN, NOW, RIVAL)
    assert (ended.state, ended.note, ended.last_block) == (State.RECOVERED, "", 9)
    assert (taken.state, taken.note) == (State.TAKEN, RIVAL)
    assert not spells.users


def test_who_falls_again_soon_stays_in_its_episode() -> None:
    spells = Spells(0, 0, [], NOW)
    fallen(spells, ADA)
    recovered(spells, ADA, NOW)
    again = fallen(spells, ADA, NOW + SAME_EPISODE_SECONDS)
    assert (again.id, again.episode) == (2, 1)
    recovered(spells, ADA, NOW + 1_000)
    later = fallen(spells, ADA, NOW + 1_000 + SAME_EPISODE_SECONDS + 1)
    assert (later.id, later.episode) == (3, 2)


def test_who_was_liquidated_begins_anew() -> None:
    spells = Spells(0, 0, [], NOW)
    fallen(spells, ADA)
    recovered(spells, ADA, NOW, RIVAL)
    assert fallen(spells, ADA, NOW + 1).episode == 2


def test_a_spell_that_was_not_journaled_is_not_open() -> None:
    spells = Spells(0, 0, [], NOW)
    spells.begin(ADA, ACCOUNT, PRICE, 7, NOW)
    assert not spells.users


def test_a_restart_remembers_the_open_ones_in_whatever_order_they_are_told() -> None:
    old = replace(opportunity(5, State.RECOVERED), user=ADA, episode=3)
    live = replace(opportunity(9, State.REHEARSED), user=ADA, episode=3)
    gone = replace(opportunity(8, State.RECOVERED), user=BEN, episode=4)
    for known in ([live, old, gone], [old, gone, live], [gone, live, old]):
        spells = Spells(9, 4, known, NOW)
        assert list(spells.users) == [ADA]
        assert spells.of(ADA) == live
        assert fallen(spells, BEN, NOW + 10).episode == 4
        assert recovered(spells, ADA, NOW).id == 9

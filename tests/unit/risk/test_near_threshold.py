"""Near-threshold tracking: the band, the direction, the projection, and the bound."""

from __future__ import annotations

import pytest

from core.domain.units import WAD, Address, Wad
from core.risk.near_threshold import NOTHING, NearThreshold, Observed

ADA, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)


def hf(text: str) -> Wad:
    whole, _, part = text.partition(".")
    return Wad(int(whole + part.ljust(18, "0")))


@pytest.fixture
def tracker() -> NearThreshold:
    return NearThreshold(Wad(WAD), band_bps=30, cap=3)


def test_one_observation_has_no_direction(tracker: NearThreshold) -> None:
    assert tracker.observe(ADA, hf("1.001")) == NOTHING
    assert not tracker.users


def test_falling_inside_the_band_is_near(tracker: NearThreshold) -> None:
    tracker.observe(ADA, hf("1.0031"))
    assert tracker.observe(ADA, hf("1.0030")) == Observed(near=True, crosses=False)
    assert dict(tracker.users) == {ADA: hf("1.0030")}
    assert len(tracker) == 1


@pytest.mark.parametrize(("before", "after"), [("1.01", "1.003000000000000001"), ("1.0", "0.999999999999999999")])
def test_outside_the_band_is_not_near(tracker: NearThreshold, before: str, after: str) -> None:
    tracker.observe(ADA, hf(before))
    assert not tracker.observe(ADA, hf(after)).near
    assert ADA not in tracker.users


def test_the_line_itself_is_in_the_band(tracker: NearThreshold) -> None:
    tracker.observe(ADA, hf("1.002"))
    assert tracker.observe(ADA, hf("1.0")) == Observed(near=True, crosses=True)


def test_rising_leaves(tracker: NearThreshold) -> None:
    for value in ("1.0025", "1.0020"):
        tracker.observe(ADA, hf(value))
    assert tracker.observe(ADA, hf("1.0021")) == NOTHING
    assert ADA not in tracker.users


def test_the_same_again_is_no_news_and_keeps_the_direction(tracker: NearThreshold) -> None:
    for value in ("1.0025", "1.0020"):
        tracker.observe(ADA, hf(value))
    assert tracker.observe(ADA, hf("1.0020")) == NOTHING
    assert ADA in tracker.users
    assert tracker.observe(ADA, hf("1.0019")).near


def test_falling_through_the_line_leaves(tracker: NearThreshold) -> None:
    for value in ("1.0025", "1.0020", "0.9999"):
        observed = tracker.observe(ADA, hf(value))
    assert observed == NOTHING
    assert ADA not in tracker.users


def test_one_more_step_like_the_last_crosses(tracker: NearThreshold) -> None:
    tracker.observe(ADA, hf("1.02"))
    assert tracker.observe(ADA, hf("1.01")) == NOTHING  # one more step ends on the line, not below it
    assert tracker.observe(ADA, hf("1.004")) == Observed(near=False, crosses=True)
    assert tracker.observe(ADA, hf("1.003")) == Observed(near=True, crosses=False)


def test_the_threshold_may_be_lower() -> None:
    tracker = NearThreshold(hf("0.98"), band_bps=30, cap=3)
    tracker.observe(ADA, hf("0.985"))
    assert tracker.observe(ADA, hf("0.983")) == Observed(near=True, crosses=False)
    assert tracker.observe(ADA, hf("0.981")) == Observed(near=True, crosses=True)


def test_the_worst_come_first(tracker: NearThreshold) -> None:
    for user, value in ((ADA, "1.002"), (BOB, "1.001")):
        tracker.observe(user, hf("1.0029"))
        tracker.observe(user, hf(value))
    assert tracker.worst(5) == [BOB, ADA]
    assert tracker.worst(1) == [BOB]


def test_beyond_the_cap_the_longest_unobserved_is_forgotten_and_counted(tracker: NearThreshold) -> None:
    users = [Address(f"0x{n:040x}") for n in range(4)]
    for user in users[:3]:
        tracker.observe(user, hf("1.0029"))
    tracker.observe(users[0], hf("1.0028"))
    tracker.observe(users[3], hf("1.0029"))
    assert tracker.forgotten == 1
    assert tracker.observe(users[1], hf("1.0028")) == NOTHING  # it was the one: this is its first observation again
    assert tracker.forgotten == 2
    assert users[0] in tracker.users


def test_a_forgotten_account_starts_anew(tracker: NearThreshold) -> None:
    tracker.observe(ADA, hf("1.0029"))
    tracker.observe(ADA, hf("1.0028"))
    tracker.discard(ADA)
    assert not tracker.users
    assert tracker.observe(ADA, hf("1.0027")) == NOTHING

"""The pace keeps within Telegram's limits, whatever is asked of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.pacing import Pace


class Clock:
    """Tell the time that the test wants."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def send_all(pace: Pace, clock: Clock, chats: list[int]) -> list[tuple[float, int]]:
    sent = []
    for chat in chats:
        while (wait := pace.wait(chat)) > 0:
            clock.now += wait + 1e-9
        pace.spend(chat)
        sent.append((clock.now, chat))
    return sent


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(start <= at < start + seconds for at in times) for start in times)


def test_private_chats_get_three_at_once_and_one_a_second_after_that() -> None:
    clock = Clock()
    times = [at - 1_000.0 for at, _ in send_all(Pace(clock), clock, [5] * 6)]
    assert [round(at) for at in times] == [0, 0, 0, 1, 2, 3]


def test_groups_get_at_most_eighteen_in_any_minute() -> None:
    clock = Clock()
    times = [at for at, _ in send_all(Pace(clock), clock, [-5] * 60)]
    assert most_within(times, 60.0) <= 18


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300))
def test_all_chats_together_stay_below_thirty_a_second(chats: list[int]) -> None:
    clock = Clock()
    times = [at for at, _ in send_all(Pace(clock), clock, chats)]
    assert most_within(times, 1.0) <= 30


def test_a_throttled_chat_waits_and_the_others_do_not() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.hold(5, 7.0)
    assert pace.wait(5) == 7.0
    assert pace.wait(6) == 0.0
    pace.hold_all(3.0)
    assert (pace.wait(5), pace.wait(6)) == (7.0, 3.0)
    clock.now += 7.0
    assert pace.wait(5) == 0.0

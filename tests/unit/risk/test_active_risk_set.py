"""The watch list keeps the worst, whatever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.domain.units import WAD, Address, BaseUsd, Wad
from core.risk.active_risk_set import ActiveRiskSet, Watched


def watched(number: int, thousandths: int) -> Watched:
    factor = Wad(thousandths * 10**15)
    return Watched(factor, Address(f"0x{number:040x}"), BaseUsd(number), BaseUsd(2 * number))


def users(accounts: list[Watched]) -> list[int]:
    return [int(account.user, 16) for account in accounts]


def test_the_healthiest_leaves_when_one_too_many_comes() -> None:
    risk = ActiveRiskSet(cap=3, hot_cap=2)
    assert [risk.add(watched(n, hf)) for n, hf in ((1, 1_010), (2, 1_040), (3, 1_020))] == [True, True, True]
    assert risk.add(watched(4, 1_005)) is False
    assert users(risk.ranked()) == [4, 1, 3]
    assert risk.add(watched(5, 1_050)) is False
    assert users(risk.ranked()) == [4, 1, 3]
    assert [int(user, 16) for user in risk.hot()] == [4, 1]
    assert watched(5, 1).user not in risk
    assert watched(4, 1).user in risk


def test_an_account_that_changes_is_ranked_anew() -> None:
    risk = ActiveRiskSet(cap=2, hot_cap=1)
    risk.add(watched(1, 1_000))
    risk.add(watched(2, 1_010))
    assert risk.add(watched(1, 1_100)) is True
    assert users(risk.ranked()) == [2, 1]
    risk.add(watched(3, 1_050))
    assert users(risk.ranked()) == [2, 3]
    risk.discard(watched(2, 0).user)
    risk.discard(watched(9, 0).user)
    assert len(risk) == 1
    assert risk.add(watched(1, 1_200)) is True


def test_bands_count_what_is_below_each() -> None:
    risk = ActiveRiskSet(cap=10, hot_cap=10)
    risk.replace_all([watched(1, 999), watched(2, 1_000), watched(3, 1_019), watched(4, 1_020), watched(5, 1_099)])
    assert risk.bands() == (("1.00", 1), ("1.02", 3), ("1.05", 4), ("1.10", 5))
    assert ActiveRiskSet(1, 1).bands() == (("1.00", 0), ("1.02", 0), ("1.05", 0), ("1.10", 0))


def test_replacing_all_keeps_the_worst() -> None:
    risk = ActiveRiskSet(cap=2, hot_cap=5)
    risk.add(watched(9, 500))
    risk.replace_all(watched(n, 1_000 + n) for n in range(5))
    assert users(risk.ranked()) == [0, 1]
    assert risk.ranked()[0].health_factor == WAD
    risk.add(watched(7, 999))
    assert users(risk.ranked()) == [7, 0]


@given(st.lists(st.tuples(st.sampled_from("aaad"), st.integers(0, 9), st.integers(900, 1_100)), max_size=80))
def test_after_anything_the_list_is_the_worst_of_those_that_were_not_pushed_out(
    steps: list[tuple[str, int, int]],
) -> None:
    risk = ActiveRiskSet(cap=4, hot_cap=2)
    expected: dict[int, int] = {}
    for kind, number, thousandths in steps:
        if kind == "d":
            risk.discard(watched(number, 0).user)
            expected.pop(number, None)
            continue
        before = len(expected)
        expected[number] = thousandths
        full = before == 4 and len(expected) == 5
        assert risk.add(watched(number, thousandths)) is not full
        if full:
            out = max(expected.values())
            gone = [n for n, hf in expected.items() if hf == out and watched(n, 0).user not in risk]
            assert len(gone) == 1
            del expected[gone[0]]
        assert {(int(a.user, 16), a.health_factor // 10**15) for a in risk.ranked()} == set(expected.items())
        assert len(risk) == len(expected) <= 4

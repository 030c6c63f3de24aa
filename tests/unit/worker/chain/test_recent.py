"""What was heard is not delivered twice, and what is gone from the chain is found."""

from __future__ import annotations

from dataclasses import replace

from core.domain.units import Address
from worker.chain.logs import Head, Log
from worker.chain.recent import DEPTH, Recent

HERE, ELSEWHERE = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)


def a_log(block: int, index: int = 0, fork: str = "a", address: Address = HERE) -> Log:
    return Log(address, ("0x01",), "0x", block, f"{fork}{block}", f"tx{block}", index, False, 0.0)


def a_head(number: int, fork: str = "a") -> Head:
    return Head(number, f"{fork}{number}", f"{fork}{number - 1}", number, 0.0)


def test_a_log_is_new_once() -> None:
    recent = Recent()
    assert recent.is_new(a_log(1))
    assert not recent.is_new(a_log(1))
    assert recent.is_new(a_log(1, index=1))
    assert recent.is_new(a_log(1, fork="b"))


def test_a_removal_counts_once_and_only_of_what_was_heard() -> None:
    recent = Recent()
    removal = replace(a_log(1), removed=True)
    assert not recent.is_new(removal)
    recent.is_new(a_log(1))
    assert recent.is_new(removal)
    assert not recent.is_new(removal)
    assert recent.is_new(a_log(1)), "it may come back"


def test_logs_that_are_gone_are_named_latest_first() -> None:
    recent = Recent()
    for log in (a_log(1), a_log(2), a_log(2, index=1), a_log(3, address=ELSEWHERE), a_log(9)):
        recent.is_new(log)
    gone = recent.taken_back([a_log(1), a_log(2, fork="b")], 1, 5, frozenset({HERE}))
    assert gone == [replace(a_log(2, index=1), removed=True), replace(a_log(2), removed=True)]


def test_a_head_contradicts_only_what_was_heard() -> None:
    recent = Recent()
    recent.move_to(a_head(5))
    recent.move_to(a_head(7))
    assert not recent.contradicts(a_head(5))
    assert recent.contradicts(a_head(5, fork="b"))
    assert not recent.contradicts(a_head(6, fork="b")), "height 6 was never heard"


def test_heads_above_a_shorter_chain_are_forgotten() -> None:
    recent = Recent()
    recent.move_to(a_head(5))
    recent.move_to(a_head(6))
    recent.move_to(a_head(5, fork="b"))
    assert not recent.contradicts(a_head(6, fork="b"))


def test_what_is_out_of_reach_is_forgotten() -> None:
    recent = Recent()
    recent.is_new(a_log(1))
    recent.move_to(a_head(1 + DEPTH))
    assert not recent.is_new(a_log(1))
    recent.move_to(a_head(2 + DEPTH))
    assert recent.is_new(a_log(1))

"""Work only coalesces, and says what made us look."""

from __future__ import annotations

from core.domain.health_factor import UserAccountData
from core.domain.opportunity import TriggerKind
from core.domain.units import WAD, Address, BaseUsd, Bps, Wad
from worker.chain.events import Touched
from worker.detection.looking import Limits, Work, sort_out

ADA, BEN, CID, DOT = (Address("0x" + letter * 40) for letter in "abcd")
LIMITS = Limits(Wad(WAD), BaseUsd(50))


def account(health_factor: int, debt: int = 100) -> UserAccountData:
    return UserAccountData(BaseUsd(200), BaseUsd(debt), BaseUsd(0), Bps(0), Bps(0), Wad(health_factor))


def test_logs_gather() -> None:
    work = Work(1.0)
    work.add(Touched("Aave Supply", frozenset({ADA})))
    work.at(5, 100)
    work.add(Touched("Aave LiquidationCall", frozenset({BEN}), liquidator=CID))
    work.at(7, 102)
    work.add(Touched("Aave Repay", frozenset({ADA})))
    work.add(Touched("Aave reserve pause", configuration=True))
    work.at(6, 101)
    assert (work.block, work.timestamp) == (7, 102)
    assert work.users == {ADA: "Aave Repay", BEN: "Aave LiquidationCall"}
    assert (work.taken, work.configuration) == ({BEN: CID}, "Aave reserve pause")


def test_where_the_chain_went_back_the_work_does() -> None:
    work = Work(1.0, 7, 102)
    work.at(6, 101, back=True)
    assert (work.block, work.timestamp) == (6, 101)
    later = Work(2.0, 5, 99)
    work.absorb(later)
    assert (work.heard_at, work.block, work.timestamp) == (1.0, 5, 99)


def test_nothing_is_lost_when_later_work_is_taken_in() -> None:
    early, late = Work(1.0, 5, 99), Work(2.0, 6, 100)
    early.add(Touched("Aave reserve pause", frozenset({ADA}), configuration=True))
    late.add(Touched("Aave LiquidationCall", frozenset({BEN}), liquidator=CID))
    late.asked[DOT] = "micro_verify_projection_cross"
    early.absorb(late)
    assert (early.heard_at, early.block, early.timestamp) == (1.0, 6, 100)
    assert set(early.users) == {ADA, BEN}
    assert early.asked == {DOT: "micro_verify_projection_cross"}
    assert (early.taken, early.configuration) == ({BEN: CID}, "Aave reserve pause")


def test_the_cause_is_the_nearest_one() -> None:
    work = Work(1.0)
    assert work.cause_of(ADA) == (TriggerKind.HEAD, "interest")
    work.moved = "WETH -1.20%"
    assert work.cause_of(ADA) == (TriggerKind.PRICE, "WETH -1.20%")
    work.add(Touched("Aave e-mode change", configuration=True))
    assert work.cause_of(ADA) == (TriggerKind.EVENT, "Aave e-mode change")
    work.asked[ADA] = "micro_verify_sprinter"
    assert work.cause_of(ADA) == (TriggerKind.HEAD, "micro_verify_sprinter")
    work.scan = True
    assert work.cause_of(ADA) == (TriggerKind.SCAN, "start")
    work.add(Touched("Aave Borrow", frozenset({ADA})))
    assert work.cause_of(ADA) == (TriggerKind.EVENT, "Aave Borrow")


def test_accounts_are_sorted_out_lowest_first() -> None:
    figures = {
        ADA: account(WAD - 1),
        BEN: account(WAD // 2),
        CID: account(WAD),
        DOT: account(WAD // 4, debt=49),
    }
    look = sort_out(figures, set(), LIMITS, 9)
    assert (look.block, list(look.below), look.changed, look.over) == (9, [BEN, ADA], {}, {})
    look = sort_out(figures, {ADA, CID, DOT}, LIMITS, 9)
    assert (list(look.below), list(look.changed), set(look.over)) == ([BEN], [ADA], {CID, DOT})

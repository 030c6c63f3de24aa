"""Folding follows a model of the token contracts, whatever they do in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.domain.dual_aggregator import DualAggregator
from core.domain.events import (
    AnswerUpdated,
    ATokenBurned,
    ATokenMinted,
    ATokenTransferred,
    CollateralSwitched,
    DebtBurned,
    DebtMinted,
    EModeEntered,
    PositionEvent,
    PrimaryFeedUnlocked,
    SecondaryRoundIdUpdated,
)
from core.domain.fold import fold_position, subjects
from core.domain.position import Position, holdings
from core.domain.units import RAY, Address, Ray, ScaledAmount, TokenAmount, ray_mul_ceil, ray_mul_floor

ANN, BEN = Address("0x" + "a1" * 20), Address("0x" + "b0" * 20)
FEED = Address("0x" + "fe" * 20)
RESERVES = 2


@dataclass
class Token:
    """Be a scaled-balance token: it emits what ScaledBalanceTokenBase does and stores each user's last index."""

    reserve: int
    debt: bool
    index: int = RAY
    scaled: dict[Address, int] = field(default_factory=dict)
    last: dict[Address, int] = field(default_factory=dict)

    def set_scaled(self, user: Address, after: int) -> PositionEvent:
        """Move a balance and return the log of it."""
        rounded = ray_mul_ceil if self.debt else ray_mul_floor
        before = self.scaled.get(user, 0)
        previous = rounded(before, self.last.get(user, self.index))
        accrued, following = rounded(before, self.index), rounded(after, self.index)
        self.scaled[user], self.last[user] = after, self.index
        kinds = (DebtMinted, DebtBurned) if self.debt else (ATokenMinted, ATokenBurned)
        kind = kinds[0] if following > previous else kinds[1]
        value, increase = TokenAmount(abs(following - previous)), TokenAmount(accrued - previous)
        return kind(self.reserve, user, value, increase, Ray(self.index))

    def transfer(self, sender: Address, recipient: Address, scaled: int) -> list[PositionEvent]:
        """Move a part of a balance to somebody else; both sides' interest is told first, as Mints."""
        told = [self.set_scaled(user, self.scaled.get(user, 0)) for user in (sender, recipient)]
        self.scaled[sender] = self.scaled.get(sender, 0) - scaled
        self.scaled[recipient] = self.scaled.get(recipient, 0) + scaled
        return [*told, ATokenTransferred(self.reserve, sender, recipient, ScaledAmount(scaled), Ray(self.index))]


class Protocol:
    """Be the part of the protocol that positions depend on."""

    def __init__(self) -> None:
        self.a_tokens = [Token(id_, debt=False) for id_ in range(RESERVES)]
        self.debts = [Token(id_, debt=True) for id_ in range(RESERVES)]
        self.enabled = dict.fromkeys((ANN, BEN), (1 << RESERVES) - 1)
        self.e_mode = {ANN: 0, BEN: 0}

    def position(self, user: Address) -> Position:
        """Return what a read would: the aTokens used as collateral, and all debts."""
        flags = self.enabled[user]
        held = {token.reserve: token.scaled.get(user, 0) for token in self.a_tokens if flags >> token.reserve & 1}
        owed = {token.reserve: token.scaled.get(user, 0) for token in self.debts}
        return Position(user, self.e_mode[user], holdings(held), holdings(owed), flags)

    def act(self, action: tuple[str, Address, int, int]) -> list[PositionEvent]:
        """Do one thing and return its logs."""
        kind, user, reserve, amount = action
        token = (self.debts if kind == "debt" else self.a_tokens)[reserve]
        match kind:
            case "accrue":
                for each in (self.a_tokens[reserve], self.debts[reserve]):
                    each.index += each.index * (amount % 1_000) // 10_000
                return []
            case "enable" | "disable":
                bit = 1 << reserve
                flags = self.enabled[user]
                self.enabled[user] = flags | bit if kind == "enable" else flags & ~bit
                return [CollateralSwitched(reserve, user, kind == "enable")]
            case "e-mode":
                self.e_mode[user] = amount % 4
                return [EModeEntered(user, amount % 4)]
            case "transfer":
                part = token.scaled.get(user, 0) * (amount % 101) // 100
                return token.transfer(user, BEN if amount % 2 else ANN, part) if part else []
            case _:
                return [token.set_scaled(user, amount)]


ACTIONS = st.tuples(
    st.sampled_from(["supply", "debt", "supply", "debt", "accrue", "transfer", "enable", "disable", "e-mode"]),
    st.sampled_from([ANN, BEN]),
    st.integers(0, RESERVES - 1),
    st.one_of(st.integers(0, 200), st.integers(0, 2**100)),
)


@given(st.lists(ACTIONS, min_size=10, max_size=40))
def test_positions_follow_the_tokens(actions: list[Any]) -> None:
    protocol = Protocol()
    ours = {user: protocol.position(user) for user in (ANN, BEN)}
    for action in actions:
        for event in protocol.act(action):
            for user in subjects(event).users:
                after = fold_position(ours[user], event)
                assert (after is None) == (isinstance(event, CollateralSwitched) and event.enabled)
                ours[user] = protocol.position(user) if after is None else after
        assert ours == {user: protocol.position(user) for user in (ANN, BEN)}


@dataclass
class ByTheBook:
    """Be the DualAggregator as its source says it, loops and all, without any of our shortcuts."""

    cutoff: int
    depth: int
    rounds: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0), (1, 100)])
    secondary: int = 1
    latest_is_secondary: bool = False

    @property
    def latest(self) -> int:
        return len(self.rounds) - 1

    def read(self, now: int, through_secondary: bool) -> int:
        if through_secondary:
            return self.rounds[self._visible(now)][0]
        alone = self.latest == self.secondary and self.latest_is_secondary
        return self.rounds[self.latest - (alone and self.rounds[self.latest][1] == now)][0]

    def _visible(self, now: int) -> int:
        if self.rounds[self.secondary][1] + self.cutoff >= now:
            return self.secondary
        round_ = self.latest
        while round_ > 0 and self.latest - round_ != self.depth:
            if round_ == self.secondary or self.rounds[round_][1] + self.cutoff < now:
                return round_
            round_ -= 1
        return self.secondary


ROUTES = st.lists(
    st.tuples(st.sampled_from(["primary", "secondary", "known", "unlock"]), st.integers(0, 15)), max_size=30
)


@given(ROUTES, st.integers(0, 12), st.integers(1, 6))
def test_a_dual_aggregator_answers_as_its_source_says_in_every_second(
    routes: list[tuple[str, int]], cutoff: int, depth: int
) -> None:
    theirs = ByTheBook(cutoff, depth)
    ours = DualAggregator(latest=0, secondary=0, latest_is_secondary=False, cutoff=cutoff, search_depth=depth)
    ours = ours.after(SecondaryRoundIdUpdated(FEED, 1)).after(AnswerUpdated(FEED, 1, 1, 100))
    ours = replace(ours, latest_is_secondary=False)
    now = 100
    for route, seconds in routes:
        now += seconds
        for event in _report(theirs, route, now):
            ours = ours.after(event)
        for side in (False, True):
            answers = [theirs.read(second, side) for second in range(now, now + 40)]
            assert [ours.answer(second, through_secondary=side) for second in range(now, now + 40)] == answers
            first = next((now + at for at, answer in enumerate(answers) if answer != answers[0]), None)
            assert ours.next_change(now, through_secondary=side) == first


def _report(theirs: ByTheBook, route: str, now: int) -> list[Any]:
    if route == "unlock":
        theirs.latest_is_secondary = False
        return [PrimaryFeedUnlocked(FEED, theirs.latest)]
    if route == "known":
        theirs.secondary = theirs.latest
        return [SecondaryRoundIdUpdated(FEED, theirs.latest)]
    theirs.rounds.append((len(theirs.rounds), now))
    theirs.latest_is_secondary = route == "secondary"
    answer = AnswerUpdated(FEED, theirs.latest, theirs.latest, now)
    if route == "primary":
        return [answer]
    theirs.secondary = theirs.latest
    return [SecondaryRoundIdUpdated(FEED, theirs.latest), answer]

"""Reading accounts' positions: configuration and e-mode first, then the balances that their flags name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.domain.market import Reserve
from core.domain.position import Position, borrow_flags, collateral_flags, holdings
from core.domain.units import Address
from worker.chain import codec, words
from worker.chain.codec import Call
from worker.chain.multicall import Multicall
from worker.chain.reading import Answers, Reading

AT_ONCE = 16
"""Up to this many accounts every balance is asked for at once: 30 small calls cost less than a round trip."""
BATCH = 500
"""Accounts per batch: about 5,000 calls, a few megabytes."""


@dataclass(frozen=True, slots=True)
class Flags:
    """Hold an account's collateral and borrow flags, bit i for reserve id i, and its e-mode category."""

    collateral: int
    debt: int
    e_mode: int


class PositionReader:
    """Read positions of one pool; a position holds the aTokens used as collateral and all debts."""

    def __init__(self, pool: Address, multicall: Multicall) -> None:
        self._pool = pool
        self._multicall = multicall

    async def read(
        self, users: Sequence[Address], reserves: Mapping[int, Reserve], block: int
    ) -> dict[Address, Position]:
        """Return each user's position at the block, in batches that bound what is held at a time."""
        found: dict[Address, Position] = {}
        for at in range(0, len(users), BATCH):
            flags: dict[Address, Flags] = {}
            reading = Reading()
            self.ask_flags(reading, users[at : at + BATCH], flags)
            await reading.read(self._multicall, block)
            found |= await self.read_flagged(flags, reserves, block)
        return found

    async def read_flagged(
        self, flags: Mapping[Address, Flags], reserves: Mapping[int, Reserve], block: int
    ) -> dict[Address, Position]:
        """Return the positions of users whose flags are known."""
        found: dict[Address, Position] = {}
        reading = Reading()
        for user, flag in flags.items():
            self._ask_balances(reading, user, flag, reserves, found)
        await reading.read(self._multicall, block)
        return found

    def ask_flags(self, reading: Reading, users: Collection[Address], found: dict[Address, Flags]) -> None:
        """Ask for the users' flags, to be put into `found`."""
        for user in users:

            def take(answers: Answers, user: Address = user) -> None:
                found[user] = _flags(user, answers)

            reading.ask(self._flag_calls(user), take)

    def ask_all(
        self,
        reading: Reading,
        users: Collection[Address],
        reserves: Mapping[int, Reserve],
        found: dict[Address, Position],
    ) -> None:
        """Ask for the users' flags and every balance at once, to be put into `found`."""
        ids = tuple(reserves)
        for user in users:
            calls = self._flag_calls(user)
            calls += [_balance_call(reserves[id_].a_token, user) for id_ in ids]
            calls += [_balance_call(reserves[id_].variable_debt_token, user) for id_ in ids]

            def take(answers: Answers, user: Address = user) -> None:
                flags = _flags(user, answers[:2])
                split = 2 + len(ids)
                a_tokens = {
                    id_: answer
                    for id_, answer in zip(ids, answers[2:split], strict=True)
                    if flags.collateral >> id_ & 1
                }
                debts = {id_: answer for id_, answer in zip(ids, answers[split:], strict=True) if flags.debt >> id_ & 1}
                found[user] = _position(user, flags, a_tokens, debts)

            reading.ask(calls, take)

    def _ask_balances(
        self,
        reading: Reading,
        user: Address,
        flags: Flags,
        reserves: Mapping[int, Reserve],
        found: dict[Address, Position],
    ) -> None:
        used = [id_ for id_ in reserves if flags.collateral >> id_ & 1]
        owed = [id_ for id_ in reserves if flags.debt >> id_ & 1]

        def take(answers: Answers) -> None:
            a_tokens = dict(zip(used, answers[: len(used)], strict=True))
            found[user] = _position(user, flags, a_tokens, dict(zip(owed, answers[len(used) :], strict=True)))

        calls = [_balance_call(reserves[id_].a_token, user) for id_ in used]
        calls += [_balance_call(reserves[id_].variable_debt_token, user) for id_ in owed]
        reading.ask(calls, take)

    def _flag_calls(self, user: Address) -> list[Call]:
        return [
            (self._pool, codec.call_with_address(words.GET_USER_CONFIGURATION, user)),
            (self._pool, codec.call_with_address(words.GET_USER_E_MODE, user)),
        ]


def _balance_call(token: Address, user: Address) -> Call:
    return token, codec.call_with_address(words.SCALED_BALANCE_OF, user)


def _flags(user: Address, answers: Answers) -> Flags:
    configuration, e_mode = answers
    if configuration is None or e_mode is None:
        raise ValueError(f"the pool does not answer for {user}")
    bitmap = codec.uint_at(configuration)
    return Flags(collateral_flags(bitmap), borrow_flags(bitmap), codec.uint_at(e_mode))


def _position(
    user: Address, flags: Flags, a_tokens: Mapping[int, bytes | None], debts: Mapping[int, bytes | None]
) -> Position:
    return Position(
        user=user,
        e_mode=flags.e_mode,
        collateral=holdings({id_: _balance(user, answer) for id_, answer in a_tokens.items()}),
        debt=holdings({id_: _balance(user, answer) for id_, answer in debts.items()}),
        collateral_enabled=flags.collateral,
    )


def _balance(user: Address, answer: bytes | None) -> int:
    if answer is None:
        raise ValueError(f"a token does not answer scaledBalanceOf({user})")
    return codec.uint_at(answer)

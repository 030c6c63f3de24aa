"""From a log to a typed event: topics to classes, addresses to ids, words to numbers.

Sources as in `worker.chain.events`, where the topics are. Logs that move nothing of their own decode to None: a
transmission comes with its AnswerUpdated, MintedToTreasury with the aToken's Mint, an ERC-20 Transfer with a log that
says more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.domain import events
from core.domain.events import Event, UnknownSubject
from core.domain.market import Reserve
from core.domain.units import Address, Bps, Ray, ScaledAmount, TokenAmount
from worker.chain import codec
from worker.chain import events as topics
from worker.chain.logs import Log

FLASH_LOAN = "0xefefaba5e921573100900a3ad9cf29f222d995fb3b6045797eaea7521bd8d6f0"
RESERVE_DROPPED = "0xeeec4c06f7adad215cbdb4d2960896c83c26aedce02dde76d36fa28588d62da4"

_HEX_WORD = 64
_ADDRESS_LIMIT = 1 << 160


class Decoder:
    """Decode the logs of one market; its reserves' tokens are known from the start, so make a new one with the list."""

    def __init__(self, reserves: Mapping[int, Reserve]) -> None:
        self.assets = {reserve.asset: id_ for id_, reserve in reserves.items()}
        self.a_tokens = {reserve.a_token: id_ for id_, reserve in reserves.items()}
        self.debt_tokens = {reserve.variable_debt_token: id_ for id_, reserve in reserves.items()}

    def decode(self, log: Log, at: int) -> Event | None:
        """Return what a log says, `at` being its block's timestamp in unix seconds; None when it moves nothing.

        Raise ValueError, with the log's place, when it cannot be decoded.
        """
        read = _READERS.get(log.topics[0]) if log.topics else None
        if read is None:
            return None
        try:
            return read(self, _Words(log), at)
        except (ValueError, IndexError) as exc:
            raise ValueError(f"{log.place} cannot be decoded: {exc}") from exc


class _Words:
    """Read a log's topics and data as numbers and addresses; raise ValueError or IndexError where there are none."""

    __slots__ = ("_data", "_topics", "address")

    def __init__(self, log: Log) -> None:
        self.address = log.address
        self._topics = log.topics
        self._data = log.data

    def topic(self, index: int) -> int:
        return int(self._topics[index], 16)

    def signed_topic(self, index: int) -> int:
        return codec.signed(int(self._topics[index], 16))

    def topic_address(self, index: int) -> Address:
        return _address(int(self._topics[index], 16))

    def word(self, index: int) -> int:
        start = 2 + index * _HEX_WORD
        digits = self._data[start : start + _HEX_WORD]
        if len(digits) != _HEX_WORD:
            raise ValueError(f"no word {index} in {len(self._data) // 2 - 1} bytes of data")
        return int(digits, 16)

    def flag(self, index: int) -> bool:
        return bool(self.word(index))

    def signed_word(self, index: int) -> int:
        return codec.signed(self.word(index))

    def word_address(self, index: int) -> Address:
        return _address(self.word(index))

    def text(self, index: int) -> str:
        data = codec.unhex(self._data)
        at = self.word(index)
        return codec.text((codec.WORD).to_bytes(codec.WORD, "big") + data[at:])


def _address(value: int) -> Address:
    if value >= _ADDRESS_LIMIT:
        raise ValueError(f"{value:#x} is not an address")
    return Address(f"0x{value:040x}")


Reader = Callable[[Decoder, _Words, int], Event | None]
Build = Callable[[int, _Words, int], Event | None]


def _of_asset(build: Build, topic: int = 1) -> Reader:
    """Make a reader of logs that name one asset in a topic."""

    def read(decoder: Decoder, log: _Words, at: int) -> Event | None:
        asset = log.topic_address(topic)
        id_ = decoder.assets.get(asset)
        return UnknownSubject(asset) if id_ is None else build(id_, log, at)

    return read


def _balance(a_token: type[events.BalanceEvent], debt: type[events.BalanceEvent], user: int) -> Reader:
    """Make a reader of a token's Mint or Burn, whose account is in topic `user`."""

    def read(decoder: Decoder, log: _Words, _at: int) -> Event | None:
        kind, id_ = a_token, decoder.a_tokens.get(log.address)
        if id_ is None:
            kind, id_ = debt, decoder.debt_tokens.get(log.address)
        if id_ is None:
            return UnknownSubject(log.address)
        value, increase, index = TokenAmount(log.word(0)), TokenAmount(log.word(1)), Ray(log.word(2))
        return kind(id_, log.topic_address(user), value, increase, index)

    return read


def _transfer(decoder: Decoder, log: _Words, _at: int) -> Event | None:
    id_ = decoder.a_tokens.get(log.address)
    if id_ is None:
        return UnknownSubject(log.address)
    sender, recipient = log.topic_address(1), log.topic_address(2)
    return events.ATokenTransferred(id_, sender, recipient, ScaledAmount(log.word(0)), Ray(log.word(1)))


def _liquidation(decoder: Decoder, log: _Words, at: int) -> Event | None:
    collateral, debt = log.topic_address(1), log.topic_address(2)
    for asset in (collateral, debt):
        if asset not in decoder.assets:
            return UnknownSubject(asset)
    return events.Liquidated(
        decoder.assets[collateral],
        decoder.assets[debt],
        log.topic_address(3),
        TokenAmount(log.word(0)),
        TokenAmount(log.word(1)),
        log.word_address(2),
        log.flag(3),
        at,
    )


def _reserve_updated(id_: int, log: _Words, at: int) -> Event:
    rate, _stable, borrow_rate, income, debt = (Ray(log.word(index)) for index in range(5))
    return events.ReserveUpdated(id_, rate, borrow_rate, income, debt, at)


def _repay(id_: int, log: _Words, _at: int) -> Event:
    paid_in = 0 if log.flag(1) else log.word(0)
    return events.LiquidityMoved(id_, log.topic_address(2), paid_in, "Repay")


def _collateral_configured(id_: int, log: _Words, _at: int) -> Event:
    return events.CollateralConfigured(id_, Bps(log.word(0)), Bps(log.word(1)), Bps(log.word(2)))


def _e_mode_category(_decoder: Decoder, log: _Words, _at: int) -> Event:
    ltv, threshold, bonus = (Bps(log.word(index)) for index in range(3))
    return events.EModeCategorySet(log.topic(1), ltv, threshold, bonus, log.text(4))


def _e_mode_bit(kind: type[events.EModeBitEvent]) -> Reader:
    return _of_asset(lambda id_, log, _: kind(log.word(0), id_, log.flag(1)))


def _flag(kind: type[events.ReserveActiveSet | events.ReserveFrozenSet | events.ReservePausedSet]) -> Reader:
    return _of_asset(lambda id_, log, _: kind(id_, log.flag(0)))


def _switch(enabled: bool) -> Reader:
    return _of_asset(lambda id_, log, _: events.CollateralSwitched(id_, log.topic_address(2), enabled))


def _listing(_decoder: Decoder, log: _Words, _at: int) -> Event:
    return events.ReserveListed(log.topic_address(1))


def _replaced(_decoder: Decoder, log: _Words, _at: int) -> Event:
    return events.ContractReplaced(log.address)


def _cap_parameters(_decoder: Decoder, log: _Words, _at: int) -> Event:
    return events.CapParametersUpdated(log.address, log.word(0), log.word(1), Bps(log.word(3)))


_READERS: dict[str, Reader] = {
    topics.MINT: _balance(events.ATokenMinted, events.DebtMinted, user=2),
    topics.BURN: _balance(events.ATokenBurned, events.DebtBurned, user=1),
    topics.BALANCE_TRANSFER: _transfer,
    topics.SUPPLY: _of_asset(
        lambda id_, log, _: events.LiquidityMoved(id_, log.topic_address(2), log.word(1), "Supply")
    ),
    topics.WITHDRAW: _of_asset(
        lambda id_, log, _: events.LiquidityMoved(id_, log.topic_address(2), -log.word(0), "Withdraw")
    ),
    topics.BORROW: _of_asset(
        lambda id_, log, _: events.LiquidityMoved(id_, log.topic_address(2), -log.word(1), "Borrow")
    ),
    topics.REPAY: _of_asset(_repay),
    FLASH_LOAN: _of_asset(
        lambda id_, log, _: events.LiquidityMoved(id_, log.word_address(0), log.word(3), "FlashLoan"), topic=2
    ),
    topics.USER_E_MODE_SET: lambda _decoder, log, _at: events.EModeEntered(log.topic_address(1), log.word(0)),
    topics.COLLATERAL_ENABLED: _switch(True),
    topics.COLLATERAL_DISABLED: _switch(False),
    topics.LIQUIDATION_CALL: _liquidation,
    topics.RESERVE_DATA_UPDATED: _of_asset(_reserve_updated),
    topics.DEFICIT_CREATED: _of_asset(
        lambda id_, log, _: events.DeficitCreated(log.topic_address(1), id_, TokenAmount(log.word(0))), topic=2
    ),
    topics.DEFICIT_COVERED: _of_asset(lambda id_, log, _: events.DeficitCovered(id_, TokenAmount(log.word(1)))),
    topics.COLLATERAL_CONFIGURATION_CHANGED: _of_asset(_collateral_configured),
    topics.PENDING_LTV_CHANGED: _of_asset(lambda id_, log, _: events.LtvPending(id_, Bps(log.word(0)))),
    topics.RESERVE_ACTIVE: _flag(events.ReserveActiveSet),
    topics.RESERVE_FROZEN: _flag(events.ReserveFrozenSet),
    topics.RESERVE_PAUSED: _flag(events.ReservePausedSet),
    topics.LIQUIDATION_PROTOCOL_FEE_CHANGED: _of_asset(
        lambda id_, log, _: events.ProtocolFeeSet(id_, Bps(log.word(1)))
    ),
    topics.GRACE_PERIOD_CHANGED: _of_asset(lambda id_, log, _: events.GracePeriodSet(id_, log.word(0))),
    topics.GRACE_PERIOD_DISABLED: _of_asset(lambda id_, _log, _: events.GracePeriodSet(id_, 0)),
    topics.E_MODE_CATEGORY_ADDED: _e_mode_category,
    topics.E_MODE_COLLATERAL_CHANGED: _e_mode_bit(events.EModeCollateralSet),
    topics.E_MODE_BORROWABLE_CHANGED: _e_mode_bit(events.EModeBorrowableSet),
    topics.E_MODE_LTVZERO_CHANGED: _e_mode_bit(events.EModeLtvZeroSet),
    topics.E_MODE_ISOLATION_CHANGED: lambda _decoder, log, _at: events.EModeIsolationSet(log.topic(1), log.flag(0)),
    topics.RESERVE_INITIALIZED: _listing,
    RESERVE_DROPPED: _listing,
    topics.COLLATERAL_SIDE_UPGRADED: _replaced,
    topics.DEBT_SIDE_UPGRADED: _replaced,
    topics.POOL_UPDATED: _replaced,
    topics.PRICE_ORACLE_UPDATED: _replaced,
    topics.POOL_CONFIGURATOR_UPDATED: _replaced,
    topics.UPGRADED: _replaced,
    topics.ASSET_SOURCE_UPDATED: lambda _decoder, log, _at: events.SourceChanged(log.topic_address(1)),
    topics.FALLBACK_ORACLE_UPDATED: lambda _decoder, _log, _at: events.SourceChanged(None),
    topics.ANSWER_UPDATED: lambda _decoder, log, _at: events.AnswerUpdated(
        log.address, log.signed_topic(1), log.topic(2), log.word(0)
    ),
    topics.SECONDARY_ROUND_ID_UPDATED: lambda _decoder, log, _at: events.SecondaryRoundIdUpdated(
        log.address, log.topic(1)
    ),
    topics.PRIMARY_FEED_UNLOCKED: lambda _decoder, log, _at: events.PrimaryFeedUnlocked(log.address, log.topic(1)),
    topics.CUTOFF_TIME_SET: lambda _decoder, log, _at: events.CutoffTimeSet(log.address, log.word(0)),
    topics.MAX_SYNC_ITERATIONS_SET: lambda _decoder, log, _at: events.MaxSyncIterationsSet(log.address, log.word(0)),
    topics.CAP_PARAMETERS_UPDATED: _cap_parameters,
    topics.PRICE_CAP_UPDATED: lambda _decoder, log, _at: events.PriceCapUpdated(log.address, log.signed_word(0)),
    topics.PRICE_CAP_RATIO_UPDATED: lambda _decoder, log, _at: events.PriceCapRatioUpdated(
        log.address, log.signed_word(0)
    ),
}

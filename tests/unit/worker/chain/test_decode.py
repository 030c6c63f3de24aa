"""Every log becomes the event that the protocol's own encoding of it means."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from core.domain import events
from core.domain.units import Address
from tests.unit.worker.chain.test_events import ALICE, BOB, KEEPER, NOBODY, POOL, SIGNATURES, USDC, WETH
from worker.chain import decode
from worker.chain import events as topics
from worker.chain.decode import Decoder
from worker.chain.logs import Log

AT = 1_700_000_000
DECODER = Decoder({0: WETH, 4: USDC})
OWN_TOPICS = {
    "FLASH_LOAN": "FlashLoan(address,address,address,uint256,uint8,uint256,uint16)",
    "RESERVE_DROPPED": "ReserveDropped(address)",
}
DOUBLED = {"NEW_TRANSMISSION", "NEW_TRANSMISSION_OCR1", "MINTED_TO_TREASURY"}
"""Logs whose content another log tells again."""


def a_log(signature: str, indexed: str, *values: Any, address: Address = POOL) -> Log:
    """Encode a log by its signature; `indexed` has an i for each argument that is a topic, and a dot for the others."""
    types = signature.partition("(")[2][:-1].split(",")
    rows = list(zip(types, indexed, values, strict=True))
    encoded = ["0x" + abi_encode([kind], [value]).hex() for kind, mark, value in rows if mark == "i"]
    plain = [(kind, value) for kind, mark, value in rows if mark == "."]
    data = "0x" + abi_encode([kind for kind, _ in plain], [value for _, value in plain]).hex()
    topic = "0x" + keccak(text=signature).hex()
    return Log(address, (topic, *encoded), data, 12, "0xblock", "0xtx", 3, False, 0.0)


S = SIGNATURES | OWN_TOPICS
FEED = Address("0x" + "fe" * 20)
CASES: list[tuple[Log, events.Event]] = [
    (
        a_log(S["MINT"], "ii...", BOB, ALICE, 11, 2, 10**27, address=WETH.a_token),
        events.ATokenMinted(0, ALICE, 11, 2, 10**27),
    ),
    (
        a_log(S["MINT"], "ii...", BOB, ALICE, 11, 2, 10**27, address=USDC.variable_debt_token),
        events.DebtMinted(4, ALICE, 11, 2, 10**27),
    ),
    (
        a_log(S["BURN"], "ii...", ALICE, BOB, 11, 2, 10**27, address=WETH.a_token),
        events.ATokenBurned(0, ALICE, 11, 2, 10**27),
    ),
    (
        a_log(S["BURN"], "ii...", ALICE, NOBODY, 11, 2, 10**27, address=WETH.variable_debt_token),
        events.DebtBurned(0, ALICE, 11, 2, 10**27),
    ),
    (
        a_log(S["BALANCE_TRANSFER"], "ii..", ALICE, BOB, 5, 10**27, address=USDC.a_token),
        events.ATokenTransferred(4, ALICE, BOB, 5, 10**27),
    ),
    (a_log(S["SUPPLY"], "i.i.i", USDC.asset, BOB, ALICE, 77, 0), events.LiquidityMoved(4, ALICE, 77, "Supply")),
    (a_log(S["WITHDRAW"], "iii.", USDC.asset, ALICE, BOB, 77), events.LiquidityMoved(4, ALICE, -77, "Withdraw")),
    (
        a_log(S["BORROW"], "i.i...i", USDC.asset, BOB, ALICE, 77, 2, 9, 0),
        events.LiquidityMoved(4, ALICE, -77, "Borrow"),
    ),
    (a_log(S["REPAY"], "iii..", USDC.asset, ALICE, BOB, 77, False), events.LiquidityMoved(4, ALICE, 77, "Repay")),
    (a_log(S["REPAY"], "iii..", USDC.asset, ALICE, BOB, 77, True), events.LiquidityMoved(4, ALICE, 0, "Repay")),
    (
        a_log(S["FLASH_LOAN"], "i.i...i", KEEPER, ALICE, WETH.asset, 77, 0, 3, 0),
        events.LiquidityMoved(0, ALICE, 3, "FlashLoan"),
    ),
    (a_log(S["USER_E_MODE_SET"], "i.", ALICE, 8), events.EModeEntered(ALICE, 8)),
    (a_log(S["COLLATERAL_ENABLED"], "ii", WETH.asset, ALICE), events.CollateralSwitched(0, ALICE, True)),
    (a_log(S["COLLATERAL_DISABLED"], "ii", WETH.asset, ALICE), events.CollateralSwitched(0, ALICE, False)),
    (
        a_log(S["LIQUIDATION_CALL"], "iii....", WETH.asset, USDC.asset, ALICE, 5, 6, KEEPER, True),
        events.Liquidated(0, 4, ALICE, 5, 6, KEEPER, True, AT),
    ),
    (
        a_log(S["RESERVE_DATA_UPDATED"], "i.....", USDC.asset, 1, 2, 3, 4, 5),
        events.ReserveUpdated(4, 1, 3, 4, 5, AT),
    ),
    (
        a_log(S["DEFICIT_CREATED"], "ii.", ALICE, USDC.asset, 9),
        events.DeficitCreated(ALICE, 4, 9),
    ),
    (
        a_log(S["DEFICIT_COVERED"], "i..", USDC.asset, KEEPER, 9),
        events.DeficitCovered(4, 9),
    ),
    (
        a_log(S["COLLATERAL_CONFIGURATION_CHANGED"], "i...", USDC.asset, 1, 2, 3),
        events.CollateralConfigured(4, 1, 2, 3),
    ),
    (a_log(S["PENDING_LTV_CHANGED"], "i.", USDC.asset, 7), events.LtvPending(4, 7)),
    (a_log(S["RESERVE_ACTIVE"], "i.", USDC.asset, True), events.ReserveActiveSet(4, True)),
    (a_log(S["RESERVE_FROZEN"], "i.", USDC.asset, False), events.ReserveFrozenSet(4, False)),
    (a_log(S["RESERVE_PAUSED"], "i.", USDC.asset, True), events.ReservePausedSet(4, True)),
    (
        a_log(S["LIQUIDATION_PROTOCOL_FEE_CHANGED"], "i..", USDC.asset, 1_000, 2_000),
        events.ProtocolFeeSet(4, 2_000),
    ),
    (a_log(S["GRACE_PERIOD_CHANGED"], "i.", USDC.asset, AT + 9), events.GracePeriodSet(4, AT + 9)),
    (a_log(S["GRACE_PERIOD_DISABLED"], "i", USDC.asset), events.GracePeriodSet(4, 0)),
    (
        a_log(S["E_MODE_CATEGORY_ADDED"], "i.....", 3, 1, 2, 3, NOBODY, "Größer als ein Wort, mit € und mehr"),
        events.EModeCategorySet(3, 1, 2, 3, "Größer als ein Wort, mit € und mehr"),
    ),
    (a_log(S["E_MODE_COLLATERAL_CHANGED"], "i..", USDC.asset, 3, True), events.EModeCollateralSet(3, 4, True)),
    (a_log(S["E_MODE_BORROWABLE_CHANGED"], "i..", USDC.asset, 3, False), events.EModeBorrowableSet(3, 4, False)),
    (a_log(S["E_MODE_LTVZERO_CHANGED"], "i..", USDC.asset, 3, True), events.EModeLtvZeroSet(3, 4, True)),
    (a_log(S["E_MODE_ISOLATION_CHANGED"], "i.", 3, True), events.EModeIsolationSet(3, True)),
    (
        a_log(S["RESERVE_INITIALIZED"], "ii...", FEED, ALICE, NOBODY, BOB, NOBODY),
        events.ReserveListed(FEED),
    ),
    (a_log(S["RESERVE_DROPPED"], "i", USDC.asset), events.ReserveListed(USDC.asset)),
    (a_log(S["COLLATERAL_SIDE_UPGRADED"], "iii", USDC.asset, ALICE, BOB), events.ContractReplaced(POOL)),
    (a_log(S["DEBT_SIDE_UPGRADED"], "iii", USDC.asset, ALICE, BOB), events.ContractReplaced(POOL)),
    (a_log(S["POOL_UPDATED"], "ii", ALICE, BOB), events.ContractReplaced(POOL)),
    (a_log(S["PRICE_ORACLE_UPDATED"], "ii", ALICE, BOB), events.ContractReplaced(POOL)),
    (a_log(S["POOL_CONFIGURATOR_UPDATED"], "ii", ALICE, BOB), events.ContractReplaced(POOL)),
    (a_log(S["UPGRADED"], "i", ALICE, address=WETH.a_token), events.ContractReplaced(WETH.a_token)),
    (a_log(S["ASSET_SOURCE_UPDATED"], "ii", WETH.asset, FEED), events.SourceChanged(WETH.asset)),
    (a_log(S["FALLBACK_ORACLE_UPDATED"], "i", FEED), events.SourceChanged(None)),
    (
        a_log(S["ANSWER_UPDATED"], "ii.", -5, 17, AT - 1, address=FEED),
        events.AnswerUpdated(FEED, -5, 17, AT - 1),
    ),
    (
        a_log(S["SECONDARY_ROUND_ID_UPDATED"], "i", 17, address=FEED),
        events.SecondaryRoundIdUpdated(FEED, 17),
    ),
    (a_log(S["PRIMARY_FEED_UNLOCKED"], "i", 17, address=FEED), events.PrimaryFeedUnlocked(FEED, 17)),
    (a_log(S["CUTOFF_TIME_SET"], ".", 10, address=FEED), events.CutoffTimeSet(FEED, 10)),
    (a_log(S["MAX_SYNC_ITERATIONS_SET"], ".", 20, address=FEED), events.MaxSyncIterationsSet(FEED, 20)),
    (
        a_log(S["CAP_PARAMETERS_UPDATED"], "....", 10**18, AT, 5, 968, address=FEED),
        events.CapParametersUpdated(FEED, 10**18, AT, 968),
    ),
    (a_log(S["PRICE_CAP_UPDATED"], ".", 104, address=FEED), events.PriceCapUpdated(FEED, 104)),
    (a_log(S["PRICE_CAP_RATIO_UPDATED"], ".", -1, address=FEED), events.PriceCapRatioUpdated(FEED, -1)),
]


@pytest.mark.parametrize(("log", "event"), CASES, ids=lambda one: type(one).__name__)
def test_a_log_becomes_its_event(log: Log, event: events.Event) -> None:
    assert DECODER.decode(log, AT) == event


def test_own_topics_are_the_hashes_of_their_signatures() -> None:
    assert {name: "0x" + keccak(text=text).hex() for name, text in OWN_TOPICS.items()} == {
        name: getattr(decode, name) for name in OWN_TOPICS
    }


def test_every_topic_and_every_event_has_a_case() -> None:
    known = {getattr(topics, name) for name in SIGNATURES.keys() - DOUBLED}
    own = {getattr(decode, name) for name in OWN_TOPICS}
    assert {log.topics[0] for log, _ in CASES} == known | own
    assert {type(event) for _, event in CASES} == set(get_args(events.Event)) - {events.UnknownSubject}


def test_what_is_told_again_by_another_log_is_left_out() -> None:
    for name in DOUBLED:
        topic = "0x" + keccak(text=SIGNATURES[name]).hex()
        assert DECODER.decode(Log(FEED, (topic,), "0x", 12, "0xblock", "0xtx", 3, False, 0.0), AT) is None
    assert DECODER.decode(Log(FEED, (), "0x", 12, "0xblock", "0xtx", 3, False, 0.0), AT) is None


@pytest.mark.parametrize(
    ("log", "named"),
    [
        (a_log(S["MINT"], "ii...", BOB, ALICE, 1, 0, 1, address=FEED), FEED),
        (a_log(S["BALANCE_TRANSFER"], "ii..", BOB, ALICE, 1, 0, address=FEED), FEED),
        (a_log(S["RESERVE_PAUSED"], "i.", FEED, True), FEED),
        (a_log(S["E_MODE_COLLATERAL_CHANGED"], "i..", FEED, 3, True), FEED),
        (a_log(S["LIQUIDATION_CALL"], "iii....", WETH.asset, FEED, ALICE, 5, 6, KEEPER, True), FEED),
    ],
)
def test_what_is_of_no_reserve_is_named(log: Log, named: Address) -> None:
    assert DECODER.decode(log, AT) == events.UnknownSubject(named)


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        ((topics.MINT, "0x" + "00" * 32), "0x" + "00" * 96),
        ((topics.MINT, "0x" + "00" * 32, "0x" + "ff" * 32), "0x" + "00" * 96),
        ((topics.MINT, "0x" + "00" * 32, "0x" + "00" * 32), "0x" + "00" * 95),
        ((topics.BURN, "not hex"), "0x" + "00" * 96),
    ],
)
def test_a_log_that_cannot_be_decoded_says_where_it_is(topic: tuple[str, ...], data: str) -> None:
    log = Log(WETH.a_token, topic, data, 12, "0xblock", "0xtx", 3, False, 0.0)
    with pytest.raises(ValueError, match=r"log 3 of block 12 .* cannot be decoded"):
        DECODER.decode(log, AT)

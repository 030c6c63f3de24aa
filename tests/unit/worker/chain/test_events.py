"""Topics are the hashes of the protocol's own signatures, and each log touches what it should."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from core.domain.market import EModeCategory, Market, Reserve, Revision
from core.domain.units import Address
from worker.chain import events
from worker.chain.events import touched
from worker.chain.logs import Log

ALICE, BOB, KEEPER = (Address("0x" + pair * 20) for pair in ("a1", "b0", "ce"))
POOL = Address("0x" + "99" * 20)
NOBODY = Address("0x" + "00" * 20)


def a_reserve(id_: int, symbol: str) -> Reserve:
    def address(kind: int) -> Address:
        return Address(f"0x{kind:02x}{id_:038x}")

    return Reserve(
        id=id_,
        asset=address(1),
        symbol=symbol,
        a_token=address(2),
        variable_debt_token=address(3),
        price_source=address(4),
    )


WETH, USDC = a_reserve(0, "WETH"), a_reserve(4, "USDC")
MARKET = Market(revision=Revision.V3_6, reserves={0: WETH, 4: USDC}, e_modes={1: EModeCategory(id=1)})

SIGNATURES = {
    "MINT": "Mint(address,address,uint256,uint256,uint256)",
    "BURN": "Burn(address,address,uint256,uint256,uint256)",
    "BALANCE_TRANSFER": "BalanceTransfer(address,address,uint256,uint256)",
    "SUPPLY": "Supply(address,address,address,uint256,uint16)",
    "WITHDRAW": "Withdraw(address,address,address,uint256)",
    "BORROW": "Borrow(address,address,address,uint256,uint8,uint256,uint16)",
    "REPAY": "Repay(address,address,address,uint256,bool)",
    "USER_E_MODE_SET": "UserEModeSet(address,uint8)",
    "COLLATERAL_ENABLED": "ReserveUsedAsCollateralEnabled(address,address)",
    "COLLATERAL_DISABLED": "ReserveUsedAsCollateralDisabled(address,address)",
    "LIQUIDATION_CALL": "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
    "RESERVE_DATA_UPDATED": "ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)",
    "MINTED_TO_TREASURY": "MintedToTreasury(address,uint256)",
    "DEFICIT_CREATED": "DeficitCreated(address,address,uint256)",
    "DEFICIT_COVERED": "DeficitCovered(address,address,uint256)",
    "RESERVE_INITIALIZED": "ReserveInitialized(address,address,address,address,address)",
    "PENDING_LTV_CHANGED": "PendingLtvChanged(address,uint256)",
    "COLLATERAL_CONFIGURATION_CHANGED": "CollateralConfigurationChanged(address,uint256,uint256,uint256)",
    "RESERVE_ACTIVE": "ReserveActive(address,bool)",
    "RESERVE_FROZEN": "ReserveFrozen(address,bool)",
    "RESERVE_PAUSED": "ReservePaused(address,bool)",
    "LIQUIDATION_PROTOCOL_FEE_CHANGED": "LiquidationProtocolFeeChanged(address,uint256,uint256)",
    "GRACE_PERIOD_CHANGED": "LiquidationGracePeriodChanged(address,uint40)",
    "GRACE_PERIOD_DISABLED": "LiquidationGracePeriodDisabled(address)",
    "COLLATERAL_SIDE_UPGRADED": "ATokenUpgraded(address,address,address)",
    "DEBT_SIDE_UPGRADED": "VariableDebtTokenUpgraded(address,address,address)",
    "E_MODE_COLLATERAL_CHANGED": "AssetCollateralInEModeChanged(address,uint8,bool)",
    "E_MODE_BORROWABLE_CHANGED": "AssetBorrowableInEModeChanged(address,uint8,bool)",
    "E_MODE_LTVZERO_CHANGED": "AssetLtvzeroInEModeChanged(address,uint8,bool)",
    "E_MODE_CATEGORY_ADDED": "EModeCategoryAdded(uint8,uint256,uint256,uint256,address,string)",
    "E_MODE_ISOLATION_CHANGED": "EModeCategoryIsolationChanged(uint8,bool)",
    "ASSET_SOURCE_UPDATED": "AssetSourceUpdated(address,address)",
    "FALLBACK_ORACLE_UPDATED": "FallbackOracleUpdated(address)",
    "CAP_PARAMETERS_UPDATED": "CapParametersUpdated(uint256,uint256,uint256,uint16)",
    "PRICE_CAP_UPDATED": "PriceCapUpdated(int256)",
    "PRICE_CAP_RATIO_UPDATED": "PriceCapRatioUpdated(int256)",
    "ANSWER_UPDATED": "AnswerUpdated(int256,uint256,uint256)",
    "NEW_TRANSMISSION": "NewTransmission(uint32,int192,address,uint32,int192[],bytes,int192,bytes32,uint40)",
    "NEW_TRANSMISSION_OCR1": "NewTransmission(uint32,int192,address,int192[],bytes,bytes32)",
    "SECONDARY_ROUND_ID_UPDATED": "SecondaryRoundIdUpdated(uint32)",
    "PRIMARY_FEED_UNLOCKED": "PrimaryFeedUnlocked(uint32)",
    "CUTOFF_TIME_SET": "CutoffTimeSet(uint32)",
    "MAX_SYNC_ITERATIONS_SET": "MaxSyncIterationsSet(uint32)",
    "POOL_UPDATED": "PoolUpdated(address,address)",
    "PRICE_ORACLE_UPDATED": "PriceOracleUpdated(address,address)",
    "POOL_CONFIGURATOR_UPDATED": "PoolConfiguratorUpdated(address,address)",
    "UPGRADED": "Upgraded(address)",
}


def a_log(topic: str, *indexed: Any, address: Address = POOL, words: tuple[Any, ...] = ()) -> Log:
    """Make a log whose indexed arguments are addresses or numbers, and whose data are such words, too."""
    encoded = [_word(each) for each in indexed]
    data = "0x" + "".join(_word(each)[2:] for each in words)
    return Log(address, (topic, *encoded), data, 12, "0xblock", "0xtx", 3, False, 0.0)


def _word(value: Any) -> str:
    kind = "address" if isinstance(value, str) else "uint256"
    return "0x" + abi_encode([kind], [value]).hex()


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_topics_are_the_hashes_of_their_signatures(name: str, signature: str) -> None:
    assert getattr(events, name) == "0x" + keccak(text=signature).hex()


def test_every_topic_here_is_checked_and_can_be_read() -> None:
    topics = {
        name
        for name, value in vars(events).items()
        if name.isupper() and str(value).startswith("0x") and len(value) == 66
    }
    assert topics == set(SIGNATURES)
    assert {getattr(events, name) for name in topics} == set(events._READERS)


@pytest.mark.parametrize(
    ("log", "users", "label"),
    [
        (a_log(events.MINT, BOB, ALICE, address=WETH.variable_debt_token), {ALICE}, "Aave WETH debt"),
        (a_log(events.MINT, BOB, ALICE, address=USDC.a_token), {ALICE}, "Aave USDC collateral"),
        (a_log(events.BURN, ALICE, BOB, address=USDC.variable_debt_token), {ALICE}, "Aave USDC debt"),
        (a_log(events.BALANCE_TRANSFER, ALICE, BOB, address=WETH.a_token), {ALICE, BOB}, "Aave WETH transfer"),
        (a_log(events.BALANCE_TRANSFER, NOBODY, BOB, address=WETH.a_token), {BOB}, "Aave WETH transfer"),
        (a_log(events.USER_E_MODE_SET, ALICE, words=(1,)), {ALICE}, "Aave e-mode switch"),
    ],
)
def test_accounts_are_named(log: Log, users: set[Address], label: str) -> None:
    found = touched(log, MARKET)
    assert found is not None
    assert (found.users, found.label, found.configuration) == (users, label, False)


@pytest.mark.parametrize(
    ("topic", "label"),
    [
        (events.SUPPLY, "Aave Supply"),
        (events.WITHDRAW, "Aave Withdraw"),
        (events.BORROW, "Aave Borrow"),
        (events.REPAY, "Aave Repay"),
        (events.COLLATERAL_ENABLED, "Aave collateral switch"),
        (events.COLLATERAL_DISABLED, "Aave collateral switch"),
    ],
)
def test_actions_touch_their_account_and_their_reserve(topic: str, label: str) -> None:
    found = touched(a_log(topic, USDC.asset, ALICE, 0), MARKET)
    assert found is not None
    assert (found.users, found.reserves, found.label) == ({ALICE}, {4}, label)


def test_a_liquidation_names_borrower_and_liquidator() -> None:
    found = touched(a_log(events.LIQUIDATION_CALL, WETH.asset, USDC.asset, ALICE, words=(5, 6, KEEPER, 0)), MARKET)
    assert found is not None
    assert (found.users, found.reserves, found.liquidator) == ({ALICE}, {0, 4}, KEEPER)


@pytest.mark.parametrize("topic", [events.RESERVE_DATA_UPDATED, events.MINTED_TO_TREASURY, events.DEFICIT_COVERED])
def test_reserve_events_touch_their_reserve_alone(topic: str) -> None:
    found = touched(a_log(topic, WETH.asset), MARKET)
    assert found is not None
    assert (found.users, found.reserves) == (set(), {0})


def test_bad_debt_touches_account_and_reserve() -> None:
    found = touched(a_log(events.DEFICIT_CREATED, ALICE, USDC.asset, words=(1,)), MARKET)
    assert found is not None
    assert (found.users, found.reserves) == ({ALICE}, {4})


@pytest.mark.parametrize(
    ("log", "e_modes"),
    [
        (a_log(events.COLLATERAL_CONFIGURATION_CHANGED, WETH.asset, words=(1, 2, 3)), {1}),
        (a_log(events.RESERVE_FROZEN, WETH.asset, words=(1,)), {1}),
        (a_log(events.RESERVE_INITIALIZED, ALICE, BOB), {1}),
        (a_log(events.E_MODE_CATEGORY_ADDED, 7), {1, 7}),
        (a_log(events.E_MODE_ISOLATION_CHANGED, 7, words=(1,)), {1, 7}),
        (a_log(events.E_MODE_COLLATERAL_CHANGED, WETH.asset, words=(9, 1)), {1, 9}),
        (a_log(events.E_MODE_LTVZERO_CHANGED, WETH.asset, words=(9, 1)), {1, 9}),
    ],
)
def test_configuration_is_read_anew_with_every_e_mode(log: Log, e_modes: set[int]) -> None:
    found = touched(log, MARKET)
    assert found is not None
    assert (found.configuration, found.e_modes, found.verify) == (True, e_modes, False)


@pytest.mark.parametrize(
    "topic",
    [events.ANSWER_UPDATED, events.NEW_TRANSMISSION, events.SECONDARY_ROUND_ID_UPDATED, events.PRICE_CAP_UPDATED],
)
def test_prices_are_read_anew_without_touching_anyone(topic: str) -> None:
    found = touched(a_log(topic, 1, 2), MARKET)
    assert found is not None
    assert (found.price, found.users, found.configuration, found.sources) == (True, set(), False, False)


def test_another_source_is_walked_again() -> None:
    found = touched(a_log(events.ASSET_SOURCE_UPDATED, WETH.asset, ALICE), MARKET)
    assert found is not None
    assert (found.sources, found.price, found.configuration) == (True, True, True)


@pytest.mark.parametrize("topic", [events.UPGRADED, events.POOL_UPDATED, events.DEBT_SIDE_UPGRADED])
def test_a_replaced_contract_has_everything_verified(topic: str) -> None:
    found = touched(a_log(topic, ALICE, BOB), MARKET)
    assert found is not None
    assert found.verify
    assert found.configuration
    assert found.sources


def test_other_logs_touch_nothing() -> None:
    transfer = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
    assert touched(a_log(transfer, ALICE, BOB, words=(1,)), MARKET) is None
    assert touched(Log(POOL, (), "0x", 12, "0xblock", "0xtx", 3, False, 0.0), MARKET) is None


@pytest.mark.parametrize(
    "log",
    [
        a_log(events.MINT, BOB),
        a_log(events.LIQUIDATION_CALL, WETH.asset, USDC.asset, ALICE, words=(5,)),
        a_log(events.SUPPLY, WETH.asset, 2**200),
        Log(POOL, (events.BURN, "not hex"), "0x", 12, "0xblock", "0xtx", 3, False, 0.0),
    ],
)
def test_a_log_that_cannot_be_decoded_says_where_it_is(log: Log) -> None:
    with pytest.raises(ValueError, match=r"log 3 of block 12 \(0x9999.*\) cannot be decoded"):
        touched(log, MARKET)

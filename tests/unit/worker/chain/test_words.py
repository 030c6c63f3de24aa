"""Aave's answers read as the structs they are."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from core.domain.units import Address
from worker.chain import contracts, price_nodes, price_tree, words

ASSET, A_TOKEN, V_TOKEN, SOURCE, OTHER = (Address(f"0x{i:040x}") for i in range(1, 6))

SELECTORS = {
    words.GET_RESERVES_LIST: "getReservesList()",
    words.GET_RESERVE_DATA: "getReserveData(address)",
    words.GET_VIRTUAL_UNDERLYING_BALANCE: "getVirtualUnderlyingBalance(address)",
    words.GET_RESERVE_DEFICIT: "getReserveDeficit(address)",
    words.GET_LIQUIDATION_GRACE_PERIOD: "getLiquidationGracePeriod(address)",
    words.GET_ASSET_PRICE: "getAssetPrice(address)",
    words.GET_SOURCE_OF_ASSET: "getSourceOfAsset(address)",
    words.SYMBOL: "symbol()",
    words.GET_USER_CONFIGURATION: "getUserConfiguration(address)",
    words.GET_USER_E_MODE: "getUserEMode(address)",
    words.GET_USER_ACCOUNT_DATA: "getUserAccountData(address)",
    words.SCALED_BALANCE_OF: "scaledBalanceOf(address)",
    words.GET_E_MODE_LABEL: "getEModeCategoryLabel(uint8)",
    words.GET_E_MODE_COLLATERAL_CONFIG: "getEModeCategoryCollateralConfig(uint8)",
    words.GET_E_MODE_COLLATERAL_BITMAP: "getEModeCategoryCollateralBitmap(uint8)",
    words.GET_E_MODE_BORROWABLE_BITMAP: "getEModeCategoryBorrowableBitmap(uint8)",
    words.GET_E_MODE_LTVZERO_BITMAP: "getEModeCategoryLtvzeroBitmap(uint8)",
    words.GET_IS_E_MODE_ISOLATED: "getIsEModeCategoryIsolated(uint8)",
    words.GET_CURRENT_BLOCK_TIMESTAMP: "getCurrentBlockTimestamp()",
    contracts.GET_POOL: "getPool()",
    contracts.GET_POOL_CONFIGURATOR: "getPoolConfigurator()",
    contracts.GET_PRICE_ORACLE: "getPriceOracle()",
    contracts.GET_POOL_DATA_PROVIDER: "getPoolDataProvider()",
    contracts.POOL_REVISION: "POOL_REVISION()",
    price_tree.GET_ROUND_DATA: "getRoundData(uint80)",
    **{selector: f"{name}()" for name, selector in price_nodes.SELECTORS.items()},
}


@pytest.mark.parametrize(("selector", "signature"), SELECTORS.items())
def test_selectors_are_the_hashes_of_their_signatures(selector: bytes, signature: str) -> None:
    assert selector == keccak(text=signature)[:4]


def uints(*values: int) -> bytes:
    return abi_encode(["uint256"] * len(values), values)


def reserve_answers(configuration: int = 0) -> list[bytes | None]:
    kinds = ["uint256"] * 8 + ["address"] * 4 + ["uint256"] * 3
    struct: list[Any] = [configuration, 11, 12, 13, 14, 0, 1_700_000_000, 4, A_TOKEN, OTHER, V_TOKEN, OTHER, 1, 2, 3]
    return [abi_encode(kinds, struct), uints(21), uints(22), uints(23), abi_encode(["address"], [SOURCE])]


def test_a_reserve_is_decoded() -> None:
    configuration = 7500 | 7800 << 16 | 10500 << 32 | 6 << 48 | 1 << 56 | 1 << 60 | 1000 << 152
    found = words.reserve(ASSET, "USDC", reserve_answers(configuration))
    assert (found.id, found.asset, found.symbol, found.decimals) == (4, ASSET, "USDC", 6)
    assert (found.a_token, found.variable_debt_token, found.price_source) == (A_TOKEN, V_TOKEN, SOURCE)
    assert (found.liquidity_index, found.liquidity_rate) == (11, 12)
    assert (found.variable_borrow_index, found.variable_borrow_rate, found.last_update) == (13, 14, 1_700_000_000)
    assert (found.ltv, found.liquidation_threshold, found.liquidation_bonus) == (7500, 7800, 10500)
    assert (found.liquidation_protocol_fee, found.active, found.frozen, found.paused) == (1000, True, False, True)
    assert (found.virtual_underlying_balance, found.deficit, found.grace_period_until) == (21, 22, 23)


@pytest.mark.parametrize("missing", range(5))
def test_a_reserve_that_is_answered_in_part_is_refused(missing: int) -> None:
    answers = reserve_answers()
    answers[missing] = None
    with pytest.raises(ValueError, match=f"no answer for {ASSET}"):
        words.reserve(ASSET, "USDC", answers)


def e_mode_answers(isolated: bytes | None) -> list[bytes | None]:
    return [
        uints(9000, 9300, 10200),
        abi_encode(["string"], ["ETH correlated"]),
        uints(43),
        uints(1),
        uints(2),
        isolated,
    ]


@pytest.mark.parametrize(("isolated", "expected"), [(None, False), (uints(0), False), (uints(1), True)])
def test_an_e_mode_is_decoded_on_both_revisions(isolated: bytes | None, expected: bool) -> None:
    answers = e_mode_answers(isolated)
    assert words.e_mode_exists(answers[0])
    found = words.e_mode(1, answers)
    assert (found.ltv, found.liquidation_threshold, found.liquidation_bonus) == (9000, 9300, 10200)
    assert (found.label, found.collateral_bitmap, found.borrowable_bitmap, found.ltvzero_bitmap) == (
        "ETH correlated",
        43,
        1,
        2,
    )
    assert found.isolated is expected


def test_an_e_mode_without_a_threshold_does_not_exist() -> None:
    assert not words.e_mode_exists(uints(0, 0, 0))
    assert not words.e_mode_exists(None)


def test_a_price_is_positive_or_missing() -> None:
    assert words.price(uints(250_000_000_000)) == 250_000_000_000
    assert words.price(uints(0)) is None
    assert words.price(None) is None


def test_account_data_are_six_figures_or_none() -> None:
    assert words.account_data(uints(1, 2, 3, 4, 5, 6)) == (1, 2, 3, 4, 5, 6)
    assert words.account_data(None) is None
    with pytest.raises(ValueError, match="fewer than 6 words"):
        words.account_data(uints(1, 2, 3))


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        (abi_encode(["string"], ["cbBTC"]), "cbBTC"),
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (None, ASSET),
        (b"\1" * 40, ASSET),
    ],
)
def test_a_token_without_a_readable_symbol_is_called_by_its_address(answer: bytes | None, symbol: str) -> None:
    assert words.symbol(ASSET, answer) == symbol

"""What Aave's getters are called and how their answers read: selectors and decoders, no network.

Source: aave-v3-origin IPool, IAaveOracle, IScaledBalanceToken; DataTypes.ReserveDataLegacy.
"""

from __future__ import annotations

from core.domain.health_factor import UserAccountData
from core.domain.market import EModeCategory, Reserve
from core.domain.units import Address, BaseUsd, Bps, Ray, TokenAmount, Wad
from worker.chain import codec
from worker.chain.codec import Call
from worker.chain.reading import Answers

GET_RESERVES_LIST = bytes.fromhex("d1946dbc")
GET_RESERVE_DATA = bytes.fromhex("35ea6a75")
GET_VIRTUAL_UNDERLYING_BALANCE = bytes.fromhex("6fb07f96")
GET_RESERVE_DEFICIT = bytes.fromhex("c952485d")
GET_LIQUIDATION_GRACE_PERIOD = bytes.fromhex("5c9a8b18")
GET_ASSET_PRICE = bytes.fromhex("b3596f07")
GET_SOURCE_OF_ASSET = bytes.fromhex("92bf2be0")
SYMBOL = bytes.fromhex("95d89b41")
GET_USER_CONFIGURATION = bytes.fromhex("4417a583")
GET_USER_E_MODE = bytes.fromhex("eddf1b79")
GET_USER_ACCOUNT_DATA = bytes.fromhex("bf92857c")
SCALED_BALANCE_OF = bytes.fromhex("1da24f3e")
GET_E_MODE_LABEL = bytes.fromhex("2083e183")
GET_E_MODE_COLLATERAL_CONFIG = bytes.fromhex("b286f467")
GET_E_MODE_COLLATERAL_BITMAP = bytes.fromhex("b0771dba")
GET_E_MODE_BORROWABLE_BITMAP = bytes.fromhex("903a2c71")
GET_E_MODE_LTVZERO_BITMAP = bytes.fromhex("fd89dee5")
GET_IS_E_MODE_ISOLATED = bytes.fromhex("05f68acb")
GET_CURRENT_BLOCK_TIMESTAMP = bytes.fromhex("0f28c97d")

E_MODE_IDS = range(1, 256)


def listed(answers: Answers) -> list[Address]:
    """Decode getReservesList."""
    return codec.addresses(given(answers[0], "getReservesList"))


def symbol(asset: Address, answer: bytes | None) -> str:
    """Decode a token's symbol; a token without one is called by its address."""
    try:
        return codec.text(answer) if answer is not None else asset
    except ValueError:
        return asset


def reserve_calls(pool: Address, oracle: Address, asset: Address) -> list[Call]:
    """Return the calls whose answers `reserve` reads."""
    state: list[Call] = [
        (pool, codec.call_with_address(selector, asset))
        for selector in (
            GET_RESERVE_DATA,
            GET_VIRTUAL_UNDERLYING_BALANCE,
            GET_RESERVE_DEFICIT,
            GET_LIQUIDATION_GRACE_PERIOD,
        )
    ]
    return [*state, (oracle, codec.call_with_address(GET_SOURCE_OF_ASSET, asset))]


def reserve(asset: Address, symbol: str, answers: Answers) -> Reserve:
    """Decode a reserve; raise ValueError when the pool left a question open."""
    data, virtual, deficit, grace, source = (given(answer, asset) for answer in answers)
    (configuration, liquidity_index, liquidity_rate, borrow_index, borrow_rate, _, last_update, reserve_id) = (
        codec.uints(data, 8)
    )
    return Reserve(
        id=reserve_id,
        asset=asset,
        symbol=symbol,
        a_token=codec.address_at(data, 8),
        variable_debt_token=codec.address_at(data, 10),
        price_source=codec.address_at(source),
        liquidity_index=Ray(liquidity_index),
        variable_borrow_index=Ray(borrow_index),
        liquidity_rate=Ray(liquidity_rate),
        variable_borrow_rate=Ray(borrow_rate),
        last_update=last_update,
        virtual_underlying_balance=TokenAmount(codec.uint_at(virtual)),
        deficit=TokenAmount(codec.uint_at(deficit)),
        grace_period_until=codec.uint_at(grace),
    ).with_configuration(configuration)


def e_mode_exists(answer: bytes | None) -> bool:
    """Tell whether a category has a liquidation threshold, as every one that was ever set up has."""
    return answer is not None and codec.uint_at(answer, 1) != 0


def e_mode_calls(pool: Address, category: int) -> list[Call]:
    """Return the calls whose answers `e_mode` reads."""
    return [
        (pool, codec.call_with_uint(selector, category))
        for selector in (
            GET_E_MODE_COLLATERAL_CONFIG,
            GET_E_MODE_LABEL,
            GET_E_MODE_COLLATERAL_BITMAP,
            GET_E_MODE_BORROWABLE_BITMAP,
            GET_E_MODE_LTVZERO_BITMAP,
            GET_IS_E_MODE_ISOLATED,
        )
    ]


def e_mode(category: int, answers: Answers) -> EModeCategory:
    """Decode a category; `isolated` is a getter of v3.7, and False where there is none."""
    what = f"e-mode {category}"
    config, label, collateral, borrowable, ltvzero = (given(answer, what) for answer in answers[:5])
    ltv, threshold, bonus = codec.uints(config, 3)
    return EModeCategory(
        id=category,
        label=codec.text(label),
        ltv=Bps(ltv),
        liquidation_threshold=Bps(threshold),
        liquidation_bonus=Bps(bonus),
        collateral_bitmap=codec.uint_at(collateral),
        borrowable_bitmap=codec.uint_at(borrowable),
        ltvzero_bitmap=codec.uint_at(ltvzero),
        isolated=answers[5] is not None and bool(codec.uint_at(answers[5])),
    )


def price_call(oracle: Address, asset: Address) -> Call:
    """Return the call whose answer `price` reads."""
    return oracle, codec.call_with_address(GET_ASSET_PRICE, asset)


def price(answer: bytes | None) -> BaseUsd | None:
    """Decode a price; None when the oracle has none."""
    value = 0 if answer is None else codec.uint_at(answer)
    return BaseUsd(value) if value else None


def account_data(answer: bytes | None) -> UserAccountData | None:
    """Decode the six figures of getUserAccountData; None when the call failed."""
    if answer is None:
        return None
    collateral, debt, available, threshold, ltv, health_factor = codec.uints(answer, 6)
    return UserAccountData(
        BaseUsd(collateral), BaseUsd(debt), BaseUsd(available), Bps(threshold), Bps(ltv), Wad(health_factor)
    )


def given(answer: bytes | None, what: str) -> bytes:
    """Return an answer that has to be there; raise ValueError when the call failed."""
    if answer is None:
        raise ValueError(f"no answer for {what}")
    return answer

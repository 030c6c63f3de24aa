"""What a log touches: which accounts, reserves and e-modes have to be read again, and how people call it.

Nothing is computed from a log's amounts: whatever it touched is read anew at a block, so no rounding can drift.
Source of the topics: aave-v3-origin IPool, IAToken, IVariableDebtToken, IPoolConfigurator, IAaveOracle,
IPoolAddressesProvider; Chainlink's OCR2Aggregator and DualAggregator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.domain.market import Market, Reserve
from core.domain.units import Address
from worker.chain import codec
from worker.chain.codec import ZERO_ADDRESS
from worker.chain.logs import Log

MINT = "0x458f5fa412d0f69b08dd84872b0215675cc67bc1d5b6fd93300a1c3878b86196"
BURN = "0x4cf25bc1d991c17529c25213d3cc0cda295eeaad5f13f361969b12ea48015f90"
BALANCE_TRANSFER = "0x4beccb90f994c31aced7a23b5611020728a23d8ec5cddd1a3e9d97b96fda8666"

SUPPLY = "0x2b627736bca15cd5381dcf80b0bf11fd197d01a037c52b927a881a10fb73ba61"
WITHDRAW = "0x3115d1449a7b732c986cba18244e897a450f61e1bb8d589cd2e69e6c8924f9f7"
BORROW = "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0"
REPAY = "0xa534c8dbe71f871f9f3530e97a74601fea17b426cae02e1c5aee42c96c784051"
USER_E_MODE_SET = "0xd728da875fc88944cbf17638bcbe4af0eedaef63becd1d1c57cc097eb4608d84"
COLLATERAL_ENABLED = "0x00058a56ea94653cdf4f152d227ace22d4c00ad99e2a43f58cb7d9e3feb295f2"
COLLATERAL_DISABLED = "0x44c58d81365b66dd4b1a7f36c25aa97b8c71c361ee4937adc1a00000227db5dd"
LIQUIDATION_CALL = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
RESERVE_DATA_UPDATED = "0x804c9b842b2748a22bb64b345453a3de7ca54a6ca45ce00d415894979e22897a"
MINTED_TO_TREASURY = "0xbfa21aa5d5f9a1f0120a95e7c0749f389863cbdbfff531aa7339077a5bc919de"
DEFICIT_CREATED = "0x2bccfb3fad376d59d7accf970515eb77b2f27b082c90ed0fb15583dd5a942699"
DEFICIT_COVERED = "0x84b203e49f1a4b553088061534231969a68ad1c81be192205e96d23a206cb26a"

RESERVE_INITIALIZED = "0x3a0ca721fc364424566385a1aa271ed508cc2c0949c2272575fb3013a163a45f"
PENDING_LTV_CHANGED = "0x6a3fa1f355f7c7ab43e41cb277d1f8471f2693c63dca91049d5ec127bb588e10"
COLLATERAL_CONFIGURATION_CHANGED = "0x637febbda9275aea2e85c0ff690444c8d87eb2e8339bbede9715abcc89cb0995"
RESERVE_ACTIVE = "0xc36c7d11ba01a5869d52aa4a3781939dab851cbc9ee6e7fdcedc7d58898a3f1e"
RESERVE_FROZEN = "0x0c4443d258a350d27dc50c378b2ebf165e6469725f786d21b30cab16823f5587"
RESERVE_PAUSED = "0xe188d542a5f11925d3a3af33703cdd30a43cb3e8066a3cf68b1b57f61a5a94b5"
LIQUIDATION_PROTOCOL_FEE_CHANGED = "0xb5b0a963825337808b6e3154de8e98027595a5cad4219bb3a9bc55b192f4b391"
GRACE_PERIOD_CHANGED = "0xdf4f96448786bcd6fecc9f1fa25f1fbbbee6a5c9e76d635a615ac57bb5983d10"
GRACE_PERIOD_DISABLED = "0x1df36dc1651d06d990805068d22811a3a9ca4396190787ef59f9102e61868fff"
COLLATERAL_SIDE_UPGRADED = "0xa76f65411ec66a7fb6bc467432eb14767900449ae4469fa295e4441fe5e1cb73"
DEBT_SIDE_UPGRADED = "0x9439658a562a5c46b1173589df89cf001483d685bad28aedaff4a88656292d81"
E_MODE_COLLATERAL_CHANGED = "0x79409190108b26fcb0e4570f8e240f627bf18fd01a55f751010224d5bd486098"
E_MODE_BORROWABLE_CHANGED = "0x60087ca045be9d8d1301445e67d6248eddba97629c80284fa4910c0e52f103ab"
E_MODE_LTVZERO_CHANGED = "0xc0a450fbad635333e47f3322ec028a8e0b3909f79c721312a356a0fab5fa8b94"
E_MODE_CATEGORY_ADDED = "0x0acf8b4a3cace10779798a89a206a0ae73a71b63acdd3be2801d39c2ef7ab3cb"
E_MODE_ISOLATION_CHANGED = "0xea07f8a4f488dcc1dc8c27b9c526ac8ba2d04b8024e206616f306c51d9b16826"

ASSET_SOURCE_UPDATED = "0x22c5b7b2d8561d39f7f210b6b326a1aa69f15311163082308ac4877db6339dc1"
FALLBACK_ORACLE_UPDATED = "0xce7a780d33665b1ea097af5f155e3821b809ecbaa839d3b33aa83ba28168cefb"
CAP_PARAMETERS_UPDATED = "0x47f15f366dcc3684fc77c4f79eb851bb5befbc095ec7a296a53a27a622964c63"
PRICE_CAP_UPDATED = "0xa89f50d1caf6c404765ce94b422be388ce69c8ed68921620fa6a83c810000615"
PRICE_CAP_RATIO_UPDATED = "0x816ed2ec97505a2cbad39de6d4f0be098ab74467f5de87c86c000e64edf52c55"
ANSWER_UPDATED = "0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f"
NEW_TRANSMISSION = "0xc797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a"
NEW_TRANSMISSION_OCR1 = "0xf6a97944f31ea060dfde0566e4167c1a1082551e64b60ecb14d599a9d023d451"
SECONDARY_ROUND_ID_UPDATED = "0x8d530b9ddc4b318d28fdd4c3a21fcfecece54c1a72a824f262985b99afef009b"
PRIMARY_FEED_UNLOCKED = "0xda2435684a37fba6f7841e49b59e6ad975e462bbebd28ec9da4ed9746a6992be"
CUTOFF_TIME_SET = "0xb24a681ce3399a408a89fd0c2b59dfc24bdad592b1c7ec7671cf060596c1c4d1"
MAX_SYNC_ITERATIONS_SET = "0xcba51f727ba38740aa888ce0cb33f68de587733f61d3fafa0d9fb2b29e7f829f"

POOL_UPDATED = "0x90affc163f1a2dfedcd36aa02ed992eeeba8100a4014f0b4cdc20ea265a66627"
PRICE_ORACLE_UPDATED = "0x56b5f80d8cac1479698aa7d01605fd6111e90b15fc4d2b377417f46034876cbd"
POOL_CONFIGURATOR_UPDATED = "0x8932892569eba59c8382a089d9b732d1f49272878775235761a2a6b0309cd465"
UPGRADED = "0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b"


@dataclass(frozen=True, slots=True)
class Touched:
    """Hold what one log touched.

    `configuration`: all reserves and e-modes are to be read again (`e_modes` names those to read). `sources`: the price
    sources are to be walked again. `verify`: a contract was replaced, so the market must be discovered again before
    anything is executed. `price`: prices moved, or may have. `label` are words for people; `liquidator` is set by a
    LiquidationCall, whose borrower is the only one of `users`.
    """

    label: str
    users: frozenset[Address] = frozenset()
    reserves: frozenset[int] = frozenset()
    e_modes: frozenset[int] = frozenset()
    configuration: bool = False
    price: bool = False
    sources: bool = False
    verify: bool = False
    liquidator: Address | None = None


Reader = Callable[[Log, Market], Touched]


def touched(log: Log, market: Market) -> Touched | None:
    """Return what a log touched, or None for one that moves no figure; also right for a log that was taken back.

    Raise ValueError, with the log's place, when it cannot be decoded.
    """
    read = _READERS.get(log.topics[0]) if log.topics else None
    if read is None:
        return None
    try:
        return read(log, market)
    except (ValueError, IndexError) as exc:
        raise ValueError(f"{log.place} cannot be decoded: {exc}") from exc


def _topic_address(log: Log, index: int) -> Address:
    return codec.address_at(codec.unhex(log.topics[index]))


def _word(log: Log, index: int) -> int:
    return codec.uint_at(codec.unhex(log.data), index)


def _people(*addresses: Address) -> frozenset[Address]:
    return frozenset(address for address in addresses if address != ZERO_ADDRESS)


def _reserve_ids(market: Market, asset: Address) -> frozenset[int]:
    reserve = market.reserve_of(asset)
    return frozenset({reserve.id} if reserve else ())


def _token(log: Log, market: Market) -> tuple[Reserve | None, str]:
    for reserve in market.reserves.values():
        if log.address == reserve.a_token:
            return reserve, f"Aave {reserve.symbol} collateral"
        if log.address == reserve.variable_debt_token:
            return reserve, f"Aave {reserve.symbol} debt"
    return None, "Aave token"


def _balance_of(topic: int) -> Reader:
    def read(log: Log, market: Market) -> Touched:
        _, label = _token(log, market)
        return Touched(label, users=_people(_topic_address(log, topic)))

    return read


def _balance_transfer(log: Log, market: Market) -> Touched:
    reserve, _ = _token(log, market)
    label = f"Aave {reserve.symbol if reserve else 'aToken'} transfer"
    return Touched(label, users=_people(_topic_address(log, 1), _topic_address(log, 2)))


def _user_action(label: str, reserve_topic: int, user_topic: int) -> Reader:
    def read(log: Log, market: Market) -> Touched:
        return Touched(
            label,
            users=_people(_topic_address(log, user_topic)),
            reserves=_reserve_ids(market, _topic_address(log, reserve_topic)),
        )

    return read


def _user_e_mode(log: Log, _market: Market) -> Touched:
    return Touched("Aave e-mode switch", users=_people(_topic_address(log, 1)))


def _liquidation(log: Log, market: Market) -> Touched:
    return Touched(
        "Aave LiquidationCall",
        users=_people(_topic_address(log, 3)),
        reserves=_reserve_ids(market, _topic_address(log, 1)) | _reserve_ids(market, _topic_address(log, 2)),
        liquidator=codec.address_at(codec.unhex(log.data), 2),
    )


def _reserve_state(label: str) -> Reader:
    def read(log: Log, market: Market) -> Touched:
        return Touched(label, reserves=_reserve_ids(market, _topic_address(log, 1)))

    return read


def _deficit_created(log: Log, market: Market) -> Touched:
    return Touched(
        "Aave bad debt",
        users=_people(_topic_address(log, 1)),
        reserves=_reserve_ids(market, _topic_address(log, 2)),
    )


def _configuration(label: str) -> Reader:
    """Read every e-mode again, too: freezing a reserve, for one, writes into their bitmaps."""

    def read(_log: Log, market: Market) -> Touched:
        return Touched(label, e_modes=frozenset(market.e_modes), configuration=True)

    return read


def _e_mode(label: str, *, in_topic: bool) -> Reader:
    def read(log: Log, market: Market) -> Touched:
        category = codec.uint_at(codec.unhex(log.topics[1])) if in_topic else _word(log, 0)
        return Touched(label, e_modes=frozenset(market.e_modes) | {category}, configuration=True)

    return read


def _source(_log: Log, market: Market) -> Touched:
    return Touched(
        "Aave price source change", e_modes=frozenset(market.e_modes), configuration=True, price=True, sources=True
    )


def _price(label: str) -> Reader:
    def read(_log: Log, _market: Market) -> Touched:
        return Touched(label, price=True)

    return read


def _replaced(label: str) -> Reader:
    def read(_log: Log, market: Market) -> Touched:
        return Touched(
            label,
            e_modes=frozenset(market.e_modes),
            configuration=True,
            price=True,
            sources=True,
            verify=True,
        )

    return read


_PRICE_UPDATE = _price("price update")
_PRICE_CAP = _price("price cap change")

_READERS: dict[str, Reader] = {
    MINT: _balance_of(topic=2),
    BURN: _balance_of(topic=1),
    BALANCE_TRANSFER: _balance_transfer,
    SUPPLY: _user_action("Aave Supply", 1, 2),
    WITHDRAW: _user_action("Aave Withdraw", 1, 2),
    BORROW: _user_action("Aave Borrow", 1, 2),
    REPAY: _user_action("Aave Repay", 1, 2),
    COLLATERAL_ENABLED: _user_action("Aave collateral switch", 1, 2),
    COLLATERAL_DISABLED: _user_action("Aave collateral switch", 1, 2),
    USER_E_MODE_SET: _user_e_mode,
    LIQUIDATION_CALL: _liquidation,
    RESERVE_DATA_UPDATED: _reserve_state("Aave reserve update"),
    MINTED_TO_TREASURY: _reserve_state("Aave reserve update"),
    DEFICIT_COVERED: _reserve_state("Aave deficit covered"),
    DEFICIT_CREATED: _deficit_created,
    RESERVE_INITIALIZED: _configuration("Aave new reserve"),
    PENDING_LTV_CHANGED: _configuration("Aave LTV change"),
    COLLATERAL_CONFIGURATION_CHANGED: _configuration("Aave collateral parameters change"),
    RESERVE_ACTIVE: _configuration("Aave reserve activation"),
    RESERVE_FROZEN: _configuration("Aave reserve freeze"),
    RESERVE_PAUSED: _configuration("Aave reserve pause"),
    LIQUIDATION_PROTOCOL_FEE_CHANGED: _configuration("Aave protocol fee change"),
    GRACE_PERIOD_CHANGED: _configuration("Aave grace period"),
    GRACE_PERIOD_DISABLED: _configuration("Aave grace period end"),
    COLLATERAL_SIDE_UPGRADED: _replaced("Aave aToken upgrade"),
    DEBT_SIDE_UPGRADED: _replaced("Aave debt token upgrade"),
    E_MODE_COLLATERAL_CHANGED: _e_mode("Aave e-mode change", in_topic=False),
    E_MODE_BORROWABLE_CHANGED: _e_mode("Aave e-mode change", in_topic=False),
    E_MODE_LTVZERO_CHANGED: _e_mode("Aave e-mode change", in_topic=False),
    E_MODE_CATEGORY_ADDED: _e_mode("Aave e-mode change", in_topic=True),
    E_MODE_ISOLATION_CHANGED: _e_mode("Aave e-mode change", in_topic=True),
    ASSET_SOURCE_UPDATED: _source,
    FALLBACK_ORACLE_UPDATED: _source,
    CAP_PARAMETERS_UPDATED: _PRICE_CAP,
    PRICE_CAP_UPDATED: _PRICE_CAP,
    PRICE_CAP_RATIO_UPDATED: _PRICE_CAP,
    ANSWER_UPDATED: _PRICE_UPDATE,
    NEW_TRANSMISSION: _PRICE_UPDATE,
    NEW_TRANSMISSION_OCR1: _PRICE_UPDATE,
    SECONDARY_ROUND_ID_UPDATED: _PRICE_UPDATE,
    PRIMARY_FEED_UNLOCKED: _PRICE_UPDATE,
    CUTOFF_TIME_SET: _PRICE_UPDATE,
    MAX_SYNC_ITERATIONS_SET: _PRICE_UPDATE,
    POOL_UPDATED: _replaced("Aave pool upgrade"),
    PRICE_ORACLE_UPDATED: _replaced("Aave oracle replacement"),
    POOL_CONFIGURATOR_UPDATED: _replaced("Aave configurator upgrade"),
    UPGRADED: _replaced("Aave contract upgrade"),
}

"""What is listed on the local market: reserves, price tree and e-mode categories in Base's shapes.

Ids, decimals, thresholds, bonuses, fees and bitmaps of categories 1-11 are those of a Base fork of March 2026. LTVs,
interest curves and categories 12-15 are ours: chosen to be plausible, to be read live by whoever needs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from core.domain.units import Address


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """Describe a Chainlink feed: its proxy, its aggregator (None: any address) and its first answer."""

    name: str
    proxy: str
    aggregator: str | None
    decimals: int
    answer: int


class Source(Enum):
    """The kinds of contract that AaveOracle may name as a reserve's price source."""

    FEED = "the feed's proxy itself"
    RATIO = "base price x capped ratio of a feed"
    RATE = "base price x capped getRate()"
    STABLE = "feed below a fixed cap"
    EURO = "feed below a share of EUR/USD"
    FIXED = "one dollar"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Describe a price source: its address, what it stands on, and its cap.

    `driver` is the feed that is this reserve's own; `base` what it is multiplied with or capped by (a feed's name, or a
    reserve's symbol for another adapter); `cap` a snapshot ratio or a price cap; `growth` bps a year.
    """

    kind: Source
    address: str
    driver: str = ""
    base: str = ""
    cap: int = 0
    growth: int = 0


@dataclass(frozen=True, slots=True)
class ReserveSpec:
    """Describe a reserve: token, collateral parameters (bps), interest curve (bps) and price source."""

    symbol: str
    asset: str
    decimals: int
    ltv: int
    threshold: int
    bonus: int
    fee: int
    curve: tuple[int, int, int, int]
    source: SourceSpec

    @property
    def address(self) -> Address:
        """The token's address in lower case."""
        return Address(self.asset.lower())


@dataclass(frozen=True, slots=True)
class EModeSpec:
    """Describe an e-mode category; bit i of a bitmap is reserve id i."""

    id: int
    label: str
    ltv: int
    threshold: int
    bonus: int
    collateral: int
    borrowable: int


LBTC_RATE = "0x1De9fcfeDF3E51266c188ee422fbA1c7860DA0eF"
"""The rate contract behind LBTC; not a Chainlink feed."""
LBTC_RATE_NOW = 1_003_900_000_000_000_000

FEEDS = (
    FeedSpec(
        "ETH",
        "0x9dA00D23465282005DB222a441a663eE7B9dfCc8",
        "0xD772F6D9b7A35cb96fDdFE569964ab1C05017BF9",
        8,
        3_000_00000000,
    ),
    FeedSpec(
        "BTC",
        "0x3A932b286715abc4A86a4ACAF68A6cdD89E0d446",
        "0x137233996b6586a110bb7a753248e26CC0307b1B",
        8,
        90_000_00000000,
    ),
    FeedSpec(
        "AAVE",
        "0xAAEbc0287EC3BF3fe56fCA1E4bcC793b219De551",
        "0x4b6F092e0e13B94fFAF2C59aAbDEb85a5342e9C1",
        8,
        180_00000000,
    ),
    FeedSpec(
        "USDC",
        "0x1550207eAeB590D1557a6E6C066D3d57B5A4Dc65",
        "0x0fB39aE1d48Faf8CA5ea8DbF7e134e07386A7877",
        8,
        99_990_000,
    ),
    FeedSpec(
        "EURC",
        "0x8a55b7aB579321Eb1adb54Bc770308EA0378E287",
        "0x042fc0bA0684eDE99b751b0931B6D1F590758994",
        8,
        116_100_000,
    ),
    FeedSpec("EUR", "0xc91D87E81faB8f93699ECf7Ee9B44D11e1D53F0F", None, 8, 116_000_000),
    FeedSpec(
        "wstETH/stETH",
        "0x2d4b8B1083a7C278B4C45c598De155e5f9b7A8D5",
        "0x926E0bbA53F2deEb8a2BD0138fDd3Dc675830399",
        18,
        1_228_900_000_000_000_000,
    ),
    FeedSpec(
        "weETH/eETH",
        "0x807f6Da67498aE4185Cd45deaB9e803eDDd151bf",
        "0x6D96F90d0Db82903406E97Dda54969EA58a82ec8",
        18,
        1_090_100_000_000_000_000,
    ),
    FeedSpec("cbETH/ETH", "0x868a501e68F3D1E89CfC0D22F6b22E8dabce5F04", None, 18, 1_124_500_000_000_000_000),
    FeedSpec(
        "ezETH/ETH",
        "0xB5DD7388a9cE094dAde71bB1Dd32dCE68dA8Ac30",
        "0x9eF2826f41563b1375a3188C33040E697981F7C5",
        18,
        1_073_300_000_000_000_000,
    ),
    FeedSpec(
        "rsETH/ETH",
        "0xF5f4A4de107a46f25CDf08529144B48448dc2f83",
        "0xf1A51Dc55e6707F5aEE7D426110CA50119A5314B",
        18,
        1_066_200_000_000_000_000,
    ),
    FeedSpec("syrupUSDC/USDC", "0x311D3A3faA1d5939c681E33C2CDAc041FF388EB2", None, 18, 1_153_300_000_000_000_000),
)

ETH_CURVE = (9000, 0, 270, 8000)
STAKED_CURVE = (4500, 25, 450, 30000)
STABLE_CURVE = (9000, 0, 550, 4000)
BTC_CURVE = (8000, 0, 400, 6000)
LONG_TAIL_CURVE = (4500, 0, 700, 30000)

_R, _S = ReserveSpec, SourceSpec
RESERVES = (
    _R(
        "WETH", "0x4200000000000000000000000000000000000006", 18, 8000, 8300, 10500, 1000, ETH_CURVE,
        _S(Source.FEED, "0x9dA00D23465282005DB222a441a663eE7B9dfCc8", "ETH"),
    ),
    _R(
        "cbETH", "0x2Ae3F1Ec7F1F5012CFEab0185bfc7aa3cf0DEc22", 18, 7500, 7900, 10750, 1000, STAKED_CURVE,
        _S(Source.RATIO, "0xB6E9fbba669763BD811B10A761110C449824b5BB", "cbETH/ETH", "ETH", 1123263823685699828, 812),
    ),
    _R(
        "USDbC", "0xd9aAEc86B65D86f6A7B5B1b0c42FFA531710b6CA", 6, 7500, 7800, 10500, 1000, STABLE_CURVE,
        _S(Source.STABLE, "0xf52D010c7d4ecBfda92c2509900593CE34535D86", "USDC", "", 104_000_000),
    ),
    _R(
        "wstETH", "0xc1CBa3fCea344f92D9239c08C0568f6F2F0ee452", 18, 7500, 7900, 10600, 1000, STAKED_CURVE,
        _S(Source.RATIO, "0x1AFC5010Fb182B6e62D6a3B522F09F644Fb62EfD", "wstETH/stETH", "ETH", 1227182231483433137, 968),
    ),
    _R(
        "USDC", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", 6, 7500, 7800, 10500, 1000, STABLE_CURVE,
        _S(Source.STABLE, "0xf52D010c7d4ecBfda92c2509900593CE34535D86", "USDC", "", 104_000_000),
    ),
    _R(
        "weETH", "0x04C0599Ae5A44757c0af6F9eC3b93da8976c150A", 18, 7500, 7700, 10750, 1000, STAKED_CURVE,
        _S(Source.RATIO, "0x0A0fFc2952B682eb36cde5Bdb03169C2c5F5305c", "weETH/eETH", "ETH", 1088379838933126642, 875),
    ),
    _R(
        "cbBTC", "0xcbB7C0000aB88B473b1f5aFd9ef808440eed33Bf", 8, 7300, 7800, 10750, 1000, BTC_CURVE,
        _S(Source.FEED, "0x3A932b286715abc4A86a4ACAF68A6cdD89E0d446", "BTC"),
    ),
    _R(
        "ezETH", "0x2416092f143378750bb29b79eD961ab195CcEea5", 18, 5, 10, 10750, 1000, LONG_TAIL_CURVE,
        _S(Source.RATIO, "0x0B472c80cAf27B3238Ae6cF0f13a362D2522bf6d", "ezETH/ETH", "ETH", 1071514982303582791, 1089),
    ),
    _R(
        "GHO", "0x6Bb7a212910682DCFdbd5BCBb3e28FB4E8da10Ee", 18, 0, 0, 0, 0, STABLE_CURVE,
        _S(Source.FIXED, "0xfc421aD3C883Bf9E7C4f42dE845C4e4405799e73"),
    ),
    _R(
        "wrsETH", "0xEDfa23602D0EC14714057867A78d01e94176BEA0", 18, 5, 10, 10750, 1000, LONG_TAIL_CURVE,
        _S(Source.RATIO, "0x87445df51b4A2E5BbD2F0F8564C5bfe65cC3dB61", "rsETH/ETH", "ETH", 1064691728347193357, 983),
    ),
    _R(
        "LBTC", "0xecAc9C5F704e954931349Da37F60E39f515c11c1", 8, 6800, 7300, 10850, 1000, BTC_CURVE,
        _S(Source.RATE, "0x7a52aEb0461Ff4De29D5849A9E9885ca4E0d62D0", "LBTC", "BTC", 1003041079211609094, 200),
    ),
    _R(
        "EURC", "0x60a3E35Cc302bFA44Cb288Bc5a4F316Fdb1adb42", 6, 7500, 7800, 10500, 1000, STABLE_CURVE,
        _S(Source.EURO, "0x8438ee84b847FA4e462d906bbdf4B11341434d13", "EURC", "EUR", 104_000_000),
    ),
    _R(
        "AAVE", "0x63706e401c06ac8513145b7687A14804d17f814b", 18, 6000, 6500, 11000, 1000, LONG_TAIL_CURVE,
        _S(Source.FEED, "0xAAEbc0287EC3BF3fe56fCA1E4bcC793b219De551", "AAVE"),
    ),
    _R(
        "tBTC", "0x236aa50979D5f3De3Bd1Eeb40E81137F22ab794b", 18, 7300, 7800, 10750, 1000, BTC_CURVE,
        _S(Source.FEED, "0x3A932b286715abc4A86a4ACAF68A6cdD89E0d446", "BTC"),
    ),
    _R(
        "syrupUSDC", "0x660975730059246A68521a3e2FBD4740173100f5", 6, 0, 0, 0, 1000, LONG_TAIL_CURVE,
        _S(
            Source.RATIO, "0x5e9eCce4aCBBc8172A40f7b8A7c086A4bb5CDeac",
            "syrupUSDC/USDC", "USDC", 1151861177118403071, 804,
        ),
    ),
)  # fmt: skip

E_MODES = (
    EModeSpec(1, "ETH correlated", 9000, 9300, 10200, 43, 1),
    EModeSpec(2, "ezETH wstETH", 9300, 9500, 10100, 128, 8),
    EModeSpec(3, "ezETH Stablecoins", 7200, 7500, 10750, 128, 16),
    EModeSpec(4, "LBTC_cbBTC", 8200, 8400, 10300, 1024, 64),
    EModeSpec(5, "rsETH/wstETH", 9300, 9500, 10100, 512, 9),
    EModeSpec(6, "rsETH/USDC", 7200, 7500, 10750, 512, 16),
    EModeSpec(7, "weETH/WETH", 9300, 9500, 10125, 32, 1),
    EModeSpec(8, "wstETH/WETH", 9300, 9500, 10100, 8, 1),
    EModeSpec(9, "cbETH/WETH", 9300, 9500, 10200, 2, 1),
    EModeSpec(10, "cbBTC Stablecoins", 8000, 8300, 10400, 64, 272),
    EModeSpec(11, "SyrupUSDC__USDC_GHO", 9000, 9200, 10400, 16384, 272),
    EModeSpec(12, "AAVE__USDC_GHO", 6900, 7300, 10800, 4096, 272),
    EModeSpec(13, "EURC__USDC_GHO", 8000, 8300, 10400, 2048, 272),
    EModeSpec(14, "LBTC__USDC_GHO", 7500, 7800, 10600, 1024, 272),
    EModeSpec(15, "tBTC__USDC_GHO", 7800, 8100, 10500, 8192, 272),
)

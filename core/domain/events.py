"""What the chain says happened, in the domain's own words: one frozen class per kind of log, ids instead of addresses.

Amounts are as the logs carry them; what they do to a market or a position is `fold`'s. A log that names something that
the decoder does not know becomes an `UnknownSubject`, and one after which the chain has to be read again says so in its
class: `ReserveListed`, `ContractReplaced`, `SourceChanged`, `UnknownSubject`.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.units import Address, Bps, Ray, ScaledAmount, TokenAmount


@dataclass(frozen=True, slots=True)
class ATokenMinted:
    """IAToken.Mint: `value` includes `balance_increase`, the interest since the user's last action."""

    reserve: int
    user: Address
    value: TokenAmount
    balance_increase: TokenAmount
    index: Ray


@dataclass(frozen=True, slots=True)
class ATokenBurned:
    """IAToken.Burn: `value` is net of `balance_increase`."""

    reserve: int
    user: Address
    value: TokenAmount
    balance_increase: TokenAmount
    index: Ray


@dataclass(frozen=True, slots=True)
class ATokenTransferred:
    """IAToken.BalanceTransfer: `scaled` is the amount that moves between the scaled balances."""

    reserve: int
    sender: Address
    recipient: Address
    scaled: ScaledAmount
    index: Ray


@dataclass(frozen=True, slots=True)
class DebtMinted:
    """IVariableDebtToken.Mint; a repayment smaller than the interest since the last action is one, too."""

    reserve: int
    user: Address
    value: TokenAmount
    balance_increase: TokenAmount
    index: Ray


@dataclass(frozen=True, slots=True)
class DebtBurned:
    """IVariableDebtToken.Burn."""

    reserve: int
    user: Address
    value: TokenAmount
    balance_increase: TokenAmount
    index: Ray


@dataclass(frozen=True, slots=True)
class CollateralSwitched:
    """ReserveUsedAsCollateralEnabled and ReserveUsedAsCollateralDisabled, the only logs about collateral flags."""

    reserve: int
    user: Address
    enabled: bool


@dataclass(frozen=True, slots=True)
class EModeEntered:
    """UserEModeSet; category 0 is none."""

    user: Address
    category: int


@dataclass(frozen=True, slots=True)
class ReserveUpdated:
    """ReserveDataUpdated: all that accrual depends on; `at` is its block's timestamp in unix seconds."""

    reserve: int
    liquidity_rate: Ray
    variable_borrow_rate: Ray
    liquidity_index: Ray
    variable_borrow_index: Ray
    at: int


@dataclass(frozen=True, slots=True)
class LiquidityMoved:
    """Supply, Withdraw, Borrow, Repay and FlashLoan: what they add to a reserve's virtual underlying balance.

    `user` is whose position the action is about, and `action` the log's name; a repayment with aTokens moves nothing,
    a flash loan that is paid back adds its premium.
    """

    reserve: int
    user: Address
    change: int
    action: str


@dataclass(frozen=True, slots=True)
class CollateralConfigured:
    """CollateralConfigurationChanged; its LTV is the one in force, 0 while the reserve is frozen."""

    reserve: int
    ltv: Bps
    liquidation_threshold: Bps
    liquidation_bonus: Bps


@dataclass(frozen=True, slots=True)
class LtvPending:
    """PendingLtvChanged: what a frozen reserve's LTV will be; no figure depends on it yet."""

    reserve: int
    ltv: Bps


@dataclass(frozen=True, slots=True)
class ReserveActiveSet:
    """ReserveActive."""

    reserve: int
    value: bool


@dataclass(frozen=True, slots=True)
class ReserveFrozenSet:
    """ReserveFrozen; the LTVs that go with it have logs of their own."""

    reserve: int
    value: bool


@dataclass(frozen=True, slots=True)
class ReservePausedSet:
    """ReservePaused."""

    reserve: int
    value: bool


@dataclass(frozen=True, slots=True)
class ProtocolFeeSet:
    """LiquidationProtocolFeeChanged."""

    reserve: int
    fee: Bps


@dataclass(frozen=True, slots=True)
class GracePeriodSet:
    """LiquidationGracePeriodChanged, `until` in unix seconds, and LiquidationGracePeriodDisabled, until 0."""

    reserve: int
    until: int


@dataclass(frozen=True, slots=True)
class EModeCategorySet:
    """EModeCategoryAdded: a new category or new parameters; an existing one keeps its bitmaps."""

    category: int
    ltv: Bps
    liquidation_threshold: Bps
    liquidation_bonus: Bps
    label: str


@dataclass(frozen=True, slots=True)
class EModeCollateralSet:
    """AssetCollateralInEModeChanged."""

    category: int
    reserve: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class EModeBorrowableSet:
    """AssetBorrowableInEModeChanged."""

    category: int
    reserve: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class EModeLtvZeroSet:
    """AssetLtvzeroInEModeChanged (since v3.6)."""

    category: int
    reserve: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class EModeIsolationSet:
    """EModeCategoryIsolationChanged (since v3.7)."""

    category: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class Liquidated:
    """LiquidationCall; the balances that it moves have logs of their own. `at` is its block's timestamp."""

    collateral: int
    debt: int
    user: Address
    debt_to_cover: TokenAmount
    collateral_seized: TokenAmount
    liquidator: Address
    receive_a_token: bool
    at: int


@dataclass(frozen=True, slots=True)
class DeficitCreated:
    """DeficitCreated: bad debt that nobody owes any more."""

    user: Address
    reserve: int
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class DeficitCovered:
    """DeficitCovered."""

    reserve: int
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class ReserveListed:
    """ReserveInitialized, and ReserveDropped of v3.6: the list of reserves is another one and has to be read again."""

    asset: Address


@dataclass(frozen=True, slots=True)
class ContractReplaced:
    """Name a proxy, or the provider, that points elsewhere now: the whole market has to be discovered again."""

    address: Address


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """AssetSourceUpdated and, with no asset, FallbackOracleUpdated: the price tree has to be walked again."""

    asset: Address | None


@dataclass(frozen=True, slots=True)
class UnknownSubject:
    """Name a token or asset of a log that is of no reserve known here: the market has to be read again."""

    address: Address


@dataclass(frozen=True, slots=True)
class AnswerUpdated:
    """AnswerUpdated of an aggregator: its round (no phase in it), and `at`, when it was recorded, in unix seconds."""

    aggregator: Address
    answer: int
    round: int
    at: int


@dataclass(frozen=True, slots=True)
class SecondaryRoundIdUpdated:
    """A DualAggregator's secondary side moved to a round, which may be stored already or come with the next log."""

    aggregator: Address
    round: int


@dataclass(frozen=True, slots=True)
class PrimaryFeedUnlocked:
    """A report that a DualAggregator had by its secondary side came by the primary one, too."""

    aggregator: Address
    round: int


@dataclass(frozen=True, slots=True)
class CutoffTimeSet:
    """A DualAggregator's cutoff, in seconds."""

    aggregator: Address
    seconds: int


@dataclass(frozen=True, slots=True)
class MaxSyncIterationsSet:
    """How many rounds a DualAggregator looks back."""

    aggregator: Address
    rounds: int


@dataclass(frozen=True, slots=True)
class CapParametersUpdated:
    """A ratio adapter's cap: the ratio at `snapshot_timestamp` (unix seconds) may grow by so many bps a year."""

    adapter: Address
    snapshot_ratio: int
    snapshot_timestamp: int
    yearly_growth: Bps


@dataclass(frozen=True, slots=True)
class PriceCapUpdated:
    """A stable coin adapter's cap."""

    adapter: Address
    cap: int


@dataclass(frozen=True, slots=True)
class PriceCapRatioUpdated:
    """A euro adapter's cap, as a share of the euro."""

    adapter: Address
    ratio: int


BalanceEvent = ATokenMinted | ATokenBurned | DebtMinted | DebtBurned
PositionEvent = BalanceEvent | ATokenTransferred | CollateralSwitched | EModeEntered
EModeBitEvent = EModeCollateralSet | EModeBorrowableSet | EModeLtvZeroSet
EModeEvent = EModeCategorySet | EModeBitEvent | EModeIsolationSet
ConfigurationEvent = (
    CollateralConfigured
    | LtvPending
    | ReserveActiveSet
    | ReserveFrozenSet
    | ReservePausedSet
    | ProtocolFeeSet
    | GracePeriodSet
)
ReserveEvent = ReserveUpdated | LiquidityMoved | ConfigurationEvent | DeficitCreated | DeficitCovered
MarketEvent = ReserveEvent | EModeEvent | Liquidated
PriceEvent = (
    AnswerUpdated
    | SecondaryRoundIdUpdated
    | PrimaryFeedUnlocked
    | CutoffTimeSet
    | MaxSyncIterationsSet
    | CapParametersUpdated
    | PriceCapUpdated
    | PriceCapRatioUpdated
)
RereadEvent = ReserveListed | ContractReplaced | SourceChanged | UnknownSubject
Event = PositionEvent | MarketEvent | PriceEvent | RereadEvent

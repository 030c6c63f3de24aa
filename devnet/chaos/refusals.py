"""Why the protocol may refuse a random action; any other reason ends the run."""

from __future__ import annotations

from devnet.activity import EXPECTED_REFUSALS

EXPECTED = EXPECTED_REFUSALS | frozenset(
    {
        "BorrowingNotEnabled",
        "CollateralCannotBeLiquidated",
        "HealthFactorNotBelowThreshold",
        "InconsistentEModeCategory",
        "InvalidFreezeState",
        "InvalidReserveParams",
        "LiquidationGraceSentinelCheckFailed",
        "MustBeEmodeCollateral",
        "MustNotLeaveDust",
        "ReserveFrozen",
        "ReserveLiquidityNotZero",
        "ReservePaused",
        "SpecifiedCurrencyNotBorrowedByUser",
        "StaleReport",
        "MaxSyncIterations",
        # A reserve that lent out what is asked for has no word for it.
        "arithmetic underflow or overflow",
    }
)

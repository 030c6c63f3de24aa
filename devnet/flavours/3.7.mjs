// Aave v3.7's rules (pool revision 11) as replacements in the installed v3.6 sources.
//
// Each entry names a file below the protocol's contracts folder, a text that must occur there exactly `times` times (once
// if not said), and what takes its place. The build stops where a text is not found. What the real v3.7 has beyond
// this: `setEModeCategory` with a sixth argument (here `setEModeCategoryIsolated` alone sets the flag), and functions that
// were taken away (dropReserve, setDebtCeiling, setSiloedBorrowing, setBorrowableInIsolation, getConfiguratorLogic), which
// are still there but without effect on anybody's figures.
const LOGIC = "protocol/libraries/logic/";
const LIQUIDATION = `${LOGIC}LiquidationLogic.sol`;
const CONFIGURATION = "protocol/libraries/configuration/ReserveConfiguration.sol";

const revision = [
  { file: "instances/PoolInstance.sol", find: "POOL_REVISION = 10;", put: "POOL_REVISION = 11;" },
  {
    file: "instances/PoolConfiguratorInstance.sol",
    find: "CONFIGURATOR_REVISION = 7;",
    put: "CONFIGURATOR_REVISION = 8;",
  },
];

const rounding = [
  {
    file: "protocol/libraries/math/PercentageMath.sol",
    find: "function percentDivCeil(",
    put: `function percentDivFloor(uint256 value, uint256 percentage) internal pure returns (uint256) {
    return (value * PERCENTAGE_FACTOR) / percentage;
  }

  function percentDivCeil(`,
  },
  {
    file: LIQUIDATION,
    find: "vars.baseCollateral.percentMul(liquidationBonus)",
    put: "vars.baseCollateral.percentMulFloor(liquidationBonus)",
  },
  {
    file: LIQUIDATION,
    find: "vars.collateralAmount.percentDiv(liquidationBonus)",
    put: "vars.collateralAmount.percentDivFloor(liquidationBonus)",
  },
  { file: LIQUIDATION, find: "vars.bonusCollateral.percentMul(", put: "vars.bonusCollateral.percentMulCeil(" },
];

// What a liquidation consumes is counted in scaled units, as burning and transferring round them.
const consumption = [
  {
    file: LIQUIDATION,
    find: "DataTypes.ReserveCache collateralReserveCache;",
    put: `DataTypes.ReserveCache collateralReserveCache;
    bool allOfReserve;
    bool allOfUser;`,
  },
  {
    file: LIQUIDATION,
    find: `if (
      vars.actualCollateralToLiquidate + vars.liquidationProtocolFeeAmount ==
      vars.borrowerCollateralBalance
    ) {`,
    put: `_weighConsumption(params.borrower, vars);
    if (vars.allOfReserve || vars.allOfUser) {`,
  },
  {
    file: LIQUIDATION,
    find: `vars.totalCollateralInBaseCurrency ==
      vars.collateralToLiquidateInBaseCurrency;`,
    put: "vars.allOfUser;",
  },
  {
    file: LIQUIDATION,
    find: "struct AvailableCollateralToLiquidateLocalVars {",
    put: `function _weighConsumption(address borrower, LiquidationCallLocalVars memory vars) internal view {
    uint256 index = vars.collateralReserveCache.nextLiquidityIndex;
    uint256 held = IAToken(vars.collateralReserveCache.aTokenAddress).scaledBalanceOf(borrower);
    uint256 gone = vars.actualCollateralToLiquidate.getATokenBurnScaledAmount(index) +
      vars.liquidationProtocolFeeAmount.getATokenTransferScaledAmount(index);
    if (gone > held) gone = held;
    uint256 base = (gone.getATokenBalance(index) * vars.collateralAssetPrice) / vars.collateralAssetUnit;
    vars.allOfReserve = gone == held;
    vars.allOfUser = base == vars.totalCollateralInBaseCurrency;
  }

  struct AvailableCollateralToLiquidateLocalVars {`,
  },
];

// Nobody asks a sequencer sentinel; isolation mode, debt ceilings and siloed borrowing read as never set.
const removals = [
  { file: "protocol/pool/Pool.sol", find: "ADDRESSES_PROVIDER.getPriceOracleSentinel()", put: "address(0)", times: 2 },
  {
    file: `${LOGIC}FlashLoanLogic.sol`,
    find: `IPoolAddressesProvider(params.addressesProvider)
              .getPriceOracleSentinel()`,
    put: "address(0)",
  },
  { file: CONFIGURATION, find: "return (self.data & DEBT_CEILING_MASK) >> DEBT_CEILING_START_BIT_POSITION;", put: "self; return 0;" },
  { file: CONFIGURATION, find: "return (self.data & SILOED_BORROWING_MASK) != 0;", put: "self; return false;" },
  { file: CONFIGURATION, find: "return (self.data & BORROWABLE_IN_ISOLATION_MASK) != 0;", put: "self; return false;" },
  {
    file: "protocol/libraries/helpers/Errors.sol",
    find: "error UserInIsolationModeOrLtvZero();",
    put: "error UserHasAssetWithZeroLtv();",
  },
  {
    file: `${LOGIC}SupplyLogic.sol`,
    find: "Errors.UserInIsolationModeOrLtvZero()",
    put: "Errors.UserHasAssetWithZeroLtv()",
  },
];

// An isolated e-mode category takes the loan-to-value of everything that is not its own collateral.
const isolation = [
  {
    file: "protocol/libraries/types/DataTypes.sol",
    find: "uint128 collateralBitmap;",
    put: `uint128 collateralBitmap;
    bool isolated;`,
  },
  {
    file: `${LOGIC}ValidationLogic.sol`,
    find: "return reserveData.configuration.getLtv();",
    put: `if (categoryId != 0 && eModeCategoryData.isolated) return 0;
    return reserveData.configuration.getLtv();`,
  },
  {
    file: "interfaces/IPool.sol",
    find: "function setUserEMode(uint8 categoryId) external;",
    put: `function setUserEMode(uint8 categoryId) external;

  function configureEModeCategoryIsolated(uint8 id, bool isolated) external;

  function getIsEModeCategoryIsolated(uint8 id) external view returns (bool);`,
  },
  {
    file: "protocol/pool/Pool.sol",
    find: "function getEModeCategoryLabel(",
    put: `function configureEModeCategoryIsolated(uint8 id, bool isolated) external virtual override onlyPoolConfigurator {
    require(id != 0, Errors.EModeCategoryReserved());
    _eModeCategories[id].isolated = isolated;
  }

  function getIsEModeCategoryIsolated(uint8 id) external view virtual override returns (bool) {
    return _eModeCategories[id].isolated;
  }

  /// @inheritdoc IPool
  function getEModeCategoryLabel(`,
  },
  {
    file: "interfaces/IPoolConfigurator.sol",
    find: "event AssetLtvzeroInEModeChanged(address indexed asset, uint8 categoryId, bool ltvzero);",
    put: `event AssetLtvzeroInEModeChanged(address indexed asset, uint8 categoryId, bool ltvzero);

  event EModeCategoryIsolationChanged(uint8 indexed categoryId, bool isolated);`,
  },
  {
    file: "protocol/pool/PoolConfigurator.sol",
    find: "function _checkAssetIsCollateral(address asset) internal view returns (bool) {",
    put: `function setEModeCategoryIsolated(uint8 categoryId, bool isolated) external onlyRiskOrPoolOrEmergencyAdmins {
    _pool.configureEModeCategoryIsolated(categoryId, isolated);
    emit EModeCategoryIsolationChanged(categoryId, isolated);
  }

  function _checkAssetIsCollateral(address asset) internal view returns (bool) {`,
  },
  {
    file: "protocol/pool/PoolConfigurator.sol",
    find: `address(0),
      label
    );`,
    put: `address(0),
      label
    );
    emit EModeCategoryIsolationChanged(categoryId, _pool.getIsEModeCategoryIsolated(categoryId));`,
  },
];

export default [...revision, ...rounding, ...consumption, ...removals, ...isolation];

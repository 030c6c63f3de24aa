// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IAnswer {
    function latestAnswer() external view returns (int256);
}

interface IRate {
    function getRate() external view returns (uint256);
}

/// What all price adapters share: 8 decimals, a description, one owner who sets the caps.
abstract contract Adapter {
    uint8 public constant decimals = 8;
    string public description;
    address public immutable owner;

    error OnlyOwner();

    modifier onlyOwner() {
        if (msg.sender != owner) revert OnlyOwner();
        _;
    }

    constructor(string memory description_, address owner_) {
        description = description_;
        owner = owner_;
    }
}

/// base price x exchange ratio, the ratio capped by a growth per second counted from a snapshot.
abstract contract RatioCap is Adapter {
    uint256 private constant YEAR = 365 days;
    uint256 private constant SCALE = 1e6;

    IAnswer public immutable BASE_TO_USD_AGGREGATOR;
    address public immutable RATIO_PROVIDER;
    uint8 public constant RATIO_DECIMALS = 18;

    uint256 public getSnapshotRatio;
    uint256 public getSnapshotTimestamp;
    uint256 public getMaxRatioGrowthPerSecondScaled;
    uint256 public getMaxYearlyGrowthRatePercent;

    event CapParametersUpdated(
        uint256 snapshotRatio,
        uint256 snapshotTimestamp,
        uint256 maxRatioGrowthPerSecond,
        uint16 maxYearlyRatioGrowthPercent
    );

    constructor(
        string memory description_,
        address owner_,
        address base,
        address ratioProvider,
        uint256 snapshotRatio,
        uint256 snapshotTimestamp,
        uint16 yearlyPercentBps
    ) Adapter(description_, owner_) {
        BASE_TO_USD_AGGREGATOR = IAnswer(base);
        RATIO_PROVIDER = ratioProvider;
        _setCap(snapshotRatio, snapshotTimestamp, yearlyPercentBps);
    }

    function setCapParameters(uint256 ratio, uint256 timestamp, uint16 yearlyPercentBps) external onlyOwner {
        _setCap(ratio, timestamp, yearlyPercentBps);
    }

    function latestAnswer() external view returns (int256) {
        int256 basePrice = BASE_TO_USD_AGGREGATOR.latestAnswer();
        int256 ratio = getRatio();
        if (basePrice <= 0 || ratio <= 0) return 0;
        int256 cap = int256(_maxRatio());
        if (ratio > cap) ratio = cap;
        return (basePrice * ratio) / int256(10 ** uint256(RATIO_DECIMALS));
    }

    function isCapped() external view returns (bool) {
        return getRatio() > int256(_maxRatio());
    }

    function getMaxRatioGrowthPerSecond() external view returns (uint256) {
        return getMaxRatioGrowthPerSecondScaled / SCALE;
    }

    function getRatio() public view virtual returns (int256);

    function _maxRatio() private view returns (uint256) {
        return
            getSnapshotRatio +
            (getMaxRatioGrowthPerSecondScaled * (block.timestamp - getSnapshotTimestamp)) /
            SCALE;
    }

    function _setCap(uint256 ratio, uint256 timestamp, uint16 yearlyPercentBps) private {
        getSnapshotRatio = ratio;
        getSnapshotTimestamp = timestamp;
        getMaxYearlyGrowthRatePercent = yearlyPercentBps;
        getMaxRatioGrowthPerSecondScaled = (ratio * yearlyPercentBps * SCALE) / 1e4 / YEAR;
        emit CapParametersUpdated(ratio, timestamp, getMaxRatioGrowthPerSecondScaled / SCALE, yearlyPercentBps);
    }
}

/// Ratio from a Chainlink feed.
contract FeedRatioAdapter is RatioCap {
    constructor(
        string memory description_,
        address owner_,
        address base,
        address ratioProvider,
        uint256 snapshotRatio,
        uint256 snapshotTimestamp,
        uint16 yearlyPercentBps
    ) RatioCap(description_, owner_, base, ratioProvider, snapshotRatio, snapshotTimestamp, yearlyPercentBps) {}

    function getRatio() public view override returns (int256) {
        return IAnswer(RATIO_PROVIDER).latestAnswer();
    }
}

/// Ratio from a contract that has getRate() and no events.
contract RateRatioAdapter is RatioCap {
    constructor(
        string memory description_,
        address owner_,
        address base,
        address ratioProvider,
        uint256 snapshotRatio,
        uint256 snapshotTimestamp,
        uint16 yearlyPercentBps
    ) RatioCap(description_, owner_, base, ratioProvider, snapshotRatio, snapshotTimestamp, yearlyPercentBps) {}

    function getRatio() public view override returns (int256) {
        return int256(IRate(RATIO_PROVIDER).getRate());
    }
}

/// A stable coin's feed, never above a fixed cap.
contract StableCapAdapter is Adapter {
    IAnswer public immutable ASSET_TO_USD_AGGREGATOR;
    int256 public getPriceCap;

    event PriceCapUpdated(int256 priceCap);

    constructor(string memory description_, address owner_, address asset, int256 cap) Adapter(description_, owner_) {
        ASSET_TO_USD_AGGREGATOR = IAnswer(asset);
        getPriceCap = cap;
        emit PriceCapUpdated(cap);
    }

    function setPriceCap(int256 cap) external onlyOwner {
        getPriceCap = cap;
        emit PriceCapUpdated(cap);
    }

    function latestAnswer() external view returns (int256) {
        int256 price = ASSET_TO_USD_AGGREGATOR.latestAnswer();
        if (price <= 0) return 0;
        return price < getPriceCap ? price : getPriceCap;
    }

    function isCapped() external view returns (bool) {
        return ASSET_TO_USD_AGGREGATOR.latestAnswer() > getPriceCap;
    }
}

/// A euro coin's feed, never above a share of the plain EUR/USD feed.
contract EurCapAdapter is Adapter {
    IAnswer public immutable ASSET_TO_USD_AGGREGATOR;
    IAnswer public immutable BASE_TO_USD_AGGREGATOR;
    uint8 public constant RATIO_DECIMALS = 8;
    int256 public getPriceCapRatio;

    event PriceCapRatioUpdated(int256 priceCapRatio);

    constructor(
        string memory description_,
        address owner_,
        address asset,
        address base,
        int256 capRatio
    ) Adapter(description_, owner_) {
        ASSET_TO_USD_AGGREGATOR = IAnswer(asset);
        BASE_TO_USD_AGGREGATOR = IAnswer(base);
        getPriceCapRatio = capRatio;
        emit PriceCapRatioUpdated(capRatio);
    }

    function setPriceCapRatio(int256 capRatio) external onlyOwner {
        getPriceCapRatio = capRatio;
        emit PriceCapRatioUpdated(capRatio);
    }

    function latestAnswer() external view returns (int256) {
        int256 price = ASSET_TO_USD_AGGREGATOR.latestAnswer();
        int256 base = BASE_TO_USD_AGGREGATOR.latestAnswer();
        if (price <= 0 || base <= 0) return 0;
        int256 cap = (base * getPriceCapRatio) / int256(10 ** uint256(RATIO_DECIMALS));
        return price < cap ? price : cap;
    }
}

/// One dollar, always (GHO's kind).
contract FixedAdapter {
    uint8 public constant decimals = 8;
    int256 public constant latestAnswer = 1e8;
    string public constant description = "ONE USD";
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A feed with two routes, by Chainlink's "DualAggregator 1.0.0" rules: who reads through the secondary proxy sees a
/// report of the secondary route at once, and one of the primary route only when it is older than the cutoff.
///
/// Events, reading and the storage slots that a bot may look at (13: state, 17: transmissions, 18: cutoff and search
/// depth) are the original's. Ours: whoever is the transmitter is believed, a report is one answer instead of many signed
/// observations, and the constructor stores a first answer that both kinds of readers see.
contract DualAggregator {
    struct Transmission {
        int192 answer;
        uint32 observationsTimestamp;
        uint32 recordedTimestamp;
    }

    uint256 public constant version = 6;
    string public constant typeAndVersion = "DualAggregator 1.0.0";
    uint8 public immutable decimals;
    address public immutable transmitter;
    address private immutable _secondaryProxy;

    uint256[13] private _slots0To12;
    /// From the low byte: f, epoch and round, last round, last secondary round, billing (unused), latest is secondary.
    uint256 private _hotVars;
    uint256[3] private _slots14To16;
    mapping(uint32 round => Transmission) private _transmissions;
    uint32 private _cutoffTime;
    uint32 private _maxSyncIterations;
    string public description;

    event SecondaryRoundIdUpdated(uint32 indexed secondaryRoundId);
    event PrimaryFeedUnlocked(uint32 indexed primaryRoundId);
    event CutoffTimeSet(uint32 cutoffTime);
    event MaxSyncIterationsSet(uint32 maxSyncIterations);
    event NewTransmission(
        uint32 indexed aggregatorRoundId,
        int192 answer,
        address transmitter,
        uint32 observationsTimestamp,
        int192[] observations,
        bytes observers,
        int192 juelsPerFeeCoin,
        bytes32 configDigest,
        uint40 epochAndRound
    );
    event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt);
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    error UnauthorizedTransmitter();
    error StaleReport();
    error MaxSyncIterations();

    modifier onlyTransmitter() {
        if (msg.sender != transmitter) revert UnauthorizedTransmitter();
        _;
    }

    constructor(
        uint8 decimals_,
        string memory description_,
        address transmitter_,
        address secondaryProxy_,
        uint32 cutoffTime_,
        uint32 maxSyncIterations_,
        int192 answer
    ) {
        decimals = decimals_;
        description = description_;
        transmitter = transmitter_;
        _secondaryProxy = secondaryProxy_;
        _setCutoffTime(cutoffTime_);
        _setMaxSyncIterations(maxSyncIterations_);
        _store(answer, uint32(block.timestamp), 1, true);
        _setLatestIsSecondary(false);
    }

    /// A report by the primary route: the next epoch's, observed now.
    function transmit(int192 answer) external onlyTransmitter {
        _transmit(answer, uint32(block.timestamp), _epoch() + 1, false);
    }

    /// A report by the secondary route: the next epoch's, observed now.
    function transmitSecondary(int192 answer) external onlyTransmitter {
        _transmit(answer, uint32(block.timestamp), _epoch() + 1, true);
    }

    /// A certain report by either route, as the original takes it.
    function transmitReport(
        int192 answer,
        uint32 observationsTimestamp,
        uint40 epochAndRound,
        bool secondary
    ) external onlyTransmitter {
        _transmit(answer, observationsTimestamp, epochAndRound, secondary);
    }

    function setCutoffTime(uint32 seconds_) external onlyTransmitter {
        _setCutoffTime(seconds_);
    }

    function setMaxSyncIterations(uint32 iterations) external onlyTransmitter {
        _setMaxSyncIterations(iterations);
    }

    function latestAnswer() external view returns (int256) {
        return _transmissions[_visibleRound()].answer;
    }

    function latestTimestamp() external view returns (uint256) {
        return _transmissions[_visibleRound()].recordedTimestamp;
    }

    function latestRound() external view returns (uint256) {
        return _visibleRound();
    }

    function getAnswer(uint256 roundId) external view returns (int256) {
        return roundId > _visibleRound() ? int256(0) : _transmissions[uint32(roundId)].answer;
    }

    function getTimestamp(uint256 roundId) external view returns (uint256) {
        return roundId > _visibleRound() ? 0 : _transmissions[uint32(roundId)].recordedTimestamp;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(_visibleRound());
    }

    function getRoundData(uint80 roundId) public view returns (uint80, int256, uint256, uint256, uint80) {
        if (roundId > _visibleRound()) return (0, 0, 0, 0, 0);
        Transmission memory sent = _transmissions[uint32(roundId)];
        return (roundId, sent.answer, sent.observationsTimestamp, sent.recordedTimestamp, roundId);
    }

    /// The newest round that the caller may see in this second.
    function _visibleRound() private view returns (uint32) {
        uint32 latest = _latest();
        uint32 secondary = _secondary();
        if (msg.sender == _secondaryProxy) {
            return _matured(secondary) ? _searchPrimary(latest, secondary) : secondary;
        }
        bool hidden = latest == secondary && _latestIsSecondary();
        return hidden && _transmissions[latest].recordedTimestamp == block.timestamp ? latest - 1 : latest;
    }

    function _searchPrimary(uint32 latest, uint32 secondary) private view returns (uint32) {
        for (uint32 round = latest; round > 0 && latest - round != _maxSyncIterations; --round) {
            if (round == secondary || _matured(round)) return round;
        }
        return secondary;
    }

    function _matured(uint32 round) private view returns (bool) {
        return _transmissions[round].recordedTimestamp + _cutoffTime < block.timestamp;
    }

    function _transmit(int192 answer, uint32 observedAt, uint40 epoch, bool secondary) private {
        if (secondary) {
            uint32 known = _find(answer, observedAt);
            if (known != 0) {
                if (_secondary() >= known) revert StaleReport();
                _setSecondary(known);
                emit SecondaryRoundIdUpdated(known);
                return;
            }
        }
        if (epoch != _epoch() || !_latestIsSecondary()) {
            if (epoch <= _epoch()) revert StaleReport();
            _store(answer, observedAt, epoch, secondary);
        } else {
            emit PrimaryFeedUnlocked(_latest());
        }
        _setLatestIsSecondary(secondary);
    }

    /// The round that already holds a report, or 0.
    function _find(int192 answer, uint32 observedAt) private view returns (uint32) {
        uint32 latest = _latest();
        for (uint32 round = latest; round > 0; --round) {
            if (latest - round == _maxSyncIterations) revert MaxSyncIterations();
            Transmission memory sent = _transmissions[round];
            if (sent.observationsTimestamp < observedAt) return 0;
            if (sent.observationsTimestamp == observedAt && sent.answer == answer) return round;
        }
        return 0;
    }

    function _store(int192 answer, uint32 observedAt, uint40 epoch, bool secondary) private {
        uint32 round = _latest() + 1;
        _set(8, type(uint40).max, epoch);
        _set(48, type(uint32).max, round);
        _transmissions[round] = Transmission(answer, observedAt, uint32(block.timestamp));
        if (secondary) {
            _setSecondary(round);
            emit SecondaryRoundIdUpdated(round);
        }
        int192[] memory observations = new int192[](1);
        observations[0] = answer;
        emit NewTransmission(round, answer, msg.sender, observedAt, observations, hex"00", 0, bytes32(uint256(1)), epoch);
        emit NewRound(round, address(0), observedAt);
        emit AnswerUpdated(answer, round, block.timestamp);
    }

    function _setCutoffTime(uint32 seconds_) private {
        _cutoffTime = seconds_;
        emit CutoffTimeSet(seconds_);
    }

    function _setMaxSyncIterations(uint32 iterations) private {
        _maxSyncIterations = iterations;
        emit MaxSyncIterationsSet(iterations);
    }

    function _epoch() private view returns (uint40) {
        return uint40(_hotVars >> 8);
    }

    function _latest() private view returns (uint32) {
        return uint32(_hotVars >> 48);
    }

    function _secondary() private view returns (uint32) {
        return uint32(_hotVars >> 80);
    }

    function _latestIsSecondary() private view returns (bool) {
        return uint8(_hotVars >> 240) != 0;
    }

    function _setSecondary(uint32 round) private {
        _set(80, type(uint32).max, round);
    }

    function _setLatestIsSecondary(bool secondary) private {
        _set(240, type(uint8).max, secondary ? 1 : 0);
    }

    function _set(uint256 shift, uint256 mask, uint256 value) private {
        _hotVars = (_hotVars & ~(mask << shift)) | (value << shift);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// The emitting half of a Chainlink feed, OCR2 shape: one transmitter, one answer a round, three events.
contract Ocr2Aggregator {
    struct Transmission {
        int192 answer;
        uint64 timestamp;
    }

    uint8 public immutable decimals;
    string public description;
    address public immutable transmitter;
    uint256 public constant version = 4;
    string public constant typeAndVersion = "LocalOcr2Aggregator 1.0.0";

    uint32 private _round;
    mapping(uint256 => Transmission) private _transmissions;

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

    error OnlyTransmitter();

    constructor(uint8 decimals_, string memory description_, address transmitter_, int192 answer) {
        decimals = decimals_;
        description = description_;
        transmitter = transmitter_;
        _store(answer);
    }

    function transmit(int192 answer) external {
        if (msg.sender != transmitter) revert OnlyTransmitter();
        _store(answer);
    }

    function latestAnswer() external view returns (int256) {
        return _transmissions[_round].answer;
    }

    function latestTimestamp() external view returns (uint256) {
        return _transmissions[_round].timestamp;
    }

    function latestRound() external view returns (uint256) {
        return _round;
    }

    function getAnswer(uint256 roundId) external view returns (int256) {
        return _transmissions[roundId].answer;
    }

    function getTimestamp(uint256 roundId) external view returns (uint256) {
        return _transmissions[roundId].timestamp;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(_round);
    }

    function getRoundData(uint80 roundId) public view returns (uint80, int256, uint256, uint256, uint80) {
        Transmission memory sent = _transmissions[roundId];
        require(sent.timestamp != 0, "No data present");
        return (roundId, sent.answer, sent.timestamp, sent.timestamp, roundId);
    }

    function _store(int192 answer) private {
        uint32 round = ++_round;
        _transmissions[round] = Transmission(answer, uint64(block.timestamp));
        int192[] memory observations = new int192[](1);
        observations[0] = answer;
        emit NewTransmission(
            round,
            answer,
            msg.sender,
            uint32(block.timestamp),
            observations,
            hex"00",
            0,
            bytes32(uint256(1)),
            uint40(round) << 8
        );
        emit NewRound(round, msg.sender, block.timestamp);
        emit AnswerUpdated(answer, round, block.timestamp);
    }
}

/// A rate without a feed (LBTC's kind): it changes with no event, so a mirror has to poll it.
contract RateProvider {
    uint256 public getRate;
    address public immutable owner;

    error OnlyOwner();

    constructor(address owner_, uint256 rate) {
        owner = owner_;
        getRate = rate;
    }

    function setRate(uint256 rate) external {
        if (msg.sender != owner) revert OnlyOwner();
        getRate = rate;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {L2Pool} from "@aave-dao/aave-v3-origin/src/contracts/protocol/pool/L2Pool.sol";
import {Pool} from "@aave-dao/aave-v3-origin/src/contracts/protocol/pool/Pool.sol";
import {IPoolAddressesProvider} from "@aave-dao/aave-v3-origin/src/contracts/interfaces/IPoolAddressesProvider.sol";
import {IReserveInterestRateStrategy} from "@aave-dao/aave-v3-origin/src/contracts/interfaces/IReserveInterestRateStrategy.sol";

/// The installed pool under a revision number that nobody knows yet: what a bot meets on upgrade day.
contract FuturePoolInstance is L2Pool {
    uint256 public constant POOL_REVISION = 99;

    constructor(
        IPoolAddressesProvider provider,
        IReserveInterestRateStrategy strategy
    ) Pool(provider, strategy) {}

    function initialize(IPoolAddressesProvider) external override initializer {}

    function getRevision() internal pure override returns (uint256) {
        return POOL_REVISION;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IMintableToken {
    function mint(address to, uint256 value) external;

    function approve(address spender, uint256 value) external returns (bool);
}

/// Takes whatever it is lent, and pays it back with a premium that it mints.
contract FlashBorrower {
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address,
        bytes calldata
    ) external returns (bool) {
        IMintableToken(asset).mint(address(this), premium);
        IMintableToken(asset).approve(msg.sender, amount + premium);
        return true;
    }
}

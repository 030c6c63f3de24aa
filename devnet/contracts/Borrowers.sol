// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IPoolActions {
    function supply(address asset, uint256 amount, address onBehalfOf, uint16 referral) external;

    function borrow(address asset, uint256 amount, uint256 mode, uint16 referral, address onBehalfOf) external;

    function setUserEMode(uint8 category) external;

    function setUserUseReserveAsCollateral(address asset, bool use) external;
}

interface IMintable {
    function mint(address to, uint256 value) external;

    function approve(address spender, uint256 value) external returns (bool);
}

struct Leg {
    address asset;
    uint256 amount;
}

struct Plan {
    bytes32 salt;
    uint8 eMode;
    Leg[] collaterals;
    address[] enable;
    Leg[] debts;
}

/// An account that takes its e-mode and its loans in its constructor and leaves no code behind, like a wallet.
contract Borrower {
    constructor(IPoolActions pool, uint8 eMode, address[] memory enable, Leg[] memory debts) {
        if (eMode != 0) pool.setUserEMode(eMode);
        for (uint256 i = 0; i < enable.length; i++) pool.setUserUseReserveAsCollateral(enable[i], true);
        for (uint256 i = 0; i < debts.length; i++) pool.borrow(debts[i].asset, debts[i].amount, 2, 0, address(this));
        assembly {
            return(0, 0)
        }
    }
}

/// Opens many positions in one transaction through the pool's own functions: it supplies on behalf of an address
/// that does not exist yet, then creates that address, whose constructor borrows.
contract BorrowerFactory {
    IPoolActions private immutable _pool;

    event Opened(address indexed user);

    error WrongAddress();

    constructor(IPoolActions pool) {
        _pool = pool;
    }

    /// Mints each asset to this contract and lets the pool take it.
    function prepare(address[] calldata assets) external {
        for (uint256 i = 0; i < assets.length; i++) {
            IMintable(assets[i]).mint(address(this), 1e36);
            IMintable(assets[i]).approve(address(_pool), type(uint256).max);
        }
    }

    function supplyFor(address[] calldata users, Leg[] calldata legs) external {
        for (uint256 i = 0; i < users.length; i++) _pool.supply(legs[i].asset, legs[i].amount, users[i], 0);
    }

    function create(Plan[] calldata plans) external {
        for (uint256 i = 0; i < plans.length; i++) _create(plans[i]);
    }

    function _create(Plan calldata plan) private {
        bytes memory code = abi.encodePacked(
            type(Borrower).creationCode,
            abi.encode(_pool, plan.eMode, plan.enable, plan.debts)
        );
        address user = address(
            uint160(uint256(keccak256(abi.encodePacked(hex"ff", address(this), plan.salt, keccak256(code)))))
        );
        for (uint256 i = 0; i < plan.collaterals.length; i++) {
            _pool.supply(plan.collaterals[i].asset, plan.collaterals[i].amount, user, 0);
        }
        if (address(new Borrower{salt: plan.salt}(_pool, plan.eMode, plan.enable, plan.debts)) != user) {
            revert WrongAddress();
        }
        emit Opened(user);
    }
}

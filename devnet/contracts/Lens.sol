// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IAccounts {
    function getUserAccountData(
        address user
    ) external view returns (uint256, uint256, uint256, uint256, uint256, uint256);
}

interface IUserReserves {
    function getUserReserveData(
        address asset,
        address user
    ) external view returns (uint256, uint256, uint256, uint256, uint256, uint256, uint256, uint40, bool);
}

/// Reads many accounts in one eth_call. It computes nothing: each figure is the pool's own.
contract Lens {
    /// The six figures of every user, in the pool's order.
    function accounts(address pool, address[] calldata users) external view returns (uint256[6][] memory data) {
        data = new uint256[6][](users.length);
        for (uint256 i = 0; i < users.length; i++) {
            (data[i][0], data[i][1], data[i][2], data[i][3], data[i][4], data[i][5]) = IAccounts(pool)
                .getUserAccountData(users[i]);
        }
    }

    /// Total debt (base currency) and health factor of every user, two words each.
    function health(address pool, address[] calldata users) external view returns (uint256[2][] memory data) {
        data = new uint256[2][](users.length);
        for (uint256 i = 0; i < users.length; i++) {
            (, data[i][0], , , , data[i][1]) = IAccounts(pool).getUserAccountData(users[i]);
        }
    }

    /// aToken balance, variable debt and collateral flag of one user in each asset.
    function position(
        address dataProvider,
        address user,
        address[] calldata assets
    ) external view returns (uint256[3][] memory data) {
        data = new uint256[3][](assets.length);
        for (uint256 i = 0; i < assets.length; i++) {
            (uint256 held, , uint256 owed, , , , , , bool enabled) = IUserReserves(dataProvider).getUserReserveData(
                assets[i],
                user
            );
            data[i] = [held, owed, enabled ? uint256(1) : 0];
        }
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IUniswapPool {
    function token0() external view returns (address);

    function token1() external view returns (address);

    function initialize(uint160 sqrtPriceX96) external;

    function mint(address to, int24 lower, int24 upper, uint128 liquidity, bytes calldata data) external;

    function swap(address to, bool zeroForOne, int256 amount, uint160 limit, bytes calldata data) external;

    function slot0() external view returns (uint160, int24, uint16, uint16, uint16, uint8, bool);
}

interface IFactory {
    function getPool(address a, address b, uint24 fee) external view returns (address);

    function createPool(address a, address b, uint24 fee) external returns (address);
}

interface IToken {
    function mint(address to, uint256 value) external;
}

/// Opens Uniswap V3 pools and keeps them at a given price by trading against them, with minted money.
contract Arbitrageur {
    IFactory private immutable _factory;

    error UnknownPool();

    constructor(address factory) {
        _factory = IFactory(factory);
    }

    function open(
        address[2] calldata pair,
        uint24 fee,
        uint160 sqrtPriceX96,
        int24[2] calldata range,
        uint128 liquidity
    ) external returns (address pool) {
        pool = _factory.createPool(pair[0], pair[1], fee);
        IUniswapPool(pool).initialize(sqrtPriceX96);
        IUniswapPool(pool).mint(address(this), range[0], range[1], liquidity, abi.encode(pair[0], pair[1], fee));
    }

    function align(address[2][] calldata pairs, uint24[] calldata fees, uint160[] calldata targets) external {
        for (uint256 i = 0; i < pairs.length; i++) {
            address pool = _factory.getPool(pairs[i][0], pairs[i][1], fees[i]);
            (uint160 current, , , , , , ) = IUniswapPool(pool).slot0();
            if (current == targets[i]) continue;
            bytes memory data = abi.encode(pairs[i][0], pairs[i][1], fees[i]);
            IUniswapPool(pool).swap(address(this), targets[i] < current, type(int128).max, targets[i], data);
        }
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata data) external {
        _pay(int256(owed0), int256(owed1), data);
    }

    function uniswapV3SwapCallback(int256 delta0, int256 delta1, bytes calldata data) external {
        _pay(delta0, delta1, data);
    }

    function _pay(int256 owed0, int256 owed1, bytes calldata data) private {
        (address a, address b, uint24 fee) = abi.decode(data, (address, address, uint24));
        if (msg.sender != _factory.getPool(a, b, fee)) revert UnknownPool();
        if (owed0 > 0) IToken(IUniswapPool(msg.sender).token0()).mint(msg.sender, uint256(owed0));
        if (owed1 > 0) IToken(IUniswapPool(msg.sender).token1()).mint(msg.sender, uint256(owed1));
    }
}

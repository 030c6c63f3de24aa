"""Reads the market and its accounts with web3.py's own contracts: a reader that shares no code with the worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from core.domain.market import EModeCategory, Market, Reserve, Revision
from core.domain.position import Position, collateral_flags, holdings
from core.domain.units import Address, BaseUsd, Bps, Ray, TokenAmount
from devnet.chain import Chain

PER_REQUEST = 1_000
Call = tuple[str, str]
"""A contract and the data to call it with, in hex."""


_OF_ORACLE = ("getSourceOfAsset", "getAssetPrice")
_OF_RESERVE = (
    "getReserveData",
    "getVirtualUnderlyingBalance",
    "getReserveDeficit",
    "getLiquidationGracePeriod",
    *_OF_ORACLE,
)
_OF_E_MODE = (
    "getEModeCategoryCollateralConfig",
    "getEModeCategoryCollateralBitmap",
    "getEModeCategoryBorrowableBitmap",
    "getEModeCategoryLtvzeroBitmap",
)


class SecondOpinion:
    """Read one chain's pool, oracle and tokens at the latest block."""

    def __init__(self, chain: Chain) -> None:
        self._provider = Web3.HTTPProvider(chain.http_url)
        self.web3 = Web3(self._provider)
        self.pool = self._contract(chain.pool, chain.artifacts["L2PoolInstance"].abi)
        self._oracle = self._contract(chain.oracle, chain.artifacts["AaveOracle"].abi)
        self._contracts: dict[Address, Contract] = {}
        self._token_abi = chain.artifacts["ATokenInstance"].abi
        reserves = sorted(chain.reserves.values(), key=lambda one: one.id)
        self._tokens = [self.token(address) for one in reserves for address in (one.a_token, one.debt_token)]
        self._encoded: dict[tuple[str, str], str] = {}
        self._symbols = {one.asset: one.symbol for one in chain.reserves.values()}

    def timestamp(self, block: int | None = None) -> int:
        """Return a block's timestamp; the latest one's by default."""
        return int(self.web3.eth.get_block("latest" if block is None else block)["timestamp"])

    def market(self) -> Market:
        """Read everything that figures depend on, apart from the accounts and the categories' labels."""
        read = self.pool.functions
        head = self.web3.eth.get_block("latest")
        market = Market(
            revision=Revision.of(read.POOL_REVISION().call()), block=head["number"], timestamp=head["timestamp"]
        )
        assets = [Address(asset.lower()) for asset in read.getReservesList().call()]
        for asset, words in zip(assets, self._each(_OF_RESERVE, assets), strict=True):
            reserve, price = _reserve(asset, self._symbols[asset], words)
            market.set_reserve(reserve)
            market.set_price(reserve.id, price)
        categories = range(1, 16)
        for category, words in zip(categories, self._each(_OF_E_MODE, categories), strict=True):
            market.set_e_mode(_e_mode(category, words))
        return market

    def positions(self, users: Sequence[Address]) -> list[Position]:
        """Read each user's flags, e-mode, and scaled balance in every token of every reserve."""
        calls: list[Call] = []
        for user in users:
            calls += [self.call(self.pool, "getUserConfiguration", user), self.call(self.pool, "getUserEMode", user)]
            calls += [self.call(token, "scaledBalanceOf", user) for token in self._tokens]
        words = [values[0] for values in self.words(calls)]
        width = 2 + len(self._tokens)
        return [_position(user, words[at * width : (at + 1) * width]) for at, user in enumerate(users)]

    def figures(self, users: Sequence[Address]) -> list[tuple[int, ...]]:
        """Read getUserAccountData of each user."""
        return self.words([self.call(self.pool, "getUserAccountData", user) for user in users])

    def words(self, calls: Sequence[Call]) -> list[tuple[int, ...]]:
        """Make calls in batches at the latest block and return each one's answer, cut into numbers."""
        answers: list[tuple[int, ...]] = []
        for start in range(0, len(calls), PER_REQUEST):
            batch = [
                (RPCEndpoint("eth_call"), [{"to": to, "data": data}, "latest"])
                for to, data in calls[start : start + PER_REQUEST]
            ]
            replies = self._provider.make_batch_request(batch)
            assert isinstance(replies, list), replies
            answers += [_words(reply["result"]) for reply in replies]
        return answers

    def call(self, contract: Contract, name: str, argument: Address | int) -> Call:
        """Return a call for `words` of a function that takes one address or number."""
        key = (contract.address, name)
        if key not in self._encoded:
            first = Web3.to_checksum_address(argument) if isinstance(argument, str) else argument
            self._encoded[key] = contract.encode_abi(name, [first])[:-64]
        word = int(argument, 16) if isinstance(argument, str) else argument
        return contract.address, f"{self._encoded[key]}{word:064x}"

    def token(self, address: Address) -> Contract:
        """Return a token's contract: an aToken's, a debt token's or, for its balances, any ERC-20's."""
        if address not in self._contracts:
            self._contracts[address] = self._contract(address, self._token_abi)
        return self._contracts[address]

    def events(self, name: str, receipt: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the arguments of the pool's events of that name in a receipt, in the order of the logs."""
        topic = self.web3.keccak(text=self.pool.events[name]().signature).hex()
        logs = [log for log in self._logs(receipt) if log["topics"][0].hex() == topic]
        return [dict(self.pool.events[name]().process_log(log)["args"]) for log in logs]

    def _logs(self, receipt: dict[str, Any]) -> list[Any]:
        return list(self.web3.eth.get_transaction_receipt(receipt["transactionHash"])["logs"])

    def _contract(self, address: Address, abi: list[Any]) -> Contract:
        return self.web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi)

    def _each(self, names: Sequence[str], arguments: Sequence[Address] | range) -> list[tuple[int, ...]]:
        """Ask the pool, or the oracle, the same questions of each argument; return all answers' words in a row."""
        calls = []
        for argument in arguments:
            for name in names:
                contract = self._oracle if name in _OF_ORACLE else self.pool
                calls.append(self.call(contract, name, argument))
        answers = self.words(calls)
        width = len(names)
        return [sum(answers[at : at + width], ()) for at in range(0, len(answers), width)]


def _reserve(asset: Address, symbol: str, words: Sequence[int]) -> tuple[Reserve, BaseUsd]:
    configuration, income, income_rate, debt, debt_rate, _, updated, reserve_id, a_token, _, v_token = words[:11]
    virtual, deficit, grace, source, price = words[15:]
    reserve = Reserve(
        id=reserve_id,
        asset=asset,
        symbol=symbol,
        a_token=_address(a_token),
        variable_debt_token=_address(v_token),
        price_source=_address(source),
        liquidity_index=Ray(income),
        liquidity_rate=Ray(income_rate),
        variable_borrow_index=Ray(debt),
        variable_borrow_rate=Ray(debt_rate),
        last_update=updated,
        virtual_underlying_balance=TokenAmount(virtual),
        deficit=TokenAmount(deficit),
        grace_period_until=grace,
    )
    return reserve.with_configuration(configuration), BaseUsd(price)


def _e_mode(category: int, words: Sequence[int]) -> EModeCategory:
    ltv, threshold, bonus, collateral, borrowable, ltvzero = words
    return EModeCategory(
        id=category,
        ltv=Bps(ltv),
        liquidation_threshold=Bps(threshold),
        liquidation_bonus=Bps(bonus),
        collateral_bitmap=collateral,
        borrowable_bitmap=borrowable,
        ltvzero_bitmap=ltvzero,
    )


def _address(word: int) -> Address:
    return Address(f"0x{word:040x}")


def _position(user: Address, words: Sequence[int]) -> Position:
    configuration, e_mode, *balances = words
    collateral = dict(enumerate(balances[0::2]))
    debt = dict(enumerate(balances[1::2]))
    return Position(user, e_mode, holdings(collateral), holdings(debt), collateral_flags(configuration))


def _words(data: str) -> tuple[int, ...]:
    return tuple(int(data[at : at + 64], 16) for at in range(2, len(data), 64))

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
        """Read everything that figures depend on, apart from the accounts."""
        read = self.pool.functions
        head = self.web3.eth.get_block("latest")
        market = Market(
            revision=Revision.of(read.POOL_REVISION().call()), block=head["number"], timestamp=head["timestamp"]
        )
        assets = read.getReservesList().call()
        for asset, price in zip(assets, self._oracle.functions.getAssetsPrices(assets).call(), strict=True):
            reserve = self._reserve(asset)
            market.set_reserve(reserve)
            market.set_price(reserve.id, BaseUsd(price))
        for category in range(1, 16):
            market.set_e_mode(self._e_mode(category))
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

    def call(self, contract: Contract, name: str, user: Address) -> Call:
        """Return a call for `words` of a function that takes one address."""
        key = (contract.address, name)
        if key not in self._encoded:
            self._encoded[key] = contract.encode_abi(name, [Web3.to_checksum_address(user)])[:-40]
        return contract.address, self._encoded[key] + user[2:]

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

    def _reserve(self, asset: str) -> Reserve:
        read = self.pool.functions
        data = read.getReserveData(asset).call()
        configuration, income, income_rate, debt, debt_rate, _, updated, reserve_id, a_token, _, v_token, *_ = data
        return Reserve(
            id=reserve_id,
            asset=Address(asset.lower()),
            symbol=self._symbols[Address(asset.lower())],
            a_token=Address(a_token.lower()),
            variable_debt_token=Address(v_token.lower()),
            price_source=Address(self._oracle.functions.getSourceOfAsset(asset).call().lower()),
            liquidity_index=Ray(income),
            liquidity_rate=Ray(income_rate),
            variable_borrow_index=Ray(debt),
            variable_borrow_rate=Ray(debt_rate),
            last_update=updated,
            virtual_underlying_balance=TokenAmount(read.getVirtualUnderlyingBalance(asset).call()),
            deficit=TokenAmount(read.getReserveDeficit(asset).call()),
            grace_period_until=read.getLiquidationGracePeriod(asset).call(),
        ).with_configuration(configuration[0])

    def _e_mode(self, category: int) -> EModeCategory:
        read = self.pool.functions
        ltv, threshold, bonus = read.getEModeCategoryCollateralConfig(category).call()
        return EModeCategory(
            id=category,
            label=read.getEModeCategoryLabel(category).call(),
            ltv=Bps(ltv),
            liquidation_threshold=Bps(threshold),
            liquidation_bonus=Bps(bonus),
            collateral_bitmap=read.getEModeCategoryCollateralBitmap(category).call(),
            borrowable_bitmap=read.getEModeCategoryBorrowableBitmap(category).call(),
            ltvzero_bitmap=read.getEModeCategoryLtvzeroBitmap(category).call(),
        )


def _position(user: Address, words: Sequence[int]) -> Position:
    configuration, e_mode, *balances = words
    collateral = dict(enumerate(balances[0::2]))
    debt = dict(enumerate(balances[1::2]))
    return Position(user, e_mode, holdings(collateral), holdings(debt), collateral_flags(configuration))


def _words(data: str) -> tuple[int, ...]:
    return tuple(int(data[at : at + 64], 16) for at in range(2, len(data), 64))

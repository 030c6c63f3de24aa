"""Scaled balances followed through the tokens' own events equal what the tokens store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from core.domain.position import atoken_after_burn, atoken_after_mint, vtoken_after_burn, vtoken_after_mint
from core.domain.units import Address
from devnet import addresses as at
from devnet.chain import Chain
from tests.golden.second_opinion import SecondOpinion

ETHER = 10**18
DAY = 86_400
EVENTS = (
    "Mint(address,address,uint256,uint256,uint256)",
    "Burn(address,address,uint256,uint256,uint256)",
    "BalanceTransfer(address,address,uint256,uint256)",
)
Rule = Callable[[int, int, int, int], int]
A_TOKEN: dict[str, Rule] = {"Mint": atoken_after_mint, "Burn": atoken_after_burn}
DEBT_TOKEN: dict[str, Rule] = {"Mint": vtoken_after_mint, "Burn": vtoken_after_burn}


class Ledger:
    """Follow every token's scaled balances from a block on, by events alone."""

    def __init__(self, chain: Chain) -> None:
        self.opinion = SecondOpinion(chain)
        self.rules = {one.a_token: A_TOKEN for one in chain.reserves.values()}
        self.rules |= {one.debt_token: DEBT_TOKEN for one in chain.reserves.values()}
        self.start = self.opinion.web3.eth.block_number
        self.before: dict[tuple[Address, Address], int] = {}
        self.seen: Counter[str] = Counter()

    def remember(self, users: list[Address]) -> None:
        keys = [(token, user) for token in self.rules for user in users]
        self.before = dict(zip(keys, self.stored(keys), strict=True))

    def stored(self, keys: list[tuple[Address, Address]]) -> list[int]:
        calls = [self.opinion.call(self.opinion.token(token), "scaledBalanceOf", user) for token, user in keys]
        return [words[0] for words in self.opinion.words(calls)]

    def follow(self) -> dict[tuple[Address, Address], int]:
        balances = dict(self.before)
        web3 = self.opinion.web3
        addresses = [web3.to_checksum_address(token) for token in self.rules]
        names = {web3.keccak(text=signature): signature.partition("(")[0] for signature in EVENTS}
        for log in web3.eth.get_logs({"fromBlock": self.start + 1, "address": addresses}):
            if log["topics"][0] in names:
                self._apply(balances, names[log["topics"][0]], log)
        return balances

    def _apply(self, balances: dict[tuple[Address, Address], int], name: str, log: Any) -> None:
        token = Address(log["address"].lower())
        event = self.opinion.token(token).events[name]().process_log(log)["args"]
        self.seen[name] += 1
        if name == "BalanceTransfer":
            for side, sign in (("from", -1), ("to", 1)):
                key = (token, Address(event[side].lower()))
                balances[key] = balances.get(key, 0) + sign * event["value"]
        else:
            key = (token, Address(event["onBehalfOf" if name == "Mint" else "from"].lower()))
            rule = self.rules[token][name]
            balances[key] = rule(balances.get(key, 0), event["value"], event["balanceIncrease"], event["index"])


async def test_events_give_the_scaled_balances(fresh_market: Chain) -> None:
    chain, (ann, ben, cid, dan, *rest) = fresh_market, fresh_market.borrowers
    await chain.increase_time(40 * DAY)
    ledger = Ledger(chain)
    ledger.remember([*chain.borrowers, *chain.suppliers, at.RIVAL, at.COLLECTOR])
    await chain.supply(ann, "WETH", 3 * ETHER + 1)
    await chain.borrow(ann, "USDC", 1_000_000_001)
    await chain.increase_time(10 * DAY)
    await chain.repay(ann, "USDC", 17)
    await chain.supply(ben, "WETH", 1_234_567_890_123_456_789)
    await chain.transfer_a_token(ben, "WETH", cid, 1_234_567_890_123_456_789 // 7)
    await chain.withdraw(cid, "WETH", 12_345)
    await chain.increase_time(DAY)
    await chain.repay(ann, "USDC")
    await chain.withdraw(ben, "WETH", ETHER)
    await chain.supply(dan, "AAVE", 7)
    await chain.set_price("ETH", factor="0.5")
    await chain.set_price("BTC", factor="0.5")
    liquidated = 0
    for position in ledger.opinion.positions(rest):
        if liquidated < 12 and position.debt and position.collateral_enabled:
            names = {one.id: one.symbol for one in chain.reserves.values()}
            figures = ledger.opinion.figures([position.user])[0]
            held = next(reserve_id for reserve_id, _ in position.collateral if position.uses_as_collateral(reserve_id))
            if figures[5] < 10**18:
                await chain.liquidate(position.user, names[held], names[position.debt[0][0]])
                liquidated += 1
    assert liquidated == 12
    followed = ledger.follow()
    assert list(followed.values()) == ledger.stored(list(followed))
    assert sum(followed[key] != ledger.before.get(key, 0) for key in followed) > 30
    assert min(ledger.seen[name] for name in ("Mint", "Burn", "BalanceTransfer")) >= 5

"""The reader against the real market: what it reads is what web3.py reads, and re-reading what logs touch is enough."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from core.domain.health_factor import HFCalculator
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import WAD, Address
from core.errors import WrongChain
from devnet.addresses import RIVAL, TRADER
from devnet.chain import Chain
from devnet.listing import E_MODES
from tests.golden.second_opinion import SecondOpinion
from worker.chain.aave import AaveReader
from worker.chain.contracts import discover
from worker.chain.events import touched
from worker.chain.logs import LogFilter, addresses_of, get_logs
from worker.chain.oracles import walk, watched_addresses
from worker.chain.rpc import HttpRpc

CHAIN_ID = 31337
NOWHERE = Address("0x" + "12" * 20)


@pytest.fixture
async def rpc(market_chain: Chain) -> AsyncIterator[HttpRpc]:
    rpc = HttpRpc(market_chain.http_url, chain_id=CHAIN_ID, attempts=1)
    yield rpc
    await rpc.aclose()


@pytest.fixture
async def reader(rpc: HttpRpc, market_chain: Chain) -> AaveReader:
    return await AaveReader.discover(rpc, market_chain.provider, CHAIN_ID)


def in_use(position: Position) -> Position:
    """Leave out the aTokens that are not used as collateral, as the reader does."""
    held = tuple((id_, scaled) for id_, scaled in position.collateral if position.uses_as_collateral(id_))
    return replace(position, collateral=held)


def unlabelled(market: Market) -> Market:
    """Leave out what the second opinion does not read."""
    return replace(market, e_modes={id_: replace(category, label="") for id_, category in market.e_modes.items()})


async def same_as_the_chain(reader: AaveReader, market: Market, positions: list[Position]) -> None:
    """Compare every account's figures with the chain's at the market's block."""
    chain = await reader.account_data([position.user for position in positions], market.block)
    assert HFCalculator().batch(market, positions, market.timestamp) == chain


async def test_everything_is_found_from_the_provider(rpc: HttpRpc, market_chain: Chain) -> None:
    shouted = Address(market_chain.provider.upper().replace("X", "x"))
    found = await discover(rpc, shouted, CHAIN_ID, aave_pool=market_chain.pool)
    assert (found.chain_id, found.provider, found.pool) == (CHAIN_ID, market_chain.provider, market_chain.pool)
    assert (found.oracle, found.data_provider) == (market_chain.oracle, market_chain.data_provider)
    assert found.configurator == await market_chain.rpc.call(market_chain.provider, "getPoolConfigurator()(address)")
    assert found.revision == 10


async def test_what_is_not_a_market_is_said_in_one_sentence(rpc: HttpRpc, market_chain: Chain) -> None:
    weth = market_chain.reserves["WETH"].asset
    with pytest.raises(WrongChain, match=rf"POOL_ADDRESSES_PROVIDER {NOWHERE} holds no contract on the chain"):
        await discover(rpc, NOWHERE, CHAIN_ID)
    with pytest.raises(WrongChain, match=rf"POOL_ADDRESSES_PROVIDER {weth} is no PoolAddressesProvider"):
        await discover(rpc, weth, CHAIN_ID)
    with pytest.raises(WrongChain, match=rf"AAVE_POOL is {NOWHERE}, but the provider .* says that the pool is"):
        await discover(rpc, market_chain.provider, CHAIN_ID, aave_pool=NOWHERE)
    with pytest.raises(WrongChain, match=rf"Multicall3 {NOWHERE} holds no contract"):
        await discover(rpc, market_chain.provider, CHAIN_ID, multicall3=NOWHERE)
    with pytest.raises(WrongChain, match=r"serves chain 31337, but CHAIN_ID is 8453"):
        await discover(HttpRpcOf(rpc), market_chain.provider, 8453)


class HttpRpcOf:
    """Pass calls on, so that only `discover` itself looks at the chain id."""

    def __init__(self, rpc: HttpRpc) -> None:
        self._rpc = rpc
        self.name = rpc.name
        self.call = rpc.call


async def test_the_market_is_what_web3_reads(reader: AaveReader, fresh_market: Chain) -> None:
    await fresh_market.set_price("ETH", factor="0.97")
    await fresh_market.set_paused("USDC", False, grace_seconds=600)
    market = await reader.load_market()
    assert unlabelled(market) == unlabelled(SecondOpinion(fresh_market).market())
    assert {category.id: category.label for category in market.e_modes.values()} == {e.id: e.label for e in E_MODES}
    assert len(market.reserves) == len(market.e_modes) == len(market.prices) == 15


async def test_positions_and_figures_are_what_web3_reads(reader: AaveReader, market_chain: Chain) -> None:
    market = await reader.load_market()
    users = [*market_chain.borrowers, *market_chain.suppliers, NOWHERE]
    positions = await reader.positions(users, market.block)
    second = SecondOpinion(market_chain)
    assert positions == [in_use(position) for position in second.positions(users)]
    assert await reader.account_data(users, market.block) == second.figures(users)
    await same_as_the_chain(reader, market, positions)


async def test_everything_is_of_the_block_that_was_asked_for(reader: AaveReader, fresh_market: Chain) -> None:
    chain = fresh_market
    block = await chain.rpc.block_number()
    before = SecondOpinion(chain).market()
    figures = SecondOpinion(chain).figures(chain.borrowers)
    await chain.set_price("ETH", factor="0.8")
    await chain.increase_time(86_400)
    await chain.repay(chain.borrowers[0], (await reader_debt(chain, chain.borrowers[0])))
    market = await reader.load_market(block)
    assert unlabelled(market) == unlabelled(before)
    positions = await reader.positions(chain.borrowers, block)
    assert HFCalculator().batch(market, positions, market.timestamp) == figures
    assert await reader.account_data(chain.borrowers, block) == figures


async def reader_debt(chain: Chain, user: Address) -> str:
    """Return the symbol of a reserve that the user owes."""
    position = SecondOpinion(chain).positions([user])[0]
    return next(one.symbol for one in chain.reserves.values() if one.id == position.debt[0][0])


class Mirror:
    """Keep market and positions by re-reading what each block's logs touch: the worker's way, in its simplest form."""

    def __init__(self, reader: AaveReader, users: list[Address], market: Market, positions: list[Position]) -> None:
        self.reader, self.users, self.market = reader, users, market
        self.positions = {position.user: position for position in positions}
        self.labels: set[str] = set()

    @classmethod
    async def load(cls, reader: AaveReader, users: list[Address]) -> Mirror:
        market = await reader.load_market()
        return cls(reader, users, market, await reader.positions(users, market.block))

    async def follow(self, block: int) -> None:
        sources = await walk(self.reader.multicall, self.market, block)
        chosen = LogFilter(addresses_of(watched_addresses(self.reader.contracts, self.market, sources)))
        logs = await get_logs(self.reader.rpc, chosen, self.market.block + 1, block)
        effects = [effect for log in logs if (effect := touched(log, self.market))]
        self.labels |= {effect.label for effect in effects}
        reloaded = any(effect.configuration for effect in effects)
        read = await self.reader.refresh(
            self.market,
            block,
            reserves=set(self.market.reserves) if reloaded else {id_ for effect in effects for id_ in effect.reserves},
            e_modes={id_ for effect in effects for id_ in effect.e_modes},
            prices=True,
            positions={user for effect in effects for user in effect.users},
        )
        read.apply_to(self.market)
        self.positions |= read.positions

    async def is_exact(self) -> None:
        fresh = await self.reader.load_market(self.market.block)
        assert self.market == fresh
        positions = await self.reader.positions(self.users, fresh.block)
        assert [self.positions[user] for user in self.users] == positions
        await same_as_the_chain(self.reader, fresh, positions)


async def test_what_governance_changes_is_read_anew(reader: AaveReader, fresh_market: Chain) -> None:
    chain = fresh_market
    mirror = await Mirror.load(reader, chain.borrowers)
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: chain.set_collateral_parameters("WETH", 7000, 7500, 10600),
        lambda: chain.set_protocol_fee("USDC", 1500),
        lambda: chain.set_frozen("cbETH", True),
        lambda: chain.set_frozen("cbETH", False),
        lambda: chain.set_paused("cbBTC", True),
        lambda: chain.set_paused("cbBTC", False, 3600),
        lambda: chain.end_grace_period("cbBTC"),
        lambda: chain.set_e_mode_category(1, 9000, 9200, 10300, "ETH correlated, tighter"),
        lambda: chain.set_e_mode_category(40, 8000, 8500, 10500, "brand new"),
        lambda: chain.set_e_mode_collateral("WETH", 40, True),
        lambda: chain.set_e_mode_borrowable("USDC", 40, True),
        lambda: chain.set_price_source("tBTC", chain.feeds.by_name["ETH"].proxy),
        lambda: chain.increase_time(3_600),
    ]
    for change in changes:
        await change()
        await mirror.follow(await chain.rpc.block_number())
        await mirror.is_exact()
    assert mirror.market.e_modes[40].label == "brand new"


async def test_what_accounts_do_is_read_anew(reader: AaveReader, fresh_market: Chain) -> None:
    chain, rng = fresh_market, random.Random(5)
    users = chain.borrowers
    for account in (*users, RIVAL, TRADER):  # a snapshot that was put back took their ether with it
        await chain.rpc.request("anvil_setBalance", account, hex(10**21))
    mirror = await Mirror.load(reader, users)
    giver, taker, switcher = users[:3]
    symbols = {one.id: one.symbol for one in chain.reserves.values()}

    def held(user: Address) -> str:
        return symbols[mirror.positions[user].collateral[0][0]]

    def owed(user: Address) -> str:
        return symbols[mirror.positions[user].debt[0][0]]

    async def liquidate_the_worst() -> None:
        figures = HFCalculator().batch(mirror.market, mirror.positions.values(), mirror.market.timestamp)
        found = zip(mirror.positions, figures, strict=True)
        sunk = [user for user, each in found if 0 < each.health_factor < WAD and each.total_debt_base > 10**8 * 100]
        await chain.liquidate(sunk[0], held(sunk[0]), owed(sunk[0]))

    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: chain.supply(giver, "WETH", 10**20),
        lambda: chain.set_collateral(giver, "WETH", False),
        lambda: chain.set_collateral(giver, "WETH", True),
        lambda: chain.borrow(giver, owed(giver), 10**6),
        lambda: chain.transfer_a_token(giver, "WETH", taker, 10**18),
        lambda: chain.withdraw(giver, "WETH", 10**18),
        lambda: chain.repay(giver, owed(giver), 5 * 10**5),
        lambda: chain.repay(switcher, owed(switcher)),
        lambda: chain.set_price("ETH", factor="0.75"),
        lambda: chain.set_price("BTC", factor="0.75"),
        liquidate_the_worst,
        lambda: chain.increase_time(86_400),
        lambda: chain.supply(rng.choice(users), "USDC", 10**9),
    ]
    for step in steps:
        await step()
        await mirror.follow(await chain.rpc.block_number())
        await mirror.is_exact()
    assert {"Aave Supply", "Aave Borrow", "Aave Repay", "Aave Withdraw", "Aave LiquidationCall"} <= mirror.labels
    assert {"Aave collateral switch", "Aave WETH transfer", "price update"} <= mirror.labels


async def test_many_positions_at_once_are_read_in_two_requests(reader: AaveReader, market_chain: Chain) -> None:
    market = await reader.load_market()
    read = await reader.refresh(market, market.block, positions=market_chain.borrowers)
    assert [read.positions[user] for user in market_chain.borrowers] == await reader.positions(
        market_chain.borrowers, market.block
    )
    few = await reader.refresh(market, market.block, positions=market_chain.borrowers[:5])
    assert few.positions == {user: read.positions[user] for user in market_chain.borrowers[:5]}


async def test_reserves_listed_since_are_found_when_all_are_read(reader: AaveReader, market_chain: Chain) -> None:
    market = await reader.load_market()
    older = replace(
        market,
        reserves={id_: reserve for id_, reserve in market.reserves.items() if id_ < 13},
        prices={id_: price for id_, price in market.prices.items() if id_ < 13},
    )
    users = market_chain.borrowers[:10]
    read = await reader.refresh(older, market.block, reserves=older.reserves, prices=True, positions=users)
    read.apply_to(older)
    assert older == market
    assert list(read.positions.values()) == await reader.positions(sorted(users), market.block)


async def test_strangers_alone_have_empty_positions(reader: AaveReader, market_chain: Chain) -> None:
    stranger = Address("0x" + "11" * 20)
    block = await market_chain.rpc.block_number()
    assert await reader.positions([stranger], block) == [Position(stranger)]


async def test_positions_can_be_read_first(rpc: HttpRpc, reader: AaveReader, market_chain: Chain) -> None:
    market = await reader.load_market()
    another = await AaveReader.discover(rpc, market_chain.provider, CHAIN_ID)
    users = market_chain.borrowers[:10]
    assert await another.positions(users, market.block) == await reader.positions(users, market.block)


async def test_a_price_that_the_oracle_will_not_give_is_missing_and_comes_back(
    reader: AaveReader, fresh_market: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    chain = fresh_market
    market = await reader.load_market()
    source = market.reserves[6].price_source
    await chain.set_price_source("cbBTC", chain.pool)
    broken = await reader.load_market()
    assert broken.prices.keys() == market.prices.keys() - {6}
    assert "the oracle gives no price for cbBTC: whoever uses it cannot be valued" in caplog.messages
    read = await reader.refresh(market, broken.block, reserves=[6], prices=True)
    assert read.unpriced == {6}
    read.apply_to(market)
    assert market.prices == broken.prices
    affected = [p.user for p in await reader.positions(chain.borrowers, broken.block) if uses(p, 6)]
    others = [user for user in chain.borrowers if user not in affected]
    assert affected
    answers = dict(zip(chain.borrowers, await reader.account_data(chain.borrowers, broken.block), strict=True))
    assert all(answers[user] is None for user in affected)
    assert all(answers[user] is not None for user in others)
    await chain.set_price_source("cbBTC", source)
    (await reader.refresh(market, await chain.rpc.block_number(), reserves=[6], prices=True)).apply_to(market)
    assert market == await reader.load_market()


def uses(position: Position, reserve_id: int) -> bool:
    return bool(position.debt_of(reserve_id) or position.uses_as_collateral(reserve_id))


async def test_an_unknown_revision_is_told_and_still_read(rpc: HttpRpc, fresh_market: Chain) -> None:
    await fresh_market.upgrade_pool_to_unknown_revision()
    reader = await AaveReader.discover(rpc, fresh_market.provider, CHAIN_ID)
    assert reader.contracts.revision == 99
    market = await reader.load_market()
    assert market.revision is None
    assert await reader.account_data(fresh_market.borrowers, "latest") == SecondOpinion(fresh_market).figures(
        fresh_market.borrowers
    )

"""The commands, run as an operator runs them, on the real contracts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.__main__ import COMMANDS
from core.state.sqlite.migrations import newest
from devnet.anvil import free_port
from devnet.botapi import BotApi, BotApiOptions
from devnet.chain import Chain, ChainOptions
from tests.processes import Process, run, settings_for, until

TOKEN = "700000001:AAtestTokenForTheLocalServer_0123456789"
ANN = 1001
NOWHERE = "0x" + "12" * 20


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chain(built: object) -> AsyncIterator[Chain]:
    async with Chain.running(ChainOptions(borrowers=250, seed=5, block_time=None)) as chain:
        yield chain


@pytest_asyncio.fixture(loop_scope="session")
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(token=TOKEN, limits=False)) as api:
        api.private_chat(ANN, "Ann")
        yield api


async def liquidbot(folder: Path, environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    return await run(folder, environment, "-m", "cli", *words)


async def test_every_command_has_help_and_a_misspelt_one_a_suggestion(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path)
    status, out, _ = await liquidbot(tmp_path, environment, "--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)
    status, out, _ = await liquidbot(tmp_path, environment)
    assert (status, "usage: liquidbot COMMAND" in out) == (2, True)
    status, out, said = await liquidbot(tmp_path, environment, "helth")
    assert (status, out) == (2, "")
    assert said == "liquidbot helth: there is no such command; did you mean health? (liquidbot --help lists them)\n"
    helped = await asyncio.gather(*(liquidbot(tmp_path, environment, name, "--help") for name in COMMANDS))
    for name, (status, out, said) in zip(COMMANDS, helped, strict=True):
        assert (status, said) == (0, ""), name
        assert out.startswith(f"usage: liquidbot {name}"), name


async def test_all_accounts_are_equal_to_the_chain_after_much_happened(chain: Chain, tmp_path: Path) -> None:
    await chain.set_price("ETH", factor="0.9")
    await chain.increase_time(40)
    await chain.supply(chain.borrowers[3], "USDC", 10**9)
    environment = settings_for(chain, tmp_path)
    status, out, said = await liquidbot(tmp_path, environment, "health", "--all", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (status, said) == (0, "")
    assert {row["user"] for row in rows} == set(chain.borrowers)
    assert all(row["equal"] and row["ours"] == row["chain"] for row in rows)
    figures = await chain.lens.accounts(chain.borrowers)
    factors = {user: str(one.health_factor) for user, one in zip(chain.borrowers, figures, strict=True)}
    assert {row["user"]: row["chain"]["health_factor"] for row in rows} == factors
    status, out, _ = await liquidbot(tmp_path, environment, "health", "--all")
    assert status == 0
    assert f"{len(chain.borrowers)} accounts at block {rows[0]['block']}: equal" in out


async def test_one_account_is_shown_now_and_at_a_block(chain: Chain, tmp_path: Path) -> None:
    user = chain.borrowers[0]
    environment = settings_for(chain, tmp_path)
    block = await chain.rpc.block_number()
    await chain.supply(user, "USDC", 10**9)
    status, out, _ = await liquidbot(tmp_path, environment, "health", user.upper().replace("X", "x"))
    assert (status, "1 accounts" in out, "health_factor" in out) == (0, True, True)
    _, now, _ = await liquidbot(tmp_path, environment, "health", user, NOWHERE, "--json")
    status, then, _ = await liquidbot(tmp_path, environment, "health", user, "--json", "--block", str(block))
    mine, nobody = (json.loads(line) for line in now.splitlines())
    assert status == 0
    assert json.loads(then)["block"] == block
    assert int(json.loads(then)["ours"]["health_factor"]) < int(mine["ours"]["health_factor"])
    assert nobody["chain"]["health_factor"] == str(2**256 - 1)
    status, _, said = await liquidbot(tmp_path, environment, "health", "0x12")
    assert (status, said) == (2, "0x12: allowed: an address, 0x and 40 hex digits\n")
    status, _, said = await liquidbot(tmp_path, environment, "health")
    assert (status, "give addresses, or --all" in said) == (2, True)


async def test_a_node_that_is_away_is_one_line(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path, RPC_URL=f"http://127.0.0.1:{free_port()}/secret-key")
    status, _, said = await liquidbot(tmp_path, environment, "health", NOWHERE)
    assert status == 2
    assert "cannot be reached" in said
    assert "secret-key" not in said
    assert "Traceback" not in said
    status, _, said = await liquidbot(tmp_path, settings_for(chain, tmp_path, RPC_URL=""), "scan")
    assert (status, said) == (2, "RPC_URL=: allowed: at least one address that starts with http:// or https://\n")


async def test_a_scan_counts_everybody(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path, RISKSET_MAX_USERS="500")
    status, out, said = await liquidbot(tmp_path, environment, "scan", "--json")
    counted = json.loads(out)
    figures = await chain.lens.health(chain.borrowers)
    kept = [factor for debt, factor in figures if debt >= 50 * 10**8 and factor <= 105 * 10**16]
    assert (status, said) == (0, "")
    assert counted["scanned"] == len(chain.borrowers) == 250
    assert counted["requests"] == 3
    parts = ("kept", "skipped_debt", "skipped_hf", "skipped_no_coll", "failed")
    assert sum(counted[name] for name in parts) == counted["scanned"]
    assert (counted["kept"], counted["stored"], counted["min_hf"]) == (len(kept), len(kept), str(min(kept)))
    assert counted["block"] == await chain.rpc.block_number()
    status, out, _ = await liquidbot(tmp_path, environment, "scan")
    assert (status, "scanned=250" in out) == (0, True)


async def test_settings_are_shown_with_source_and_without_secrets(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MIN_DEBT_USD=77\n")
    environment = settings_for(chain, tmp_path, TELEGRAM_BOT_TOKEN=TOKEN)
    status, out, _ = await liquidbot(tmp_path, environment, "settings", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["MIN_DEBT_USD"] == {"value": "77", "source": ".env"}
    assert found["CHAIN_ID"] == {"value": "31337", "source": "environment"}
    assert found["LOG_LEVEL"] == {"value": "info", "source": "default"}
    assert TOKEN not in out
    status, out, _ = await liquidbot(tmp_path, environment, "settings")
    assert (status, "TELEGRAM_BOT_TOKEN" in out, TOKEN in out) == (0, True, False)
    status, out, _ = await liquidbot(tmp_path, environment, "settings", "--env")
    assert (status, "#MIN_DEBT_USD=50\n" in out) == (0, True)
    (tmp_path / ".env").write_text("MIN_DEPT_USD=77\n")
    status, _, said = await liquidbot(tmp_path, environment, "settings")
    assert (status, said) == (2, "MIN_DEPT_USD in .env: there is no such setting; did you mean MIN_DEBT_USD?\n")


async def test_the_store_is_migrated_once(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path)
    status, out, _ = await liquidbot(tmp_path, environment, "migrate")
    assert (status, f"from version 0 to {newest()}" in out) == (0, True)
    status, out, _ = await liquidbot(tmp_path, environment, "migrate")
    assert (status, f"already at version {newest()}" in out) == (0, True)
    with closing(sqlite3.connect(tmp_path / "liquidbot.db")) as newer:
        newer.execute("PRAGMA user_version = 9")
    status, _, said = await liquidbot(tmp_path, environment, "migrate")
    assert (status, "has schema 9" in said, "Traceback" in said) == (2, True, False)


def good(chain: Chain, api: BotApi, folder: Path, **changes: str) -> dict[str, str]:
    telegram = {
        "TELEGRAM_API_URL": api.url,
        "TELEGRAM_BOT_TOKEN": TOKEN,
        "TELEGRAM_OPERATORS": f"{ANN}:admin",
        "BOT_HTTP_PORT": str(free_port()),
    }
    return settings_for(chain, folder, **(telegram | changes))


async def doctor(folder: Path, environment: dict[str, str]) -> tuple[int, dict[str, dict[str, Any]]]:
    status, out, said = await liquidbot(folder, environment, "doctor", "--json")
    assert "Traceback" not in said
    assert TOKEN not in out + said
    return status, {row["check"]: row for row in map(json.loads, out.splitlines())}


async def test_the_doctor_finds_nothing_where_all_is_well(chain: Chain, api: BotApi, tmp_path: Path) -> None:
    status, found = await doctor(tmp_path, good(chain, api, tmp_path, SPRINTER_ENABLED="true"))
    assert status == 0, found
    assert all(row["well"] for row in found.values())
    host = chain.http_url
    assert [name.replace(host, "").replace(chain.ws_url, "").strip() for name in found] == [
        "RPC_URL",
        "WS_RPC_URL",
        "POOL_ADDRESSES_PROVIDER",
        "STATE_DB",
        "TELEGRAM_BOT_TOKEN",
        f"chat {ANN}",
        "TELEGRAM_OPERATORS",
        "SPRINTER_ENABLED",
    ]
    assert "revision 10" in found["POOL_ADDRESSES_PROVIDER"]["found"]
    status, out, _ = await liquidbot(tmp_path, good(chain, api, tmp_path), "doctor")
    assert (status, "✓ STATE_DB" in out, "✗" in out) == (0, True, False)


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"RPC_URL": ""}, "RPC_URL", "set RPC_URL to at least one HTTP endpoint"),
        ({"CHAIN_ID": "8453"}, "RPC_URL {http}", "serves chain 31337, but CHAIN_ID is 8453"),
        ({"WS_RPC_URL": ""}, "WS_RPC_URL", "set WS_RPC_URL to a WebSocket endpoint"),
        ({"POOL_ADDRESSES_PROVIDER": NOWHERE}, "POOL_ADDRESSES_PROVIDER", "holds no contract"),
        ({"AAVE_POOL": NOWHERE}, "POOL_ADDRESSES_PROVIDER", "says that the pool is"),
        ({"STATE_DB": "/nowhere/at/all.db"}, "STATE_DB", "its directory /nowhere/at does not exist"),
        ({"TELEGRAM_BOT_TOKEN": ""}, "TELEGRAM_BOT_TOKEN", "copy the token from @BotFather"),
        ({"TELEGRAM_BOT_TOKEN": "1:wrong"}, "TELEGRAM_BOT_TOKEN", "copy the token from @BotFather"),
        ({"TELEGRAM_API_URL": "http://127.0.0.1:9"}, "TELEGRAM_BOT_TOKEN", "check the network"),
        ({"TELEGRAM_CHAT_IDS": "999"}, "chat 999", "open a chat with the bot and press Start"),
        ({"TELEGRAM_OPERATORS": ""}, "TELEGRAM_OPERATORS", "add YOUR_ID:admin"),
        ({"TELEGRAM_OPERATORS": f"{ANN}:viewer"}, "TELEGRAM_OPERATORS", "make one operator an admin"),
    ],
)
async def test_the_doctor_says_what_is_wrong_and_what_to_do(
    chain: Chain, api: BotApi, tmp_path: Path, changes: dict[str, str], check: str, words: str
) -> None:
    status, found = await doctor(tmp_path, good(chain, api, tmp_path, **changes))
    finding = found[check.format(http=chain.http_url)]
    assert status == 1
    assert not finding["well"]
    assert words in finding["advice"]


async def test_up_starts_both_and_starts_again_what_dies(chain: Chain, api: BotApi, tmp_path: Path) -> None:
    environment = good(chain, api, tmp_path)
    async with Process.running(tmp_path, environment, ("-m", "cli", "up")) as up:
        await up.until_role("active")
        workers = children(up.child.pid)
        assert set(workers) == {"worker", "bot"}
        os.kill(workers["worker"], signal.SIGKILL)
        await up.until_said("worker ended with status -9; starting it again in")
        assert children(up.child.pid)["bot"] == workers["bot"]

        async def back() -> bool:
            return children(up.child.pid).get("worker", workers["worker"]) != workers["worker"]

        await until(back)
        assert await up.end() == 0
        assert children(up.child.pid) == {}
        assert not any(alive(pid) for pid in workers.values())


async def test_up_ends_where_starting_again_is_no_help(chain: Chain, api: BotApi, tmp_path: Path) -> None:
    status, _, said = await liquidbot(tmp_path, good(chain, api, tmp_path, CHAIN_ID="8453"), "up")
    assert status == 2
    assert "serves chain 31337, but CHAIN_ID is 8453" in said
    assert "Traceback" not in said
    status, _, said = await liquidbot(tmp_path, good(chain, api, tmp_path, LOG_LEVEL="loud"), "up")
    assert (status, said) == (2, "LOG_LEVEL=loud: allowed: debug, info, warning, error\n")


def children(parent: int) -> dict[str, int]:
    """Return the modules that a process's children run, by their pids."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "status").read_text(), (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if f"PPid:\t{parent}\n" in status and b"-m" in command:
            found[command[command.index(b"-m") + 1].decode()] = int(folder.name)
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_worker_is_the_same_by_either_name(chain: Chain, tmp_path: Path) -> None:
    status, _, said = await liquidbot(tmp_path, settings_for(chain, tmp_path, RPC_URL=""), "worker")
    assert status == 2
    assert said.splitlines()[-1].startswith("RPC_URL=: allowed: at least one address")


async def test_the_doctor_compares_the_clocks_and_knows_its_revisions(
    chain: Chain, api: BotApi, tmp_path: Path
) -> None:
    """The last test here: the chain is a day ahead, and not what it was, from now on."""
    await chain.increase_time(86_400)
    await chain.upgrade_pool_to_unknown_revision()
    status, found = await doctor(tmp_path, good(chain, api, tmp_path))
    assert status == 1
    assert "set this computer's clock" in found[f"RPC_URL {chain.http_url}"]["advice"]
    assert "this version knows revisions 10, 11" in found["POOL_ADDRESSES_PROVIDER"]["advice"]

"""The commands, run as an operator runs them, on the real contracts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from cli.__main__ import COMMANDS, main
from core.domain.units import Address
from core.state.sqlite.migrations import newest
from core.state.sqlite_store import SqliteStore
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
    status, _, said = await liquidbot(tmp_path, environment, "health", user, "--block", "-5")
    assert (status, said) == (2, "--block -5: allowed: a block's number, 0 or more\n")
    status, _, said = await liquidbot(tmp_path, environment, "health", user, "--block", str(10**9))
    assert (status, "Traceback" in said) == (1, False)
    status, _, said = await liquidbot(tmp_path, environment, "health")
    assert (status, "give addresses, or --all" in said) == (2, True)


async def test_a_node_that_is_away_is_one_line(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path, RPC_URL=f"http://127.0.0.1:{free_port()}/secret-key")
    status, _, said = await liquidbot(tmp_path, environment, "health", NOWHERE)
    assert status == 1
    assert "cannot be reached" in said
    assert "secret-key" not in said
    assert "Traceback" not in said
    status, _, said = await liquidbot(tmp_path, settings_for(chain, tmp_path, RPC_URL=""), "scan")
    assert (status, said) == (2, "RPC_URL=: allowed: at least one address that starts with http:// or https://\n")


async def test_a_store_that_is_locked_is_a_matter_of_patience(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path)
    assert (await liquidbot(tmp_path, environment, "migrate"))[0] == 0
    with closing(sqlite3.connect(tmp_path / "liquidbot.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        status, _, said = await liquidbot(tmp_path, environment, "migrate")
    assert (status, "Traceback" in said) == (1, False), said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--borrowers", "0"), "--borrowers 0: allowed: 1 to 20000"),
        (("--borrowers", "20001"), "--borrowers 20001: allowed: 1 to 20000"),
        (("--speed", "0"), "--speed 0: allowed: a number above 0"),
        (("--speed", "nan"), "--speed nan: allowed: a number above 0"),
        (("--seconds", "-1"), "--seconds -1: allowed: a number above 0"),
        (("--seconds", "inf"), "--seconds inf: allowed: a number above 0"),
        (("--port", "65536"), "--port 65536: allowed: 0 (any free one) to 65535"),
    ],
)
def test_a_demo_that_cannot_be_is_refused_at_once(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    assert main(["demo", *words]) == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_a_demo_whose_port_is_taken_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    said = f"--port {port}: Address already in use; allowed: a free port of 127.0.0.1, or 0 for any\n"
    assert capsys.readouterr().err == said


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
    ("changes", "check", "texts"),
    [
        ({"RPC_URL": ""}, "RPC_URL", ("not set", "set RPC_URL to at least one HTTP endpoint")),
        (
            {"RPC_URL": "http://127.0.0.1:9"},
            "RPC_URL http://127.0.0.1:9",
            ("cannot be reached", "use another endpoint"),
        ),
        ({"CHAIN_ID": "8453"}, "RPC_URL {http}", ("serves chain 31337, but CHAIN_ID is 8453", "set CHAIN_ID to")),
        ({"WS_RPC_URL": "ws://127.0.0.1:9"}, "WS_RPC_URL ws://127.0.0.1:9", ("failed", "use another endpoint")),
        (
            {"POOL_ADDRESSES_PROVIDER": NOWHERE},
            "POOL_ADDRESSES_PROVIDER",
            ("holds no contract", "check CHAIN_ID, POOL_"),
        ),
        ({"AAVE_POOL": NOWHERE}, "POOL_ADDRESSES_PROVIDER", ("says that the pool is", "all four name one market")),
        (
            {"STATE_DB": "/nowhere/at/all.db"},
            "STATE_DB",
            ("nor does its directory /nowhere/at", "set STATE_DB to a file"),
        ),
        ({"STATE_DB": "/tmp"}, "STATE_DB", ("is a directory", "set STATE_DB to a file")),
        ({"TELEGRAM_BOT_TOKEN": ""}, "TELEGRAM_BOT_TOKEN", ("is not set", "copy the token from @BotFather")),
        ({"TELEGRAM_BOT_TOKEN": "1:wrong"}, "TELEGRAM_BOT_TOKEN", ("refused", "copy the token from @BotFather")),
        (
            {"TELEGRAM_BOT_TOKEN": "1:a\nb"},
            "TELEGRAM_BOT_TOKEN",
            ("a character that no token has", "copy the token from"),
        ),
        ({"TELEGRAM_BOT_TOKEN": "1:wrong"}, f"chat {ANN}", ("", "copy the token from @BotFather")),
        ({"TELEGRAM_API_URL": "http://127.0.0.1:9"}, "TELEGRAM_BOT_TOKEN", ("does not answer", "check the network")),
        ({"TELEGRAM_API_URL": "http://[::1"}, "TELEGRAM_BOT_TOKEN", ("is not an address", "correct TELEGRAM_API_URL")),
        ({"TELEGRAM_CHAT_IDS": "999"}, "chat 999", ("chat not found", "open a chat with the bot and press Start")),
        ({"TELEGRAM_OPERATORS": ""}, "TELEGRAM_OPERATORS", ("nobody may talk", "add YOUR_ID:admin")),
        ({"TELEGRAM_OPERATORS": f"{ANN}:viewer"}, "TELEGRAM_OPERATORS", ("no admin", "make one operator an admin")),
    ],
)
async def test_the_doctor_says_what_is_wrong_and_what_to_do(
    chain: Chain, api: BotApi, tmp_path: Path, changes: dict[str, str], check: str, texts: tuple[str, str]
) -> None:
    status, found = await doctor(tmp_path, good(chain, api, tmp_path, **changes))
    finding = found[check.format(http=chain.http_url)]
    assert status == 1
    assert not finding["well"]
    said, advised = texts
    assert said in finding["found"]
    assert advised in finding["advice"]


@pytest.mark.parametrize("body", ['{"ok":true}', '{"ok":true,"result":[]}', "[1]", "<html>", "\xff"])
async def test_the_doctor_knows_a_server_that_is_no_bot_api(chain: Chain, tmp_path: Path, body: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body.encode("latin-1"), content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        environment = settings_for(
            chain,
            tmp_path,
            TELEGRAM_API_URL=str(server.make_url("")).rstrip("/"),
            TELEGRAM_BOT_TOKEN=TOKEN,
            TELEGRAM_OPERATORS=f"{ANN}:admin",
        )
        status, found = await doctor(tmp_path, environment)
    assert status == 1
    assert [name for name, row in found.items() if not row["well"]] == ["TELEGRAM_BOT_TOKEN", f"chat {ANN}"]
    assert "not as Telegram's Bot API does" in found["TELEGRAM_BOT_TOKEN"]["found"]
    assert "correct TELEGRAM_API_URL" in found[f"chat {ANN}"]["advice"]


async def test_polling_is_a_note_and_a_store_to_be_is_not_made(chain: Chain, api: BotApi, tmp_path: Path) -> None:
    environment = good(chain, api, tmp_path, WS_RPC_URL="", POLL_INTERVAL_SEC="7")
    status, found = await doctor(tmp_path, environment)
    assert status == 0, found
    assert "the worker polls every 7 s" in found["WS_RPC_URL"]["found"]
    assert "it will be created" in found["STATE_DB"]["found"]
    assert not (tmp_path / "liquidbot.db").exists()
    assert (await liquidbot(tmp_path, environment, "migrate"))[0] == 0
    _, found = await doctor(tmp_path, environment)
    assert "of no market yet" in found["STATE_DB"]["found"]
    assert (await liquidbot(tmp_path, environment, "scan", "--json"))[0] == 0
    _, found = await doctor(tmp_path, environment)
    assert "opens, of this market" in found["STATE_DB"]["found"]


async def test_the_store_of_another_market_is_found(chain: Chain, api: BotApi, tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "liquidbot.db")
    await store.bind(f"8453:{NOWHERE}")
    await store.close()
    status, found = await doctor(tmp_path, good(chain, api, tmp_path))
    assert status == 1
    assert f"belongs to market 8453:{NOWHERE}" in found["STATE_DB"]["found"]
    assert "set STATE_DB to another file" in found["STATE_DB"]["advice"]


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


async def test_nobody_is_left_when_up_is_killed(chain: Chain, api: BotApi, tmp_path: Path) -> None:
    async with Process.running(tmp_path, good(chain, api, tmp_path), ("-m", "cli", "up")) as up:
        await up.until_role("active")
        left = children(up.child.pid)
        assert set(left) == {"worker", "bot"}
        assert await up.end(signal.SIGKILL) == -signal.SIGKILL
        await until(lambda: nobody(left))


async def test_nobody_is_left_when_a_demo_is_killed(built: object, tmp_path: Path) -> None:
    words = ("-m", "cli", "demo", "--borrowers", "5", "--port", "0")
    async with Process.running(tmp_path, dict(os.environ) | {"TMPDIR": str(tmp_path)}, words) as demo:
        await demo.until_said("chat open at", seconds=60)
        left = children(demo.child.pid)
        assert set(left) == {"worker", "bot"}
        assert await demo.end(signal.SIGKILL) == -signal.SIGKILL
        await until(lambda: nobody(left))


async def nobody(pids: dict[str, int]) -> bool:
    return not any(alive(pid) for pid in pids.values())


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


async def test_an_account_without_figures_is_not_called_equal(chain: Chain, tmp_path: Path) -> None:
    """The last but one: USDC has no price from now on, so that neither side can say what its holders are worth."""
    environment = settings_for(chain, tmp_path)
    await chain.set_price_source("USDC", Address(NOWHERE))
    status, out, _ = await liquidbot(tmp_path, environment, "health", "--all", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    empty = [row for row in rows if row["empty"]]
    assert status == 1
    assert 0 < len(empty) < len(rows) == len(chain.borrowers)
    assert all(row["ours"] is None and row["chain"] is None and not row["equal"] for row in empty)
    assert all(row["equal"] for row in rows if not row["empty"])
    status, out, _ = await liquidbot(tmp_path, environment, "health", "--all")
    told = f"{len(rows) - len(empty)} equal, {len(empty)} without figures on either side"
    assert (status, told in " ".join(out.split())) == (1, True), out


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

"""Record a worker through a crash on the local chain, then replay it without a chain: the same decisions."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from core.domain.messages import OpportunityUpdated
from core.domain.opportunity import Opportunity, State
from core.domain.units import WAD, Address
from core.errors import ConfigError
from core.state.sqlite_store import SqliteStore
from devnet.chain import Chain, ChainOptions
from tests.processes import OURS, Process, run, settings_for, until
from worker.collectors.recorder import Entry, read_tape
from worker.replay_steps import ReplayDiverged
from worker.replaying import Replayed, Verdict, comparable, replay


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chain(built: object) -> AsyncIterator[Chain]:
    async with Chain.running(ChainOptions(borrowers=80, seed=5, block_time=0.2)) as chain:
        yield chain


async def fallen(chain: Chain) -> set[Address]:
    figures = await chain.lens.health(chain.borrowers)
    rows = zip(chain.borrowers, figures, strict=True)
    return {user for user, (debt, factor) in rows if factor < WAD and debt >= 50 * 10**8}


async def told(store: SqliteStore) -> list[Opportunity]:
    events = [event for _, event in await store.outbox.read(0, limit=100_000)]
    return [event.opportunity for event in events if isinstance(event, OpportunityUpdated)]


async def crash(chain: Chain, store: SqliteStore) -> None:
    """Let prices fall, time pass, a rival liquidate, a borrower save himself, and prices rise again."""

    async def noticed() -> bool:
        return {each.user for each in await store.journal.open_opportunities()} == await fallen(chain)

    await chain.set_price("ETH", factor="0.9")
    await chain.set_price("BTC", factor="0.92")
    await until(noticed)
    await chain.set_price("ETH", factor="0.93")
    await until(noticed)
    target = next(each for each in await store.journal.open_opportunities() if each.quote is not None)
    assert target.quote is not None
    await chain.liquidate(target.user, target.quote.collateral.symbol, target.quote.debt.symbol)
    await chain.supply(next(iter(await fallen(chain))), "USDC", 10**15)
    await until(noticed)
    await chain.set_price("ETH", factor="1.15")
    await until(noticed)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recorded(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Opportunity]]:
    """Record a worker that is killed in the middle of a crash, and the one that takes over; return all they told."""
    folder = tmp_path_factory.mktemp("recorded")
    tape = folder / "crash.jsonl.gz"
    store = await SqliteStore.open(folder / "liquidbot.db")
    environment = settings_for(chain, folder)
    words = ("-m", "worker", "--record", str(tape))
    async with Process.running(folder, environment, words) as worker:
        await worker.until_role("active")
        await crash(chain, store)
        worker.child.kill()
        await worker.child.wait()
    await chain.set_price("ETH", factor="0.9")
    async with Process.running(folder, environment, words) as worker:
        await worker.until_role("active", seconds=40)
        await crash(chain, store)
        assert await worker.end() == 0
        assert "Traceback" not in worker.said
    decisions = await told(store)
    await store.close()
    return tape, decisions


def without_chain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in OURS}


async def played(entries: Sequence[Entry] | Path, speed: float | None = None) -> tuple[Replayed, list[Opportunity]]:
    made: list[Opportunity] = []
    rows = read_tape(entries) if isinstance(entries, Path) else entries
    result = await replay(rows, lambda opportunity, _verdict: made.append(opportunity), speed)
    return result, made


async def test_the_replayed_journal_is_the_live_one(recorded: tuple[Path, list[Opportunity]]) -> None:
    tape, live = recorded
    assert len(live) > 20
    assert {State.REHEARSED, State.RECOVERED} <= {each.state for each in live}
    result, made = await played(tape)
    assert [comparable(each) for each in made] == [comparable(each) for each in live]
    assert result.faithful
    assert result.terms == 2
    assert (result.decisions, result.same) == (len(live), len(live))
    assert min(result.heads, result.logs, result.looks, result.answers) > 10


async def test_the_command_prints_the_same_without_a_chain(
    recorded: tuple[Path, list[Opportunity]], tmp_path: Path
) -> None:
    tape, live = recorded
    status, output, errors = await run(tmp_path, without_chain(), "-m", "cli", "replay", str(tape), "--json")
    assert status == 0
    assert "ends in the middle" in errors
    assert errors.count("\n") == 1
    *decisions, counts = [json.loads(line) for line in output.splitlines()]
    assert [(each["id"], each["user"], each["state"], each["block"]) for each in decisions] == [
        (each.id, each.user, each.state, each.last_block) for each in live
    ]
    quoted = [(row, each.quote) for row, each in zip(decisions, live, strict=True) if each.quote is not None]
    assert quoted
    assert all(row["debt"] == {"symbol": q.debt.symbol, "amount": str(q.debt.amount)} for row, q in quoted)
    assert {row["verdict"] for row in decisions} == {Verdict.SAME}
    assert counts["faithful"] is True
    status, output, _ = await run(tmp_path, without_chain(), "-m", "cli", "replay", str(tape), "--speed", "50")
    assert status == 0
    assert f"recorded={len(live)}" in output


async def test_at_a_speed_it_takes_its_time(recorded: tuple[Path, list[Opportunity]]) -> None:
    tape, _ = recorded
    entries = list(read_tape(tape))
    second = next(n for n, entry in enumerate(entries) if entry["k"] == "term" and n)
    first = entries[:second]
    begin = next(entry["t"] for entry in first if entry["k"] == "begin")
    lasted = max(entry["t"] for entry in first if entry["k"] == "looked") - begin
    result, _ = await played(first, speed=4.0)
    assert result.faithful
    assert result.seconds >= lasted / 4
    assert (await played(first))[0].seconds < lasted / 4


async def test_a_changed_recording_is_not_faithful(recorded: tuple[Path, list[Opportunity]]) -> None:
    tape, _ = recorded
    entries = list(read_tape(tape))
    altered = next(n for n, entry in enumerate(entries) if entry["k"] == "told")
    first, *others = entries[altered]["opportunities"]
    entries[altered]["opportunities"] = [first.replace("0x", "0xf", 1), *others]
    result, _ = await played(entries)
    assert not result.faithful
    assert result.different == 1


async def test_a_pipeline_with_other_rules_is_said_to_diverge(recorded: tuple[Path, list[Opportunity]]) -> None:
    """With half of the threshold nobody is a suspect, so nobody is asked about where the recording asks."""
    tape, _ = recorded
    entries = list(read_tape(tape))
    terms: list[Any] = [entry for entry in entries if entry["k"] == "term"]
    for term in terms:
        term["settings"]["detection"]["execution_hf_threshold_bps"] = 5_000
    with pytest.raises(ReplayDiverged, match="does not ask eth_call where it did then"):
        await played(entries)


async def test_no_secret_and_no_address_of_a_node_is_recorded(recorded: tuple[Path, list[Opportunity]]) -> None:
    tape, _ = recorded
    (term, *_) = [entry for entry in read_tape(tape) if entry["k"] == "term"]
    text = json.dumps(term["settings"])
    assert "://" not in text
    assert "password" not in text
    assert "private_key" not in text


async def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path) -> None:
    missing = await run(tmp_path, without_chain(), "-m", "cli", "replay", str(tmp_path / "none"))
    assert missing[0] == 2
    assert missing[2] == f"{tmp_path / 'none'}: there is no such recording\n"
    (tmp_path / "text").write_text("hello")
    status, _, errors = await run(tmp_path, without_chain(), "-m", "cli", "replay", str(tmp_path / "text"))
    assert (status, errors.count("\n")) == (2, 1)
    assert "is not of a recording" in errors
    status, _, errors = await run(tmp_path, without_chain(), "-m", "cli", "replay", "x", "--speed", "-1")
    assert status == 2
    assert "allowed: a number above 0, or max" in errors
    with pytest.raises(ConfigError, match="begins with 'head'"):
        await played([{"k": "head", "t": 0}])


async def test_borrowers_of_a_file_and_heads_of_a_poll_are_in_the_recording(chain: Chain, tmp_path: Path) -> None:
    """The replay has neither the file nor a node: what the start took from them has to be recorded."""
    borrowers, tape = tmp_path / "borrowers.txt", tmp_path / "polled.gz"
    borrowers.write_text("\n".join(chain.borrowers))
    changes = {"BORROWERS_FILE": str(borrowers), "WS_RPC_URL": "", "POLL_INTERVAL_SEC": "0.2"}
    store = await SqliteStore.open(tmp_path / "liquidbot.db")
    environment = settings_for(chain, tmp_path, **changes)
    async with Process.running(tmp_path, environment, ("-m", "worker", "--record", str(tape))) as worker:
        await worker.until_role("active", seconds=40)
        await crash(chain, store)
        assert await worker.end() == 0
    live = await told(store)
    await store.close()
    borrowers.unlink()
    result, made = await played(tape)
    assert result.faithful
    assert [comparable(each) for each in made] == [comparable(each) for each in live]
    assert live


async def test_a_file_that_cannot_be_made_ends_the_worker_at_once(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path)
    status, _, errors = await run(tmp_path, environment, "-m", "worker", "--record", str(tmp_path / "no" / "where.gz"))
    assert status == 2
    assert "--record" in errors.splitlines()[-1]
    assert "cannot be written" in errors.splitlines()[-1]

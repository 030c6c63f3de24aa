"""The tape: what is written is read again, in parts, after kills and faults; and what stands around feed and node."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from core.domain.units import Address
from core.errors import ChainError, ConfigError, RpcRejected, RpcThrottled, RpcUnavailable, WrongChain
from worker.chain.jsonrpc import BlockNotThere
from worker.chain.logs import Head, Log
from worker.collectors.recorder import (
    RecordingRpc,
    RecordingSink,
    Tape,
    call_key,
    error_fields,
    error_of,
    head_fields,
    head_of,
    log_fields,
    log_of,
    read_tape,
)

HEAD = Head(7, "0xaa", "0xbb", 1_700_000_000, 3.0)
LOG = Log(Address("0x" + "1" * 40), ("0x1", "0x2"), "0x" + "f" * 64, 7, "0xaa", "0xcc", 3, False, 3.0, 1_700_000_000)


def kinds(path: Path) -> list[str]:
    return [entry["k"] for entry in read_tape(path)]


def test_entries_come_back_in_order_with_their_times(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "a.gz")
    for number in range(5):
        tape.write("one", number=number)
    tape.close()
    entries = list(read_tape(tmp_path / "a.gz"))
    assert [entry["number"] for entry in entries] == [0, 1, 2, 3, 4]
    times = [entry["t"] for entry in entries]
    assert times == sorted(times)
    assert times[0] >= 0


def test_heads_and_logs_survive_but_for_their_arrival() -> None:
    assert head_of(head_fields(HEAD), 3.0) == HEAD
    assert log_of(log_fields(LOG), 3.0) == LOG


def test_a_full_part_is_followed_by_another(tmp_path: Path) -> None:
    path, noise = tmp_path / "a.gz", random.Random(1)
    tape = Tape(path, part_bytes=2_000)
    for number in range(20):
        tape.write("one", number=number, noise=noise.randbytes(400).hex())
        tape.flush()
    tape.close()
    parts = sorted(tmp_path.iterdir())
    assert len(parts) > 3
    assert all(part.stat().st_size < 3_500 for part in parts)
    assert [entry["number"] for entry in read_tape(path)] == list(range(20))


def test_a_recording_that_is_there_is_gone_on_with(tmp_path: Path) -> None:
    for kind in ("first", "second", "third"):
        tape = Tape(tmp_path / "a.gz")
        tape.write(kind)
        tape.close()
    assert {part.name for part in tmp_path.iterdir()} == {"a.gz", "a.gz.2", "a.gz.3"}
    assert kinds(tmp_path / "a.gz") == ["first", "second", "third"]


def test_what_a_kill_cut_off_is_said_and_the_rest_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, noise = tmp_path / "a.gz", random.Random(1)
    for _ in range(2):
        tape = Tape(path)
        for number in range(100):
            tape.write("one", number=number, noise=noise.randbytes(100).hex())
        tape.close()
    path.write_bytes(path.read_bytes()[:5_000])
    numbers = [entry["number"] for entry in read_tape(path)]
    assert numbers[-100:] == list(range(100))
    assert numbers[:-100] == list(range(len(numbers) - 100))
    assert 10 < len(numbers) - 100 < 90
    assert "ends in the middle" in caplog.text


def test_a_fault_ends_the_recording_and_not_the_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape(tmp_path / "a.gz")
    tape.write("one")
    (tmp_path / "a.gz").unlink()
    tape.flush()
    assert caplog.text.count("the recording ends here") == 1
    tape.write("two")
    tape.flush()
    tape.close()
    assert caplog.text.count("the recording ends here") == 1


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        Tape(tmp_path / "no" / "a.gz")


@pytest.mark.parametrize(
    "text", ['{"k":"part","t":0,"v":99}\n', '{"k":"part"}\n', "[]\n", "{\n", '{"t":0}\n'], ids=range(5)
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    with gzip.open(tmp_path / "a.gz", "wt") as file:
        file.write(text)
    with pytest.raises(ConfigError, match="recording"):
        list(read_tape(tmp_path / "a.gz"))


@pytest.mark.parametrize(
    "error",
    [
        RpcUnavailable("away"),
        BlockNotThere("no such block"),
        RpcThrottled("slower", 2.5),
        RpcRejected(3, "execution reverted", "0x08"),
        WrongChain("another"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_raised_again_as_they_were(error: ChainError) -> None:
    again = error_of(error_fields(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_same_question_has_the_same_key() -> None:
    call = [{"to": "0x1", "data": "0x2"}, "0x7"]
    assert call_key("eth_call", call) == call_key("eth_call", [{"data": "0x2", "to": "0x1"}, "0x7"])
    assert len({call_key("eth_call", call), call_key("eth_call", [call[0], "0x8"]), call_key("eth_code", call)}) == 3


class Ear:
    """Be a sink that remembers."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_log(self, log: Log) -> None:
        self.heard.append(log)

    def on_head(self, head: Head) -> None:
        self.heard.append(head)

    def on_reorganisation(self, first: int) -> None:
        self.heard.append(first)

    def on_state(self, up: bool, text: str) -> None:
        self.heard.append((up, text))


def test_a_sink_hears_what_is_recorded(tmp_path: Path) -> None:
    ear, tape = Ear(), Tape(tmp_path / "a.gz")
    sink = RecordingSink(ear, tape)
    sink.on_state(True, "connected")
    sink.on_head(HEAD)
    sink.on_log(LOG)
    sink.on_reorganisation(6)
    tape.close()
    assert ear.heard == [(True, "connected"), HEAD, LOG, 6]
    assert kinds(tmp_path / "a.gz") == ["state", "head", "log", "reorganisation"]


class Node:
    name = "node"

    async def call(self, method: str, _params: list[Any], _within: float = 10.0) -> Any:
        if method == "fails":
            raise RpcRejected(3, "no")
        return f"{method} answered"


async def test_a_node_is_recorded_only_while_that_is_wanted(tmp_path: Path) -> None:
    wanted, tape = [True], Tape(tmp_path / "a.gz")
    rpc = RecordingRpc(Node(), tape, lambda: wanted[0])
    assert rpc.name == "node"
    assert await rpc.call("one", []) == "one answered"
    with pytest.raises(RpcRejected):
        await rpc.call("fails", [])
    wanted[0] = False
    assert await rpc.call("two", []) == "two answered"
    tape.close()
    asked, answer, failed, error = read_tape(tmp_path / "a.gz")
    assert (asked["k"], asked["method"], asked["key"]) == ("ask", "one", call_key("one", []))
    assert (answer["k"], answer["result"]) == ("answer", "one answered")
    assert (failed["method"], error["error"]["code"]) == ("fails", 3)

"""The HTTP server for machines, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from core.errors import ConfigError, StoreUnavailable
from core.ops import http
from core.ops.http import PORT_RETRY_SECONDS, Check, OpsServer, PortTaken, SharedPort
from core.ops.metrics import WorkerMetrics
from core.version import VERSION


@dataclass
class Options:
    http_token: SecretStr = field(default_factory=lambda: SecretStr(""))


@dataclass
class Answer:
    status: int
    headers: Any
    text: str
    json: Any


class Client:
    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session, self._base = session, base

    async def get(self, path: str, token: str | None = None) -> Answer:
        headers = {} if token is None else {"Authorization": token}
        async with self._session.get(f"{self._base}{path}", headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return Answer(answer.status, answer.headers, await answer.text(), await answer.json() if is_json else None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(
    checks: dict[str, Check] | None = None, token: str = "", role: Callable[[], str] = lambda: "active"
) -> AsyncIterator[Client]:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.head(17, 1_700_000_000)
    server = OpsServer(Options(SecretStr(token)), metrics.registry, checks or {}, role)
    port = free_port()
    await server.start(port)
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(session, f"http://127.0.0.1:{port}")
    finally:
        await server.close()


async def fine() -> str:
    return ""


async def lagging() -> str:
    return "the last head is 12 s old"


async def away() -> str:
    raise StoreUnavailable("STATE_DB=x is locked by another process")


async def broken() -> str:
    raise RuntimeError("secret words")


async def hanging() -> str:
    await asyncio.sleep(60)
    return ""


async def test_health_speaks_of_the_process_and_not_of_what_is_remote() -> None:
    async with serving({"store": away, "node": broken}) as client:
        answer = await client.get("/health")
    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert answer.json["app"] == {"uptimeSeconds": 0, "version": VERSION}
    assert 0 <= answer.json["loopLagSeconds"] < http.LAG_LIMIT_SECONDS


async def test_health_notices_a_loop_that_was_held_up() -> None:
    async with serving() as client:
        await asyncio.sleep(0.01)
        time.sleep(1.0)  # noqa: ASYNC251  (this is the fault under test)
        await asyncio.sleep(0.05)
        answer = await client.get("/health")
    assert answer.json["loopLagSeconds"] > 0.3


async def test_ready_when_every_check_is_well() -> None:
    async with serving({"store": fine, "head": fine}) as client:
        answer = await client.get("/ready")
    assert answer.status == 200
    assert answer.json == {"ready": True, "role": "active", "checks": {"store": "ok", "head": "ok"}}


async def test_a_healthy_stand_by_is_ready_and_says_so() -> None:
    roles = ["standby", "active"]
    async with serving({"store": fine}, role=lambda: roles.pop(0)) as client:
        assert (await client.get("/ready")).json["role"] == "standby"
        answer = await client.get("/ready")
    assert (answer.status, answer.json["role"]) == (200, "active")


async def test_not_ready_names_each_check_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with serving({"a": fine, "b": lagging, "c": away, "d": broken}) as client:
            answer = await client.get("/ready")
    assert answer.status == 503
    assert answer.json["ready"] is False
    assert answer.json["checks"] == {
        "a": "ok",
        "b": "the last head is 12 s old",
        "c": "STATE_DB=x is locked by another process",
        "d": "RuntimeError",
    }
    assert "the check d failed" in caplog.text


async def test_a_check_that_hangs_counts_as_failed() -> None:
    async with serving({"slow": hanging, "fast": fine}) as client:
        began = time.perf_counter()
        answer = await client.get("/ready")
    assert answer.status == 503
    assert answer.json["checks"] == {"slow": f"no answer within {http.CHECK_SECONDS:g} s", "fast": "ok"}
    assert time.perf_counter() - began < http.CHECK_SECONDS + 2


async def test_metrics_are_the_registrys_text() -> None:
    async with serving() as client:
        answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "liquidbot_head_block_number 17.0\n" in answer.text


async def test_other_paths_are_not_found() -> None:
    async with serving() as client:
        assert (await client.get("/")).status == 404


@pytest.mark.parametrize("path", ["/metrics", "/ready", "/nothing"])
async def test_a_token_guards_everything_but_health(path: str) -> None:
    async with serving(token="tökén-123") as client:
        for wrong in (None, "", "Bearer", "Bearer other", "tökén-123", "Bearer tökén-1234"):
            answer = await client.get(path, wrong)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "liquidbot" not in answer.text
        assert (await client.get(path, "Bearer tökén-123")).status in (200, 404)
        assert (await client.get("/health")).status == 200


async def test_the_token_is_not_shown() -> None:
    server = OpsServer(Options(SecretStr("t0ken-123")), CollectorRegistry(), {}, lambda: "")
    assert "t0ken-123" not in repr(server)


async def test_port_zero_listens_nowhere() -> None:
    server = OpsServer(Options(), CollectorRegistry(), {}, lambda: "")
    before = {task.get_name() for task in asyncio.all_tasks()}
    await server.start(0)
    assert {task.get_name() for task in asyncio.all_tasks()} == before
    await server.close()


async def test_a_port_in_use_is_named_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = OpsServer(Options(), CollectorRegistry(), {}, lambda: "")
        with pytest.raises(ConfigError, match=f"WORKER_HTTP_PORT={port} .*already in use.*another port, or 0"):
            await server.start(port, "WORKER_HTTP_PORT")
        await server.close()


async def leads() -> bool:
    return True


async def stands_by() -> bool:
    return False


async def test_who_stands_by_goes_on_without_the_port_until_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    server = OpsServer(Options(), CollectorRegistry(), {}, lambda: "standby")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        port = SharedPort(server, number, "WORKER_HTTP_PORT")
        await port.open(stands_by)
        following = asyncio.create_task(port.follow())
        await asyncio.sleep(2 * PORT_RETRY_SECONDS + 0.3)
        assert not following.done()
    await asyncio.wait_for(following, 5)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", number)) == 0
    await server.close()
    assert caplog.text.count("standing by without a port") == 1


async def test_who_leads_needs_its_port() -> None:
    server = OpsServer(Options(), CollectorRegistry(), {}, lambda: "active")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"WORKER_HTTP_PORT={number} "):
            await SharedPort(server, number, "WORKER_HTTP_PORT").open(leads)
    await server.close()


async def test_a_port_that_is_had_at_once_or_not_wanted_is_not_followed() -> None:
    for number in (free_port(), 0):
        server = OpsServer(Options(), CollectorRegistry(), {}, lambda: "active")
        port = SharedPort(server, number, "WORKER_HTTP_PORT")
        await port.open(stands_by)
        await asyncio.wait_for(port.follow(), 0.1)
        await server.close()


async def test_it_listens_to_this_machine_only_and_closes_cleanly() -> None:
    server = OpsServer(Options(), CollectorRegistry(), {}, lambda: "")
    port = free_port()
    await server.start(port)
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.2", port))  # nobody listens on all addresses
    await server.close()
    await server.close()
    assert "loop-lag" not in {task.get_name() for task in asyncio.all_tasks()}
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0

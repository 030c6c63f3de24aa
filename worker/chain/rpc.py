"""Sockets to nodes: HTTP over a list of endpoints, and one WebSocket for calls and subscriptions."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from core.errors import ChainError, RpcRejected, RpcThrottled, RpcUnavailable, WrongChain
from worker.chain import jsonrpc
from worker.chain.jsonrpc import BlockNotThere

Observe = Callable[[str, str, str, float], None]
"""Called after every request with endpoint, method, result (ok, unavailable, throttled, rejected) and seconds."""


BLOCK_COMES_WITHIN = 0.05
"""Seconds until a block that one node has told of is likely at the others."""


class Rpc(Protocol):
    """Ask a node; `name` is its host, without what may be secret."""

    @property
    def name(self) -> str:
        """Return the host (and port) asked."""
        ...

    async def call(self, method: str, params: list[Any], within: float = 10.0) -> Any:
        """Return the result; raise RpcUnavailable, RpcThrottled or RpcRejected."""
        ...


def ignore(_endpoint: str, _method: str, _result: str, _seconds: float) -> None:
    """Observe nothing."""


async def observed(observe: Observe, name: str, method: str, request: Awaitable[Any]) -> Any:
    """Await a request and report how it went."""
    started = time.perf_counter()
    outcome = "cancelled"
    try:
        result = await request
        outcome = "ok"
    except RpcThrottled:
        outcome = "throttled"
        raise
    except RpcRejected:
        outcome = "rejected"
        raise
    except ChainError:
        outcome = "unavailable"
        raise
    else:
        return result
    finally:
        observe(name, method, outcome, time.perf_counter() - started)


@dataclass(slots=True)
class _Endpoint:
    """Hold what is known of one URL; times are of the monotonic clock."""

    url: str
    name: str
    failures: int = 0
    not_before: float = 0.0
    verified: bool = False
    error: ChainError | None = None
    refused: WrongChain | None = None

    def rest(self, exc: ChainError, started: float, cooldown: float) -> None:
        """Leave the endpoint alone for a while, longer each time; calls that failed together count once."""
        self.error = exc
        now = time.monotonic()
        if isinstance(exc, RpcThrottled):
            self.not_before = max(self.not_before, now + exc.retry_after)
        elif self.not_before <= started:
            self.not_before = now + min(jsonrpc.BACKOFF_LAST, cooldown * 2.0 ** min(self.failures, 8))
            self.failures += 1

    def healthy(self) -> None:
        """Forget past failures."""
        self.failures, self.not_before, self.error = 0, 0.0, None


class HttpRpc:
    """Call the healthy one of several HTTP endpoints; change to the next when it fails.

    A call makes up to `attempts` tries, waits up to `patience` seconds for an endpoint that rests, and then raises the
    last error. With `chain_id` given, every endpoint must serve that chain before it is used (else WrongChain).
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        chain_id: int | None = None,
        observe: Observe = ignore,
        attempts: int = 4,
        patience: float = 5.0,
        cooldown: float = 0.25,
    ) -> None:
        given = urls.split(",") if isinstance(urls, str) else urls
        self._endpoints = [_Endpoint(url, jsonrpc.endpoint_name(url)) for url in (u.strip() for u in given) if url]
        if not self._endpoints:
            raise ValueError("RPC_URL names no endpoint")
        self._chain_id = chain_id
        self._observe = observe
        self._attempts = max(attempts, len(self._endpoints))
        self._patience = patience
        self._cooldown = cooldown
        self._current = self._endpoints[0]
        self._session: aiohttp.ClientSession | None = None
        self._numbers = 0

    @property
    def name(self) -> str:
        """Return the host (and port) of the endpoint in use."""
        return self._current.name

    async def call(self, method: str, params: list[Any], within: float = 10.0) -> Any:
        """Return the result; raise RpcUnavailable, RpcThrottled, RpcRejected or WrongChain.

        `within` is in seconds and for each try.
        """
        last: ChainError = RpcUnavailable("no endpoint was asked")
        for _ in range(self._attempts):
            endpoint = self._choose()
            wait = endpoint.not_before - time.monotonic()
            if wait > self._patience:
                raise _still_resting(endpoint, wait)
            if wait > 0:
                await asyncio.sleep(wait)
            started = time.monotonic()
            try:
                result = await self._ask(endpoint, method, params, within)
            except BlockNotThere as exc:
                last = exc
                self._turn_from(endpoint)
                await asyncio.sleep(BLOCK_COMES_WITHIN)
            except (RpcUnavailable, RpcThrottled) as exc:
                endpoint.rest(exc, started, self._cooldown)
                last = exc
            except WrongChain as exc:
                endpoint.refused = last = exc
            else:
                endpoint.healthy()
                return result
        raise last

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _choose(self) -> _Endpoint:
        usable = [endpoint for endpoint in self._endpoints if endpoint.refused is None]
        if not usable:
            raise WrongChain("; ".join(str(endpoint.refused) for endpoint in self._endpoints))
        now = time.monotonic()
        if self._current not in usable or self._current.not_before > now:
            self._current = min(usable, key=lambda endpoint: max(endpoint.not_before, now))
        return self._current

    def _turn_from(self, endpoint: _Endpoint) -> None:
        """Try the next endpoint first, without a grudge: a node that lags is well, and serves every other call."""
        at = self._endpoints.index(endpoint) + 1
        self._current = self._endpoints[at % len(self._endpoints)]

    async def _ask(self, endpoint: _Endpoint, method: str, params: list[Any], within: float) -> Any:
        if self._chain_id is not None and not endpoint.verified:
            await verify_chain(_Single(self, endpoint), self._chain_id, within)
            endpoint.verified = True
        return await observed(self._observe, endpoint.name, method, self._post(endpoint, method, params, within))

    async def _post(self, endpoint: _Endpoint, method: str, params: list[Any], within: float) -> Any:
        self._numbers += 1
        body = jsonrpc.request(self._numbers, method, params)
        name = endpoint.name
        try:
            async with self._open().post(
                endpoint.url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=within),
                allow_redirects=False,
            ) as response:
                answer = await response.read()
        except TimeoutError:
            raise RpcUnavailable(f"{name} did not answer {method} within {within:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise RpcUnavailable(f"{name} {_wording(exc)}") from None  # the cause's text may hold the URL
        failure = jsonrpc.http_failure(name, response.status, response.headers, answer)
        if failure is not None:
            raise failure
        return jsonrpc.result(name, jsonrpc.parse(name, answer))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32))
        return self._session


class _Single:
    """Be one endpoint of an HttpRpc, with no rotation."""

    def __init__(self, rpc: HttpRpc, endpoint: _Endpoint) -> None:
        self._rpc = rpc
        self._endpoint = endpoint
        self.name = endpoint.name

    async def call(self, method: str, params: list[Any], within: float = 10.0) -> Any:
        """Ask this endpoint once."""
        rpc, endpoint = self._rpc, self._endpoint
        return await observed(rpc._observe, self.name, method, rpc._post(endpoint, method, params, within))


async def verify_chain(rpc: Rpc, chain_id: int, within: float = 10.0) -> None:
    """Raise WrongChain when the node serves another chain than CHAIN_ID says."""
    answer = await rpc.call("eth_chainId", [], within)
    try:
        served = int(answer, 16)
    except (TypeError, ValueError):
        raise RpcUnavailable(f"{rpc.name} answered eth_chainId with {str(answer)[:40]!r}") from None
    if served != chain_id:
        raise WrongChain(f"{rpc.name} serves chain {served}, but CHAIN_ID is {chain_id}")


def _still_resting(endpoint: _Endpoint, wait: float) -> ChainError:
    said = str(endpoint.error)
    if isinstance(endpoint.error, RpcThrottled):
        return RpcThrottled(said, wait)
    return RpcUnavailable(f"{said}; next try in {wait:.1f} s")


def _wording(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"cannot be reached ({exc.os_error.strerror or type(exc.os_error).__name__})"
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "cut the connection"
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "cut its answer short"
    if isinstance(exc, aiohttp.InvalidURL):
        return "is not a usable URL"
    return f"failed ({type(exc).__name__})"


def jitter() -> random.Random:
    """Return a source of chance for waiting times."""
    return random.Random()  # noqa: S311  not for secrets

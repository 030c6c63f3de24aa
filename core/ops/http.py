"""A small HTTP server for machines: /metrics, /health and /ready."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import SecretStr

from core.errors import ConfigError, LiquidbotError
from core.version import VERSION

logger = logging.getLogger(__name__)

Check: TypeAlias = Callable[[], Awaitable[str]]
"""Return "" when all is well, or what is wrong; an error that it raises counts as wrong."""

CHECK_SECONDS = 3.0
LAG_LIMIT_SECONDS = 5.0
PORT_RETRY_SECONDS = 1.0
PORT_GRACE_SECONDS = 3.0
"""How long a process that leads waits for its port: the one before gave up the lease first and closes then."""
_LAG_EVERY_SECONDS = 0.5


class PortTaken(ConfigError):
    """Say that another program listens on the port; it may be another process of our own kind."""


class HttpOptions(Protocol):
    """Name the setting that the server reads: the bearer token for all but /health, empty for none."""

    @property
    def http_token(self) -> SecretStr:
        """Return the token."""
        ...


class OpsServer:
    """Serve one process's metrics and health, from `start` to `close`.

    /health speaks of this process alone (a check of what is remote would restart it for another's trouble). /ready asks
    every check and answers 503 when one fails; a healthy stand-by is ready, and says its role.
    """

    def __init__(
        self,
        options: HttpOptions,
        registry: CollectorRegistry,
        checks: Mapping[str, Check],
        role: Callable[[], str],
        host: str = "127.0.0.1",
    ) -> None:
        token = options.http_token.get_secret_value()
        self._expected = f"Bearer {token}".encode() if token else b""
        self._registry = registry
        self._checks = dict(checks)
        self._role = role
        self._host = host
        self._began = time.monotonic()
        self._lag = 0.0
        self._lag_task: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, setting: str = "the HTTP port") -> None:
        """Listen, or do nothing when the port is 0; raise ConfigError, naming `setting`, when it cannot be had.

        It is PortTaken when another program has it, and only then may a later start succeed.
        """
        if not port:
            return
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [web.get("/health", self._health), web.get("/ready", self._ready), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, port).start()
        except OSError as error:
            await self.close()
            why = os.strerror(error.errno) if error.errno else error
            kind = PortTaken if error.errno == errno.EADDRINUSE else ConfigError
            raise kind(
                f"{setting}={port} cannot be listened on at {self._host} ({why}): set another port, or 0 for none"
            ) from error
        self._lag_task = asyncio.create_task(self._measure_lag(), name="loop-lag")
        logger.info("[http] /health /ready /metrics at %s port %d", self._host, port)

    async def close(self) -> None:
        """Stop listening; closing what never listened is fine."""
        if self._lag_task:
            self._lag_task.cancel()
            await asyncio.wait([self._lag_task])
        if self._runner:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._expected and request.path != "/health":
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, self._expected):
                return web.json_response(
                    {"error": "a bearer token is needed"}, status=401, headers={"WWW-Authenticate": "Bearer"}
                )
        return await handler(request)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _health(self, _: web.Request) -> web.Response:
        well = self._lag < LAG_LIMIT_SECONDS
        body = {
            "status": "ok" if well else "lagging",
            "app": {"uptimeSeconds": int(time.monotonic() - self._began), "version": VERSION},
            "loopLagSeconds": round(self._lag, 3),
        }
        return web.json_response(body, status=200 if well else 503)

    async def _ready(self, _: web.Request) -> web.Response:
        wrongs = await asyncio.gather(*(_ask(name, check) for name, check in self._checks.items()))
        checks = {name: wrong or "ok" for name, wrong in zip(self._checks, wrongs, strict=True)}
        ready = not any(wrongs)
        body = {"ready": ready, "role": self._role(), "checks": checks}
        return web.json_response(body, status=200 if ready else 503)

    async def _measure_lag(self) -> None:
        """Keep how late the event loop last was, in seconds."""
        loop = asyncio.get_running_loop()
        while True:
            asleep = loop.time()
            await asyncio.sleep(_LAG_EVERY_SECONDS)
            self._lag = max(0.0, loop.time() - asleep - _LAG_EVERY_SECONDS)


class SharedPort:
    """Have one port for several processes of a kind on one machine: whoever stands by goes on without it.

    Call `open` once at the start, then let `follow` run beside the process's work.
    """

    def __init__(self, server: OpsServer, port: int, setting: str) -> None:
        self._server = server
        self._port = port
        self._setting = setting
        self._open = False

    async def open(self, leads: Callable[[], Awaitable[bool]]) -> None:
        """Listen. When the port stays taken, raise PortTaken if `leads` (we hold the lease), else log it once."""
        last = time.monotonic() + PORT_GRACE_SECONDS
        while True:
            try:
                await self._listen()
            except PortTaken as error:
                if not await leads():
                    logger.warning("[http] standing by without a port until it is free: %s", error)
                    return
                if time.monotonic() >= last:
                    raise
                await asyncio.sleep(PORT_RETRY_SECONDS)
            else:
                return

    async def follow(self) -> None:
        """Return as soon as the server listens, trying again for as long as another program has the port."""
        while not self._open:
            await asyncio.sleep(PORT_RETRY_SECONDS)
            with contextlib.suppress(PortTaken):  # said once, by `open`
                await self._listen()

    async def _listen(self) -> None:
        await self._server.start(self._port, self._setting)
        self._open = True


async def _ask(name: str, check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except LiquidbotError as error:
        return str(error)
    except Exception as error:
        logger.exception("[http] the check %s failed", name)
        return type(error).__name__

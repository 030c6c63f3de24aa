"""One WebSocket to a node: calls and subscriptions over the same connection, dead at once when it closes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from core.errors import ChainError, RpcUnavailable
from worker.chain import jsonrpc
from worker.chain.rpc import Observe, ignore, observed

MAX_FRAME = 64 * 2**20
MAX_BACKLOG = 100_000
"""Notifications that may wait; one that lets more pile up is cut off and back-fills rather than eat all memory."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Hold one message of a subscription; `heard_at` is time.monotonic() at the arrival of its frame."""

    subscription: str
    result: Any
    heard_at: float


class WsRpc:
    """Call and subscribe over one socket; once it closes, all waiters and later calls get RpcUnavailable.

    Notifications of all subscriptions come out of `next` in the order of their arrival.
    """

    def __init__(self, name: str, socket: ClientConnection, observe: Observe = ignore) -> None:
        self.name = name
        self._socket = socket
        self._observe = observe
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._notes: deque[Notification] = deque()
        self._news = asyncio.Event()
        self._dead: ChainError | None = None
        self._reader = asyncio.create_task(self._read(), name=f"ws-reader {name}")

    @classmethod
    async def connect(cls, url: str, *, observe: Observe = ignore, within: float = 10.0) -> WsRpc:
        """Open the socket; raise RpcUnavailable when it cannot be had in time."""
        name = jsonrpc.endpoint_name(url)
        try:
            socket = await connect(
                url,
                max_size=MAX_FRAME,
                open_timeout=within,
                ping_interval=10,
                ping_timeout=10,
                compression=None,
                close_timeout=1,
                proxy=None,
            )
        except TimeoutError:
            raise RpcUnavailable(f"{name} did not open a WebSocket within {within:g} s") from None
        except InvalidStatus as exc:
            raise RpcUnavailable(f"{name} refused a WebSocket: HTTP {exc.response.status_code}") from None
        except (WebSocketException, OSError, ValueError) as exc:  # their texts may hold the URL
            raise RpcUnavailable(f"WebSocket connection failed: {name} ({_wording(exc)})") from None
        return cls(name, socket, observe)

    async def call(self, method: str, params: list[Any], within: float = 10.0) -> Any:
        """Return the result; raise RpcUnavailable when closed or out of time, or what the node says."""
        return await observed(self._observe, self.name, method, self._call(method, params, within))

    async def subscribe(self, kind: str, *params: Any) -> str:
        """Subscribe ("newHeads", or "logs" with a filter) and return the id its notifications carry."""
        answer = await self.call("eth_subscribe", [kind, *params])
        if not isinstance(answer, str):
            raise RpcUnavailable(f"{self.name} answered eth_subscribe with {str(answer)[:40]!r}")
        return answer

    async def unsubscribe(self, subscription: str) -> None:
        """End a subscription."""
        await self.call("eth_unsubscribe", [subscription])

    @property
    def backlog(self) -> int:
        """Return how many notifications wait."""
        return len(self._notes)

    async def next(self) -> Notification:
        """Return the next notification; raise RpcUnavailable once the socket is closed and all have been taken."""
        while not self._notes:
            if self._dead is not None:
                raise self._dead
            self._news.clear()
            await self._news.wait()
        return self._notes.popleft()

    async def aclose(self) -> None:
        """Close the socket."""
        self._die(RpcUnavailable(f"{self.name}: the socket was closed here"))
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()

    async def _call(self, method: str, params: list[Any], within: float) -> Any:
        if self._dead is not None:
            raise self._dead
        number = next(self._numbers)
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            async with asyncio.timeout(within):
                await self._socket.send(jsonrpc.request(number, method, params))
                return jsonrpc.result(self.name, await reply)
        except TimeoutError:
            raise RpcUnavailable(f"{self.name} did not answer {method} within {within:g} s") from None
        except ConnectionClosed as exc:
            raise RpcUnavailable(f"{self.name} closed the socket ({_wording(exc)})") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._socket.recv()
                self._take(jsonrpc.parse(self.name, frame), time.monotonic())
        except ConnectionClosed as exc:
            self._die(RpcUnavailable(f"{self.name} closed the socket ({_wording(exc)})"))
        except ChainError as exc:
            self._die(exc)
            await self._socket.close()

    def _take(self, message: dict[str, Any], heard_at: float) -> None:
        if message.get("method") == "eth_subscription":
            params = message.get("params")
            if not isinstance(params, dict) or "subscription" not in params:
                raise RpcUnavailable(f"{self.name} sent a notification without a subscription")
            if len(self._notes) >= MAX_BACKLOG:
                raise RpcUnavailable(f"{MAX_BACKLOG} notifications of {self.name} wait unread")
            self._notes.append(Notification(params["subscription"], params.get("result"), heard_at))
            self._news.set()
            return
        reply = self._waiting.get(message.get("id", -1))
        if reply is not None and not reply.done():
            reply.set_result(message)

    def _die(self, exc: ChainError) -> None:
        if self._dead is None:
            self._dead = exc
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(exc)
        self._news.set()


def _wording(exc: Exception) -> str:
    if isinstance(exc, ConnectionClosed):
        frame = exc.rcvd or exc.sent
        return f"code {frame.code}" if frame else "no close frame"
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return type(exc).__name__

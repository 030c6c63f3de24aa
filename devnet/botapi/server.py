"""Serve the Bot API over HTTP: find the method, let faults strike, answer as Telegram does."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from devnet.botapi.errors import WEBHOOK_ACTIVE, ApiError, conflict
from devnet.botapi.faults import Fault, FaultKind, Faults
from devnet.botapi.methods import METHODS, result_json
from devnet.botapi.model import Message
from devnet.botapi.params import Params
from devnet.botapi.transcript import Entry, Transcript
from devnet.botapi.world import World

_LONGEST_POLL = 50
_GLANCE = 0.1
_ERROR_PAGE = "<html>\r\n<head><title>{0} {1}</title></head>\r\n<body>\r\n<center><h1>{0} {1}</h1></center>\r\n"
_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}


class _Cut(Exception):
    """Stop without an answer."""


class ApiServer:
    """Answer /bot<token>/<method> and the download of files."""

    def __init__(self, world: World, transcript: Transcript, faults: Faults) -> None:
        self._world = world
        self._transcript = transcript
        self._faults = faults

    def add_routes(self, app: web.Application) -> None:
        """Register the paths that Telegram has."""
        app.router.add_route("*", "/bot{token:[^/]+}/{method}", self._call)
        app.router.add_get("/file/bot{token:[^/]+}/{path:.+}", self._download)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self._world.token:
            return _refusal(ApiError(401, "Unauthorized"))
        method = request.match_info["method"]
        try:
            params = await Params.read(request)
        except ApiError as refusal:
            entry = self._transcript.begin(method, {})
            self._transcript.end(entry, "refused", refusal.code, refusal.description)
            return _refusal(refusal)
        entry = self._transcript.begin(method, params.summary())
        entry.chat_id = params.integer("chat_id") or None
        entry.message_id = params.integer("message_id") or None
        try:
            return await self._answer(request, method, params, entry)
        except _Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=499)
        finally:
            if entry.done_at is None:
                self._transcript.end(entry, "gone", 0, "the client left, or the server stopped")

    async def _answer(self, request: web.Request, method: str, params: Params, entry: Entry) -> web.Response:
        fault = self._faults.pick(method)
        if fault is not None:
            early = await self._strike_before(fault, entry)
            if early is not None:
                return early
        try:
            result = await self._run(request, method.lower(), params)
        except ApiError as refusal:
            self._transcript.end(entry, "refused", refusal.code, refusal.description)
            return _refusal(refusal)
        entry.applied = True
        if isinstance(result, Message):
            entry.message_id = result.message_id
        body = web.json_response({"ok": True, "result": result_json(result)})
        if fault is not None and fault.kind in (FaultKind.DROP, FaultKind.HANG):
            await self._strike_after(request, fault, entry)
        self._transcript.end(entry, "ok", 200)
        return body

    async def _run(self, request: web.Request, method: str, params: Params) -> Any:
        if method == "getupdates":
            return await self._get_updates(request, params)
        handler = METHODS.get(method)
        if handler is None:
            raise ApiError(404, "Not Found: method not found")
        return handler(self._world, params)

    async def _get_updates(self, request: web.Request, params: Params) -> Any:
        if self._world.webhook["url"]:
            raise conflict(WEBHOOK_ACTIVE)
        allowed = params.nested("allowed_updates", "allowed_updates")
        if allowed is not None:
            self._world.updates.allowed = [str(kind) for kind in allowed]
        limit = params.integer("limit", 100)
        timeout = min(_LONGEST_POLL, max(0, params.integer("timeout")))

        size = limit if 1 <= limit <= 100 else 100
        return await self._world.updates.poll(params.integer("offset"), size, timeout, lambda: _is_gone(request))

    async def _strike_before(self, fault: Fault, entry: Entry) -> web.Response | None:
        if fault.kind is FaultKind.LATENCY:
            await asyncio.sleep(fault.seconds)
            return None
        if fault.kind in (FaultKind.DROP, FaultKind.HANG):
            return None
        outcome = f"fault:{fault.kind}"
        if fault.kind is FaultKind.FLOOD:
            text = f"Too Many Requests: retry after {fault.retry_after}"
            self._transcript.end(entry, outcome, 429, text)
            return _refusal(ApiError(429, text, {"retry_after": fault.retry_after}))
        status = 200 if fault.kind is FaultKind.GARBAGE else fault.status
        page = _ERROR_PAGE.format(status, _REASONS.get(status, "OK"))
        self._transcript.end(entry, outcome, status, "an HTML page")
        return web.Response(status=status, text=page, content_type="text/html")

    async def _strike_after(self, request: web.Request, fault: Fault, entry: Entry) -> None:
        self._transcript.end(entry, f"fault:{fault.kind}", 0, "took effect, no answer")
        if fault.kind is FaultKind.HANG:
            for _ in range(int(fault.seconds / _GLANCE)):
                if _is_gone(request):
                    break
                await asyncio.sleep(_GLANCE)
        raise _Cut

    async def _download(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != self._world.token:
            return _refusal(ApiError(401, "Unauthorized"))
        wanted = request.match_info["path"]
        stored = next((item for item in self._world.files.values() if item.path == wanted), None)
        if stored is None:
            return _refusal(ApiError(404, "Not Found"))
        return web.Response(body=stored.content, content_type="application/octet-stream")


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _refusal(error: ApiError) -> web.Response:
    response = web.json_response(error.body(), status=error.code)
    if error.parameters and "retry_after" in error.parameters:
        response.headers["Retry-After"] = str(error.parameters["retry_after"])
    return response

"""Serve the chat page and the control API that it and other processes use to act for people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from devnet.botapi.faults import Faults
from devnet.botapi.model import Chat, Json, User
from devnet.botapi.people import People
from devnet.botapi.transcript import Transcript
from devnet.botapi.world import World, page_message

_PAGE = Path(__file__).parent.parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_ASSETS = {
    "/" if file.name == "index.html" else f"/{file.name}": file for file in _PAGE.iterdir() if file.suffix in _TYPES
}
_HEARTBEAT = 10.0
_BACKLOG = 10_000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@web.middleware
async def local_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what a page of another site could send to this port: a foreign Host or Origin."""
    host = request.headers.get("Host", "").rsplit(":", 1)[0]
    origin = request.headers.get("Origin")
    if host not in ("127.0.0.1", "localhost") or (origin and origin.split("://")[-1] != request.headers["Host"]):
        return web.json_response({"error": "only pages of this server may call it"}, status=403)
    return await handler(request)


def _headers(response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"


class ControlServer:
    """Answer /, /media/…, and /control/…: events, say, press, chats, block, messages, transcript, faults."""

    def __init__(self, world: World, people: People, transcript: Transcript, faults: Faults) -> None:
        self._world = world
        self._people = people
        self._transcript = transcript
        self._faults = faults
        self._streams: set[asyncio.Queue[Json | None]] = set()
        world.watchers.append(self._publish)

    def add_routes(self, app: web.Application) -> None:
        """Register the page's paths."""
        for path in _ASSETS:
            app.router.add_get(path, self._asset)
        app.router.add_get("/media/{unique_id}", self._media)
        app.router.add_get("/control/events", self._events)
        app.router.add_get("/control/messages", self._messages)
        app.router.add_get("/control/transcript", self._show_transcript)
        for name in ("say", "press", "chats", "block", "faults"):
            app.router.add_post(f"/control/{name}", self._act)
        app.router.add_delete("/control/faults", self._clear_faults)

    def close(self) -> None:
        """End the event streams, so that the server can stop."""
        for stream in self._streams:
            stream.put_nowait(None)

    def _publish(self, event: Json) -> None:
        shown = self._world.snapshot() if event["type"] == "refresh" and self._streams else event
        for stream in self._streams:
            stream.put_nowait(None if stream.qsize() > _BACKLOG else shown)

    async def _asset(self, request: web.Request) -> web.Response:
        file = _ASSETS[request.path]
        response = web.Response(body=file.read_bytes(), content_type=_TYPES[file.suffix], charset="utf-8")
        _headers(response)
        return response

    async def _media(self, request: web.Request) -> web.Response:
        wanted = request.match_info["unique_id"]
        stored = next((item for item in self._world.files.values() if item.unique_id == wanted), None)
        if stored is None:
            raise web.HTTPNotFound
        kind = stored.mime_type if stored.width else "application/octet-stream"
        response = web.Response(body=stored.content, content_type=kind)
        _headers(response)
        if not stored.width:
            safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in stored.name)
            response.headers["Content-Disposition"] = f'attachment; filename="{safe}"'
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Stream a snapshot and then every change; a client that reconnects starts from a snapshot again."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        stream: asyncio.Queue[Json | None] = asyncio.Queue()
        stream.put_nowait(self._world.snapshot())
        self._streams.add(stream)
        try:
            while True:
                try:
                    event = await asyncio.wait_for(stream.get(), _HEARTBEAT)
                except TimeoutError:
                    event = {"type": "heartbeat"}
                if event is None:
                    return response
                await response.write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
        except ConnectionResetError:
            return response
        finally:
            self._streams.discard(stream)

    async def _act(self, request: web.Request) -> web.Response:
        """Do what a JSON body asks for; its content type keeps other sites' forms out."""
        if request.content_type != "application/json":
            return web.json_response({"error": "send JSON"}, status=415)
        try:
            body = await request.json()
            result = getattr(self, f"_act_{request.path.rsplit('/', 1)[1]}")(body)
        except (ValueError, KeyError, TypeError) as error:
            reason = f"missing or unknown: {error}" if isinstance(error, KeyError) else str(error)
            return web.json_response({"error": reason}, status=400)
        return web.json_response(result)

    def _who(self, body: Json) -> tuple[Chat, User]:
        chat = self._world.chats[int(body["chat_id"])]
        user_id = int(body.get("user_id") or next(iter(chat.members)))
        return chat, chat.members[user_id]

    def _act_say(self, body: Json) -> Json:
        chat, user = self._who(body)
        text = str(body["text"]).strip()
        if not text or len(text) > 4096:
            raise ValueError("a message has 1 to 4096 characters")
        update_id, message_id = self._people.say(chat, user, text, body.get("reply_to"), body.get("thread_id"))
        return {"update_id": update_id, "message_id": message_id}

    def _act_press(self, body: Json) -> Json:
        chat, user = self._who(body)
        update_id = self._people.press(chat, user, int(body["message_id"]), str(body["button"]))
        return {"update_id": update_id, "query_id": next(reversed(self._world.presses))}

    def _act_chats(self, body: Json) -> Json:
        user = self._people.user(int(body["user_id"]), str(body["name"]))
        if title := body.get("group"):
            return {"chat_id": self._people.open_group(str(title), [user]).id}
        return {"chat_id": self._people.open_private(user).id}

    def _act_block(self, body: Json) -> Json:
        chat, user = self._who(body)
        return {"update_id": self._people.block(chat, user, bool(body.get("blocked", True)))}

    def _act_faults(self, body: Json) -> Json:
        self._faults.add(**body)
        return {"rules": len(self._faults.rules)}

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({"rules": 0})

    async def _messages(self, request: web.Request) -> web.Response:
        try:
            chat = self._world.chats[int(request.query["chat_id"])]
        except (KeyError, ValueError):
            return web.json_response({"error": "no such chat"}, status=404)
        shown = [page_message(item) | {"deleted": item.deleted} for item in chat.messages.values()]
        return web.json_response(shown)

    async def _show_transcript(self, _request: web.Request) -> web.Response:
        return web.json_response([entry.json() for entry in self._transcript.entries])

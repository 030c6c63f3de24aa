"""Start the local Bot API inside a process and act for the people who talk to the bot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from devnet.botapi import model
from devnet.botapi.control import ControlServer, local_only
from devnet.botapi.faults import Faults
from devnet.botapi.limits import FloodControl, FloodOptions
from devnet.botapi.model import Json, Message, User
from devnet.botapi.people import People
from devnet.botapi.server import ApiServer
from devnet.botapi.transcript import Transcript
from devnet.botapi.world import World

_BODY_BYTES = 60_000_000
_SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class BotApiOptions:
    """Say which bot the server knows and how strictly it counts; port 0 takes a free one."""

    token: str = field(repr=False)
    port: int = 0
    limits: bool = True
    floods: FloodOptions = field(default_factory=FloodOptions)
    seed: int = 0
    name: str = "Liquidbot"
    username: str = "liquidbot_local_bot"


class BotApi:
    """A running server: `url` is the bot's TELEGRAM_API_URL, `page_url` the chat page for a browser."""

    def __init__(self, options: BotApiOptions) -> None:
        self._options = options
        bot_id = int(options.token.split(":", 1)[0]) if options.token.split(":", 1)[0].isdigit() else 700_000_001
        bot = User(bot_id, options.name, options.username, is_bot=True)
        self.transcript = Transcript()
        self.faults = Faults(options.seed)
        self.world = World(options.token, bot, FloodControl(options.floods, options.limits))
        self.people = People(self.world, self.transcript)
        self._control = ControlServer(self.world, self.people, self.transcript, self.faults)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self.port = options.port

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, options: BotApiOptions) -> AsyncIterator[Self]:
        """Serve on 127.0.0.1 until the block ends."""
        api = cls(options)
        await api.start()
        try:
            yield api
        finally:
            await api.stop()

    @property
    def url(self) -> str:
        """Return the base address; the client appends /bot<token>/<method>."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def page_url(self) -> str:
        """Return the address of the chat page."""
        return f"{self.url}/"

    async def start(self) -> None:
        """Bind the port and serve; raises `OSError` where it is taken."""
        pages = web.Application(middlewares=[local_only], client_max_size=_BODY_BYTES)
        ApiServer(self.world, self.transcript, self.faults).add_routes(pages)
        self._control.add_routes(pages)
        self._runner = web.AppRunner(pages, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await self.come_up()

    async def stop(self) -> None:
        """Close every connection and free the port."""
        self._control.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self._site = None

    async def go_down(self) -> None:
        """Refuse connections and cut the open ones, as when Telegram cannot be reached; the state stays."""
        if self._site is not None and self._runner is not None and self._runner.server is not None:
            await self._site.stop()
            self._site = None
            for connection in list(self._runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()

    async def come_up(self) -> None:
        """Listen again, on the same port."""
        if self._runner is None:
            raise RuntimeError("the server was stopped")
        if self._site is None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await self._site.start()
            self.port = int(self._runner.addresses[0][1])

    @contextlib.asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Refuse connections while the block runs."""
        await self.go_down()
        try:
            yield
        finally:
            await self.come_up()

    def private_chat(self, user_id: int, name: str, username: str = "", topics: dict[int, str] | None = None) -> Chat:
        """Create a person and the chat with the bot that he or she has started."""
        user = self.people.user(user_id, name, username)
        return Chat(self, self.people.open_private(user, topics))

    def group_chat(
        self, title: str, members: dict[int, str], supergroup: bool = False, topics: dict[int, str] | None = None
    ) -> Chat:
        """Create a group with the bot in it; `members` maps user ids to names."""
        users = [self.people.user(user_id, name) for user_id, name in members.items()]
        return Chat(self, self.people.open_group(title, users, supergroup, topics))


class Chat:
    """A chat as the people in it use it; `user` is a user id, by default the first member."""

    def __init__(self, api: BotApi, state: model.Chat) -> None:
        self._api = api
        self.state = state

    @property
    def id(self) -> int:
        """Return the chat id."""
        return self.state.id

    @property
    def messages(self) -> list[Message]:
        """Return everything said, in order; deleted messages stay, marked `deleted`."""
        return list(self.state.messages.values())

    @property
    def answers(self) -> list[Json]:
        """Return what the bot answered to presses here, in the order of the presses: text and show_alert."""
        presses = self._api.world.presses.values()
        return [item.answer for item in presses if item.answer is not None and item.message.chat is self.state]

    def _user(self, user: int | None) -> User:
        return self.state.members[user if user is not None else next(iter(self.state.members))]

    async def say(
        self, text: str, user: int | None = None, reply_to: int | None = None, thread_id: int | None = None
    ) -> int:
        """Write a message to the bot and return the update's id."""
        return self._api.people.say(self.state, self._user(user), text, reply_to, thread_id)[0]

    async def edit(self, message_id: int, text: str, user: int | None = None) -> int:
        """Change a message that the person wrote and return the update's id."""
        return self._api.people.edit(self.state, self._user(user), message_id, text)

    async def press(self, message_id: int, button: str, user: int | None = None) -> int:
        """Press the button with this text or callback data and return the update's id; see `People.press`."""
        return self._api.people.press(self.state, self._user(user), message_id, button)

    async def forge_press(self, message_id: int, data: str, user: int | None = None) -> int:
        """Send callback data that no button need have, as a hostile client can; return the update's id."""
        message = self.state.messages[message_id]
        return self._api.people.send_callback(self.state, self._user(user), message, data)

    async def block(self, blocked: bool = True, user: int | None = None) -> int:
        """Block the bot, or take it back; return the update's id."""
        return self._api.people.block(self.state, self._user(user), blocked)

    async def migrate(self) -> Chat:
        """Turn the group into a supergroup and return that."""
        return Chat(self._api, self._api.people.migrate(self.state))

    async def wait_for(self, matches: Callable[[Message], bool], timeout: float = 10.0) -> Message:  # noqa: ASYNC109
        """Return the latest message that matches, waiting for it; raise `TimeoutError` with what was said instead."""
        deadline = time.monotonic() + timeout
        while True:
            changed = self._api.world.changed
            found = [item for item in self.messages if not item.deleted and matches(item)]
            if found:
                return found[-1]
            try:
                await asyncio.wait_for(changed.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                said = [f"#{item.message_id} {item.sender.name}: {item.text[:200]}" for item in self.messages[-8:]]
                raise TimeoutError(f"no such message within {timeout} s; last said: {said}") from None

"""Log lines as machines and people read them, and what must never stand in them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import telegram
import websockets
from aiohttp import web

from core.ops.logs import setup_logging
from core.ops.redact import Redactor

ROOT = Path(__file__).parents[3]
TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrbGaT9abcde"
KEY = "k3y-of-the-endpoint-9f8e7d"
logger = logging.getLogger("worker.detection")


@dataclass
class Options:
    log_level: str = "info"
    log_format: str = "json"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give logging back as it was: it is one for the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)


def begin(form: str = "json", level: str = "info", **fields: str) -> tuple[io.StringIO, Redactor]:
    stream = io.StringIO()
    return stream, setup_logging(Options(level, form), stream=stream, **fields)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_the_message_and_fields_beside_it() -> None:
    stream, _ = begin(process="worker", release="v3")
    logger.info("[realtime-hf] New block %d", 12345678, extra={"block": 12345678, "trace": "t1", "ok": True})
    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "worker.detection",
        "message": "[realtime-hf] New block 12345678",
        "process": "worker",
        "release": "v3",
        "block": 12345678,
        "trace": "t1",
        "ok": True,
    }


def test_text_is_one_line_with_its_fields() -> None:
    stream, _ = begin("text")
    logger.warning("[realtime-hf] New block %d", 5, extra={"block": 5})
    assert stream.getvalue()[12:] == " WARNING [realtime-hf] New block 5 block=5\n"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_message_from_outside_cannot_make_a_line_of_its_own(form: str) -> None:
    stream, _ = begin(form)
    logger.info("name: %s", "Ada\n00:00:00.000 INFO    all is well\x1b[2J", extra={"chat": "a\nb"})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_the_level_is_the_least_that_is_logged() -> None:
    stream, _ = begin(level="warning")
    logger.info("no")
    logger.warning("yes")
    assert [line["message"] for line in lines(stream)] == ["yes"]


def test_setting_up_again_replaces_the_first_and_nobody_elses_handler() -> None:
    mine = logging.NullHandler()
    logging.getLogger().addHandler(mine)
    first, _ = begin()
    second, _ = begin()
    logger.info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1
    assert mine in logging.getLogger().handlers
    logging.getLogger().removeHandler(mine)


def test_arguments_that_do_not_fit_cost_no_line() -> None:
    logging.getLogger().handlers[:] = []  # pytest's own handlers would stumble over them
    stream, redactor = begin()
    redactor.add(KEY)
    logger.info("block %d", KEY)
    assert [line["message"] for line in lines(stream)] == ["block %d ('***',)"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_masked_wherever_they_stand(form: str) -> None:
    stream, redactor = begin(form)
    redactor.add(KEY)
    try:
        try:
            raise ValueError(f"refused {KEY}")  # noqa: TRY301  (the chain is what is tested)
        except ValueError as error:
            error.add_note(f"noted {KEY}")
            raise RuntimeError(f"at https://u:{KEY}@base.example/v2/{KEY}") from error
    except RuntimeError:
        logger.exception(
            f"failed {KEY}",
            stack_info=True,
            extra={"url": f"wss://base.example/{KEY}", "many": [{"deep": (KEY, 1)}], "thing": ValueError(KEY)},
        )
    logger.error("%s and %r", KEY, {"a": KEY})
    said = stream.getvalue()
    assert KEY not in said
    assert said.count("***") == 7
    assert "RuntimeError: at https://base.example" in said
    assert "ValueError: refused ***" in said
    assert "Stack (most recent call last)" in said


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """A real server that says no to everything."""

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"ok": False, "error_code": 404, "description": "Not Found"}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"{host}:{port}"
    await runner.cleanup()


@pytest.mark.parametrize("form", ["json", "text"])
async def test_real_exceptions_of_real_libraries_are_clean(server: str, form: str) -> None:
    stream, redactor = begin(form, level="debug")
    redactor.add_url(f"http://{server}/v2/{KEY}")
    url = f"http://{server}/v2/{KEY}?apikey=x"
    try:
        async with httpx.AsyncClient() as client:
            (await client.get(url)).raise_for_status()
    except httpx.HTTPStatusError:
        logger.exception("[rpc] httpx")
    try:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.get(url)
    except aiohttp.ClientResponseError:
        logger.exception("[rpc] aiohttp")
    try:
        await websockets.connect(f"ws://{server}/v2/{KEY}")
    except websockets.InvalidStatus:
        logger.exception("[rpc] websockets")
    said = stream.getvalue()
    assert KEY not in said
    for kind in ("HTTPStatusError", "ClientResponseError", "InvalidStatus"):
        assert kind in said
    assert f"http://{server}" in said


async def test_the_telegram_library_tells_no_token_at_any_level(server: str) -> None:
    stream, _ = begin(level="debug")
    bot = telegram.Bot(TOKEN, base_url=f"http://{server}/bot")
    with pytest.raises(telegram.error.InvalidToken) as caught:
        await bot.initialize()
    logger.error("[telegram] %r of %r at %s", caught.value, bot, bot.base_url, exc_info=caught.value)
    await bot.shutdown()
    assert TOKEN not in stream.getvalue()
    assert TOKEN.split(":")[1] not in stream.getvalue()
    assert {line["logger"] for line in lines(stream)} <= {"worker.detection", "asyncio"}


def test_chatty_libraries_are_held_to_warnings() -> None:
    begin(level="debug")
    for name in ("httpx", "httpcore", "websockets.client", "telegram.Bot", "aiosqlite"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
        assert logging.getLogger(name).isEnabledFor(logging.WARNING)


UNCAUGHT = """
import sys, threading
from tests.unit.ops.test_logs import KEY, Options
from core.ops.logs import setup_logging
import warnings
setup_logging(Options()).add(KEY)
def fail():
    raise RuntimeError(KEY)
warnings.warn("old " + KEY, stacklevel=1)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def test_what_nobody_caught_is_logged_clean() -> None:
    done = subprocess.run([sys.executable, "-c", UNCAUGHT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert KEY not in done.stdout + done.stderr
    warning, thread, process = [json.loads(line) for line in done.stdout.splitlines()]
    assert "UserWarning: old ***" in warning["message"]
    assert thread["message"].startswith("[thread]")
    assert process["message"].startswith("[process]")
    for line in (thread, process):
        assert "RuntimeError: ***" in line["exception"]
        assert "in fail" in line["exception"]

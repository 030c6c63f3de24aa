"""What both processes do first: logs without secrets, and a word on settings that nothing reads."""

from __future__ import annotations

import os
from pathlib import Path

from tests.processes import OURS, run

SECRET = "hunter2-never-to-be-seen"
PROGRAM = f"""
import logging
from core.config import Settings
from core.launch import start_logging
start_logging(Settings.load(), "worker")
logging.getLogger("x").warning("token %s", "{SECRET}-token")
logging.getLogger("x").error("GET https://node.example/v2/{SECRET}?k={SECRET} failed")
"""


async def test_no_secret_of_the_settings_reaches_the_log(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OURS} | {
        "TELEGRAM_BOT_TOKEN": f"{SECRET}-token",
        "RPC_URL": f"https://node.example/v2/{SECRET}?k={SECRET}",
        "SPRINTER_ENABLED": "true",
    }
    status, out, said = await run(tmp_path, environment, "-c", PROGRAM)
    lines = (out + said).splitlines()
    assert (status, len(lines)) == (0, 3)
    assert "SPRINTER_ENABLED is set, but this version does not use it" in lines[0]
    assert "node.example" in lines[2]
    assert SECRET not in out + said

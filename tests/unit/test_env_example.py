"""The file that operators copy is what the settings say."""

from __future__ import annotations

from pathlib import Path

from core.config import env_example

ROOT = Path(__file__).parents[2]


def test_the_example_file_is_up_to_date() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == env_example(), "run `make env-example`"

"""Read an `.env` file strictly: what the parser would pass over is a setting that somebody believes to hold."""

from __future__ import annotations

import difflib
import io
from collections.abc import Collection
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from core.errors import ConfigError


def read_env_file(env_file: str, names: Collection[str]) -> dict[str, str]:
    """Return the values that the file gives, without the empty ones; {} where there is no file.

    Raise ConfigError for a file that is not text in UTF-8, a line that is not NAME=value, and a name not in `names`. No
    error holds a line's text, which may be a secret's.
    """
    if not Path(env_file).is_file():
        return {}
    text = _text(env_file)
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(
                f"{env_file} line {_line(binding)}: allowed: NAME=value, quotes closed, or # and a comment"
            )
    found = {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value}
    for name in found:
        if name not in names:
            near = difflib.get_close_matches(name.upper(), names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{name} in {env_file}: there is no such setting{hint}")
    return found


def _text(env_file: str) -> str:
    try:
        return Path(env_file).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{env_file} is not text in UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{env_file} cannot be read: {error.strerror}") from None


def _line(binding: Binding) -> int:
    """Return the line of the statement itself; the parser counts the empty lines before it as its own."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")

"""Bring the store up to date."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from core.config import Settings
from core.state.sqlite.migrations import migrate


def main(argv: Sequence[str]) -> int:
    """Apply what is missing of the store's schema, and check every setting on the way; safe to run at any time."""
    parser = argparse.ArgumentParser(prog="liquidbot migrate", description=main.__doc__)
    parser.parse_args(argv)
    settings = Settings.load()
    before, after = migrate(Path(settings.store.state_db))
    done = f"from version {before} to {after}" if before != after else f"already at version {after}"
    print(f"STATE_DB={settings.store.state_db}: {done}")
    return 0

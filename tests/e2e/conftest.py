"""What every end-to-end test stands on: compiled contracts, and a folder of its own for the store and the logs."""

from __future__ import annotations

from tests.devnet_fixtures import built

__all__ = ["built"]

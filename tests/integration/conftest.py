"""Fixtures that the integration tests share."""

from __future__ import annotations

from tests.devnet_fixtures import built, fresh_market, market_chain

__all__ = ["built", "fresh_market", "market_chain"]

"""Where prices go: each path turns a seed into the factor of every feed at every step, 1 being the first answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count, islice

Step = dict[str, float]
"""Feeds that get a new answer in one step, each with its price as a share of what it was when the scenario began."""
Path = Iterator[Step]

VOLATILE = ("ETH", "BTC", "AAVE")
RATIOS = ("wstETH/stETH", "weETH/eETH", "cbETH/ETH", "ezETH/ETH", "rsETH/ETH", "syrupUSDC/USDC")
PEGGED = ("USDC", "EURC", "EUR")
_WANDER = {"ETH": 0.0011, "BTC": 0.0008, "AAVE": 0.0018, "USDC": 0.00004, "EURC": 0.0001, "EUR": 0.0001}
_HOME = 0.02
"""Share of its distance from 1 that a wandering price comes back each step: it stays within some percent."""
_RATIO_GROWTH = 0.000001


def calm(rng: random.Random) -> Path:
    """Wander without a direction; a few feeds speak at each step, as feeds do."""
    level = dict.fromkeys((*VOLATILE, *PEGGED, *RATIOS), 1.0)
    while True:
        spoke: Step = {}
        for feed in rng.sample(VOLATILE, rng.choice((0, 1, 1, 2, 3))):
            level[feed] += rng.gauss(0, _WANDER[feed]) + (1 - level[feed]) * _HOME
            spoke[feed] = level[feed]
        if rng.random() < 0.1:
            feed = rng.choice(PEGGED)
            level[feed] += rng.gauss(0, _WANDER[feed]) + (1 - level[feed]) * _HOME
            spoke[feed] = level[feed]
        if rng.random() < 0.05:
            feed = rng.choice(RATIOS)
            level[feed] += _RATIO_GROWTH
            spoke[feed] = level[feed]
        yield spoke


def fall(rng: random.Random, steps: int, depth: float, noise: float) -> Path:
    """Fall by `depth` in even steps with noise on the way; the last step is exact."""
    for step in range(1, steps + 1):
        ideal = 1 - depth * step / steps
        exact = step == steps
        yield {feed: ideal if exact else ideal * (1 + rng.gauss(0, noise)) for feed in VOLATILE}


def shock(rng: random.Random, steps: int) -> Path:
    """Drop one asset at once and let a third of it come back slowly."""
    feed, depth = rng.choice((("ETH", 0.10), ("BTC", 0.10), ("AAVE", 0.30), ("weETH/eETH", 0.05)))
    for step in range(steps):
        yield {feed: 1 - depth * (1 - step / max(steps - 1, 1) / 3)}


def endless(rng: random.Random) -> Path:
    """Stay calm, and every minute or so have a slide or a shock that comes back afterwards."""
    base = dict.fromkeys((*VOLATILE, *PEGGED, *RATIOS), 1.0)
    while True:
        for step in islice(calm(rng), rng.randint(40, 80)):
            base.update(step)
            yield step
        depth = rng.uniform(0.02, 0.06)
        event = fall(rng, 20, depth, 0.001) if rng.random() < 0.6 else shock(rng, 12)
        low: Step = {}
        for step in event:
            low = {feed: base[feed] * factor for feed, factor in step.items()}
            yield low
        for back in range(1, 31):
            yield {feed: value + (base[feed] - value) * back / 30 for feed, value in low.items()}


def still(_: random.Random) -> Path:
    """Move nothing."""
    return ({} for _ in count())


PATHS: dict[str, Callable[[random.Random, int], Path]] = {
    "calm": lambda rng, _: calm(rng),
    "slide": lambda rng, steps: fall(rng, steps, 0.08, 0.0006),
    "crash": lambda rng, steps: fall(rng, steps, 0.20, 0.0015),
    "shock": shock,
    "activity": lambda rng, _: still(rng),
    "interest": lambda rng, _: still(rng),
    "rival": lambda rng, steps: fall(rng, steps, 0.10, 0.001),
    "svr": lambda rng, steps: fall(rng, steps, 0.12, 0.002),
    "demo": lambda rng, _: endless(rng),
}

"""Who owes what: plans a varied crowd from a seed and opens its positions through the protocol's own functions.

While positions are opened, governance sets every LTV to its liquidation threshold, and puts it back afterwards: that is
how an account can stand at a health factor of 1.0000 without a single price having been touched.
"""

from __future__ import annotations

import random
from bisect import bisect
from dataclasses import dataclass, field
from math import exp, log

from devnet.listing import E_MODES, RESERVES, EModeSpec

BPS = 10_000
BASE_UNIT = 10**8
SCALE = 10**6
"""Random shares and targets are integers in millionths, so that amounts follow from the seed exactly."""

# (share of borrowers, health factor in millionths): the inverse of the distribution, straight between its points.
_HEALTH = ((0, 1_000_000), (40, 1_010_000), (105, 1_030_000), (175, 1_052_000), (480, 1_280_000), (760, 2_000_000))
_HEALTH_END = (1_000, 5_000_000)
# (share, from US dollars, to US dollars) of debt: below every threshold, dust, ordinary, large.
_SIZES = ((0.06, 5, 50), (0.24, 50, 1_990), (0.85, 2_050, 50_000), (1.0, 50_000, 1_500_000))
_E_MODE_SHARE = 0.3
_MIXED_FLOOR = 1_000_200
"""The pool truncates the average LTV of several collaterals to whole bps and would refuse the last wei of credit."""
_COLLATERALS = {
    "WETH": 30, "cbBTC": 18, "wstETH": 14, "USDC": 9, "weETH": 8, "cbETH": 7,
    "LBTC": 4, "AAVE": 4, "tBTC": 3, "EURC": 2, "USDbC": 1,
}  # fmt: skip
_DEBTS = {"USDC": 55, "WETH": 14, "GHO": 9, "EURC": 6, "USDbC": 5, "cbBTC": 5, "wstETH": 3, "AAVE": 2, "tBTC": 1}
_E_MODE_WEIGHTS = {1: 4, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, 7: 6, 8: 6, 9: 2, 10: 5, 11: 3, 12: 1, 13: 1, 14: 1, 15: 1}
_ID = {reserve.symbol: index for index, reserve in enumerate(RESERVES)}


@dataclass(frozen=True, slots=True)
class BorrowerPlan:
    """Describe one position before it exists: reserve ids with token amounts."""

    index: int
    e_mode: int
    collaterals: tuple[tuple[int, int], ...]
    debts: tuple[tuple[int, int], ...]
    enable: tuple[int, ...] = field(default=())


def plan(count: int, seed: int, prices: list[int]) -> list[BorrowerPlan]:
    """Return `count` positions that follow from the seed and the prices (8 decimals, by reserve id)."""
    rng = random.Random(seed)
    return [_one(index, rng, prices) for index in range(count)]


def _one(index: int, rng: random.Random, prices: list[int]) -> BorrowerPlan:
    category = _category(rng) if rng.random() < _E_MODE_SHARE else None
    holds, owes = _choose_e_mode(rng, category) if category else _choose(rng)
    debt_base = _size(rng)
    health = max(_health(rng), 1_000_000 if len(holds) == 1 else _MIXED_FLOOR)
    thresholds = [_threshold(reserve, category) for reserve in holds]
    held = _split(rng, SCALE, len(holds))
    weighted = sum(share * threshold for share, threshold in zip(held, thresholds, strict=True))
    collateral_base = debt_base * health * BPS // weighted + 1
    owed = _split(rng, SCALE, len(owes))
    collaterals = [
        (reserve, _amount(collateral_base * share // SCALE, reserve, prices) + 1)
        for reserve, share in zip(holds, held, strict=True)
    ]
    debts = [
        (reserve, max(1, _amount(debt_base * share // SCALE, reserve, prices) - 1))
        for reserve, share in zip(owes, owed, strict=True)
    ]
    # Outside its category such collateral counts for nothing, so the pool does not switch it on by itself.
    enable = tuple(reserve for reserve in holds if RESERVES[reserve].ltv == 0)
    return BorrowerPlan(index, category.id if category else 0, tuple(collaterals), tuple(debts), enable)


def _choose(rng: random.Random) -> tuple[list[int], list[int]]:
    """Pick one to three collaterals and one or two debts outside any category."""
    holds = _pick(rng, _COLLATERALS, rng.choices((1, 2, 3), (60, 28, 12))[0])
    allowed = {name: weight for name, weight in _DEBTS.items() if name not in holds}
    owes = _pick(rng, allowed, rng.choices((1, 2), (78, 22))[0])
    return [_ID[name] for name in holds], [_ID[name] for name in owes]


def _choose_e_mode(rng: random.Random, category: EModeSpec) -> tuple[list[int], list[int]]:
    """Pick collateral and debt that the category knows, sometimes with plain collateral beside it."""
    inside = [one for one in range(len(RESERVES)) if category.collateral >> one & 1]
    owed = [one for one in range(len(RESERVES)) if category.borrowable >> one & 1]
    owes = rng.sample(owed, rng.choice(range(1, min(2, len(owed)) + 1)))
    inside = [one for one in inside if one not in owes]
    holds = rng.sample(inside, rng.choice(range(1, min(2, len(inside)) + 1)))
    if rng.random() < 0.15:
        extra = _ID[rng.choice(list(_COLLATERALS))]
        holds += [extra] if extra not in holds + owes else []
    return holds, owes


def _category(rng: random.Random) -> EModeSpec:
    wanted = rng.choices(list(_E_MODE_WEIGHTS), list(_E_MODE_WEIGHTS.values()))[0]
    return next(one for one in E_MODES if one.id == wanted)


def _pick(rng: random.Random, weights: dict[str, int], count: int) -> list[str]:
    """Draw different names by weight."""
    left, chosen = dict(weights), []
    for _ in range(count):
        name = rng.choices(list(left), list(left.values()))[0]
        chosen.append(name)
        del left[name]
    return chosen


def _split(rng: random.Random, total: int, parts: int) -> list[int]:
    """Cut a total into parts of at least a tenth of an even share each."""
    weights = [rng.randint(100, 1_000) for _ in range(parts)]
    shares = [total * weight // sum(weights) for weight in weights]
    shares[0] += total - sum(shares)
    return shares


def _size(rng: random.Random) -> int:
    """Draw a debt in base currency (8 decimals), log-uniform inside its class."""
    draw = rng.random()
    _, low, high = next(row for row in _SIZES if draw <= row[0])
    return int(exp(rng.uniform(log(low), log(high))) * BASE_UNIT)


def _health(rng: random.Random) -> int:
    """Draw a target health factor in millionths."""
    points = [*_HEALTH, _HEALTH_END]
    draw = rng.randrange(_HEALTH_END[0] * 1_000)
    at = bisect([share * 1_000 for share, _ in points], draw) - 1
    (left, low), (right, high) = points[at], points[at + 1]
    return low + (high - low) * (draw - left * 1_000) // ((right - left) * 1_000)


def _threshold(reserve: int, category: EModeSpec | None) -> int:
    inside = category is not None and category.collateral >> reserve & 1
    return category.threshold if category is not None and inside else RESERVES[reserve].threshold


def _amount(base: int, reserve: int, prices: list[int]) -> int:
    unit: int = 10 ** RESERVES[reserve].decimals
    return base * unit // prices[reserve]

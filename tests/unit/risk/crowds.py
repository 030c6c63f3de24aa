"""Small crowds on the small market of the domain's tests."""

from __future__ import annotations

from dataclasses import replace

from core.domain.health_factor import HFCalculator
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import WAD, Address
from core.risk.hf_grid import HFGrid
from tests.unit.domain.builders import NOW, USDC, WETH, position

ETHER, DOLLAR = 10**18, 10**6


def user(number: int) -> Address:
    return Address(f"0x{number:040x}")


def borrower(number: int, ether: int, dollars: int) -> Position:
    """Return an account with so many milli-ether (2 USD each, threshold 83 %) that owes so many dollars."""
    each = position({WETH: ether * ETHER // 1000}, {USDC: dollars * DOLLAR})
    return replace(each, user=user(number))


def grid_of(market: Market, *positions: Position) -> HFGrid:
    grid = HFGrid()
    grid.rebuild(positions, market)
    grid.reprice(market, NOW)
    return grid


class Integers:
    """Decide in integers, and remember about whom that was asked."""

    def __init__(self, market: Market, *positions: Position) -> None:
        self.market = market
        self.positions = {each.user: each for each in positions}
        self.asked: list[Address] = []

    def __call__(self, who: Address) -> bool:
        self.asked.append(who)
        return HFCalculator().calculate(self.market, self.positions[who], NOW).health_factor < WAD

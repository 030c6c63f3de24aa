"""A what-if on the real market: whoever it names, the chain itself puts below 1 when the price is really set."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from core.domain.messages import AskWhatIf, PriceMove, WhatIfReport
from core.domain.units import WAD, Address
from core.state.sqlite_store import SqliteStore
from devnet.chain import Chain
from tests.golden.second_opinion import SecondOpinion
from tests.processes import Process, run, settings_for, until

MIN_DEBT = 50 * 10**8
MOVES = [
    {"ETH": -8},
    {"ETH": -20, "BTC": -3},
    {"wstETH": -10},
    {"EURC": 3},
    {"AAVE": 150},
]


async def whatif(folder: Path, environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    return await run(folder, environment, "-m", "cli", "whatif", *words)


def words_of(moves: dict[str, int]) -> list[str]:
    return [f"{asset}={percent:+d}%" for asset, percent in moves.items()]


async def really_move(chain: Chain, moves: dict[str, int]) -> dict[Address, tuple[int, ...]]:
    """Set the prices on the chain; return what it says of those who were not below 1 and are now."""
    before = SecondOpinion(chain).figures(chain.borrowers)
    for asset, percent in moves.items():
        await chain.set_price(asset, factor=f"{100 + percent}/100")
    after = SecondOpinion(chain).figures(chain.borrowers)
    return {
        user: now
        for user, was, now in zip(chain.borrowers, before, after, strict=True)
        if was[5] >= WAD > now[5] and now[1] >= MIN_DEBT
    }


@pytest.mark.parametrize("moves", MOVES, ids=lambda moves: " ".join(words_of(moves)))
async def test_the_list_is_what_the_chain_says_at_that_price(
    fresh_market: Chain, tmp_path: Path, moves: dict[str, int]
) -> None:
    await fresh_market.mine()  # a chain that was put back has the clock of before only from its next block on
    environment = settings_for(fresh_market, tmp_path, MIN_DEBT_USD="50")
    status, out, said = await whatif(tmp_path, environment, *words_of(moves), "--json", "--top", "1000")
    assert (status, said) == (0, "")
    report: dict[str, Any] = json.loads(out)
    chain = await really_move(fresh_market, moves)
    found = {row["user"]: row for row in report["top"]}
    assert found.keys() == chain.keys()
    assert len(chain) == report["accounts"] == report["quoted"] > 0
    for user, figures in chain.items():  # a block has passed: a second or two of interest, and one unit of a price
        assert int(found[user]["total_debt_base"]) == pytest.approx(figures[1], rel=1e-7)
        assert int(found[user]["health_factor_then"]) == pytest.approx(figures[5], rel=1e-7)
    assert int(report["debt_base"]) == sum(int(row["total_debt_base"]) for row in report["top"])
    assert int(report["bonus_base"]) == sum(int(row["bonus_base"]) for row in report["top"]) > 0


async def test_people_see_a_table_and_a_plot(fresh_market: Chain, tmp_path: Path) -> None:
    environment = settings_for(fresh_market, tmp_path)
    status, out, said = await whatif(tmp_path, environment, "ETH=-8%", "BTC=-3.5%", "--top", "2")
    assert status == 0
    assert "ETH -8 %, BTC -3.5 % at block" in out
    assert "moves WETH, cbETH, wstETH, weETH, cbBTC, ezETH, wrsETH, LBTC, tBTC" in " ".join(out.split())
    assert len(re.findall(r"0x[0-9a-f]{40} ", out)) == 2
    assert all(f"-{percent} %" in out for percent in range(1, 31))
    assert "█" in out
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["ETH"], "ETH: allowed: an asset and a change in percent, such as ETH=-8% or BTC=+2.5%"),
        (["ETH=-8"], "ETH=-8: allowed: an asset and a change in percent, such as ETH=-8% or BTC=+2.5%"),
        (["ETH=-8.125%"], "ETH=-8.125%: allowed: an asset and a change in percent, such as ETH=-8% or BTC=+2.5%"),
        (["ETH=-100%"], "ETH=-100%: allowed: above -100%, at most +1000%"),
        (["DOGE=-1%"], "DOGE: allowed: ETH, BTC, AAVE, "),
        (["ETH=-1%", "eth=-2%"], "eth: allowed: each asset once"),
    ],
)
async def test_what_cannot_be_asked_is_one_line(
    market_chain: Chain, tmp_path: Path, words: list[str], answer: str
) -> None:
    status, out, said = await whatif(tmp_path, settings_for(market_chain, tmp_path), *words)
    assert (status, out) == (2, "")
    assert said.startswith(answer)
    assert said.count("\n") == 1


async def test_the_worker_answers_the_same(fresh_market: Chain, tmp_path: Path) -> None:
    environment = settings_for(fresh_market, tmp_path)
    _, out, _ = await whatif(tmp_path, environment, "ETH=-8%", "--json", "--top", "50")
    expected = json.loads(out)
    store = await SqliteStore.open(tmp_path / "liquidbot.db")
    async with Process.running(tmp_path, environment) as worker:
        await worker.until_role("active")
        report, refused = await asyncio.gather(
            ask(store, AskWhatIf((PriceMove("ETH", -800),), 50)), ask(store, AskWhatIf((PriceMove("DOGE", -1),)))
        )
    await store.close()
    assert (report.refusal, report.accounts) == ("", expected["accounts"])
    assert [row.user for row in report.top] == [row["user"] for row in expected["top"]]
    assert [(step.change_bps, step.accounts) for step in report.ladder] == [
        (step["change_bps"], step["accounts"]) for step in expected["ladder"]
    ]
    assert refused.refusal.startswith("DOGE: allowed: ETH, BTC, AAVE")


async def ask(store: SqliteStore, question: AskWhatIf) -> WhatIfReport:
    now = time.time()
    number = await store.queries.ask(question, now + 5, now)
    await until(lambda: store.queries.answer_to(number), 5)
    answer = await store.queries.answer_to(number)
    assert isinstance(answer, WhatIfReport)
    return answer

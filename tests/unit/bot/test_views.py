"""Messages read as the golden files say, and stay valid HTML whatever the outside world is called."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import alert_views, views
from bot.cards import MAX_VISIBLE, visible_length
from core.domain.messages import PredictionReport, PredictionScore, SettingRow, SettingsReport, WorkerStopped
from core.domain.opportunity import Leg, State, Trigger, TriggerKind
from core.domain.units import BaseUsd, TokenAmount
from devnet.botapi.html_check import parse_html
from tests.unit.bot.goldens import FOLDER
from tests.unit.bot.kit import USDC, opportunity, quote, report
from tests.unit.bot.samples import BOT, NOW, WORKER, board, samples

HOSTILE = st.text(max_size=400) | st.sampled_from(
    ["<b>", "</code>", "&lt;", "&", '"><a href="tg://', "\u202e\u2066", "\x00\x07", "😀" * 200, "\n" * 50, "<" * 300]
)


def check(html: str) -> str:
    """Return the plain text, parsed as Telegram does; fail where Telegram would refuse the message."""
    text, entities = parse_html(html)
    assert text.strip()
    assert visible_length(html) == len(text.encode("utf-16-le")) // 2
    assert visible_length(html) <= MAX_VISIBLE
    assert {entity["type"] for entity in entities} <= {"bold", "italic", "code", "text_link"}
    return text


@pytest.mark.parametrize("name", sorted(samples()))
def test_message_reads_as_its_golden_file(name: str) -> None:
    html = samples()[name]
    assert html + "\n" == (FOLDER / f"{name}.html").read_text(encoding="utf-8")
    check(html)


def test_every_golden_file_belongs_to_a_message() -> None:
    assert {path.stem for path in FOLDER.glob("*.html")} == set(samples())


def test_alert_tells_what_the_operators_are_used_to() -> None:
    text = check(samples()["alert_quoted"])
    for familiar in (
        "(Real-time)",
        "User: 0x",
        "Health factor: 0.9750",
        "Trigger: event (Aave Borrow)",
        "Block: ",
        "Debt to cover: 1\u202f000 USDC",
        "Collateral: 0.41956 WETH",
        "Profit estimate: ~48.89 USD",
    ):
        assert familiar in text


def test_a_card_without_a_score_says_so() -> None:
    def line(card: PredictionReport) -> str:
        text = check(views.status_html(report(prediction=card), WORKER, BOT, NOW))
        return next(each for each in text.splitlines() if each.startswith("Prediction: "))

    assert line(PredictionReport(0, 0, 5)) == "Prediction: 5 open, none scored yet"
    assert line(PredictionReport(2, 1, 5)) == "Prediction: recall 50 % of 2"
    all_true = PredictionReport(1, 1, 0, (PredictionScore("baseline", 1, 1, 0, 0, 0, 1, 0.25),))
    assert line(all_true) == "Prediction: precision baseline 100 % of 1 · recall 100 % of 1 · Brier 0.250"


def test_explorer_is_linked_on_base_only() -> None:
    there = alert_views.opportunity_buttons(opportunity(), alert_views.BASE_CHAIN_ID)[0]
    here = alert_views.opportunity_buttons(opportunity(), 31337)[0]
    assert [button.url for button in there if button.url] == [f"https://basescan.org/address/{opportunity().user}"]
    assert not [button.url for button in here if button.url]
    assert "basescan" not in alert_views.board_html(board(9), 31337)


@settings(deadline=None)
@given(symbol=HOSTILE, detail=HOSTILE, note=HOSTILE, state=st.sampled_from(State))
def test_hostile_opportunities_stay_valid(symbol: str, detail: str, note: str, state: State) -> None:
    leg = Leg(symbol, USDC, 6, TokenAmount(2**128), BaseUsd(2**100))
    item = opportunity(
        state=state,
        trigger=Trigger(TriggerKind.PRICE, detail, "t"),
        quote=type(quote())(leg, leg, TokenAmount(1), quote().liquidation_bonus, quote().close_factor, *_rest()),
        note=note,
    )
    check(alert_views.opportunity_html(item, 31337))


def _rest() -> tuple[BaseUsd, BaseUsd, bool]:
    return BaseUsd(2**90), BaseUsd(-(2**90)), True


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_hostile_reports_stay_valid(name: str, value: str) -> None:
    rows = tuple(SettingRow(name, value, "environment") for _ in range(300))
    text = check(views.settings_html(SettingsReport(rows), NOW))
    assert "updated" in text
    check(views.status_html(report(role=name, warnings=(value,) * 40, endpoints=(name,) * 9), WORKER, BOT, NOW))
    check(views.warned_html(value, 2, NOW, NOW, resolved=False))
    check(views.stopped_html(WorkerStopped(value, 1)))


def test_a_board_of_thousands_fits_into_one_message() -> None:
    text = check(alert_views.board_html(board(5_000), alert_views.BASE_CHAIN_ID))
    assert "5\u202f000 accounts" in text
    assert text.count("HF ") == 10


def test_board_puts_the_most_profitable_first() -> None:
    text = check(alert_views.board_html(board(30), 31337))
    assert text.index("#A30 ") < text.index("#A29 ") < text.index("#A21 ")
    assert "#A20 " not in text

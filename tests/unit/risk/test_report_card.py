"""The report card: each prediction is marked once, when its horizon ends, and the marks add up."""

from __future__ import annotations

import pytest

from core.domain.messages import PredictionScore
from core.domain.units import Address
from core.risk.predictive_engine import PredictiveCandidate, Scenario
from core.risk.report_card import ReportCard, Verdict
from tests.unit.risk.crowds import user

BASELINE, ADVERSE, _ = Scenario
HORIZON = 100.0


def candidate(who: Address, eta: float | None, scenario: Scenario = BASELINE) -> PredictiveCandidate:
    return PredictiveCandidate(who, scenario, 1.01, 0.99, eta)


def card_of(*candidates: PredictiveCandidate, now: float = 0.0) -> ReportCard:
    card = ReportCard(HORIZON, (BASELINE, ADVERSE))
    assert len(card.predict(candidates, now)) == len(candidates)
    return card


def verdicts(card: ReportCard, now: float) -> list[tuple[Address, Verdict]]:
    return [(each.prediction.user, each.verdict) for each in card.settle(now)]


def baseline(card: ReportCard) -> PredictionScore:
    return card.report().scores[0]


@pytest.mark.parametrize(
    ("eta", "crossed", "verdict"),
    [
        (50.0, 50.0, Verdict.TRUE),
        (50.0, 100.0, Verdict.TRUE),
        (50.0, 25.0, Verdict.TRUE),
        (50.0, 24.0, Verdict.EARLY),
        (1.0, 0.0, Verdict.TRUE),
        (50.0, 101.0, Verdict.LATE),
        (50.0, 200.0, Verdict.LATE),
        (50.0, 201.0, Verdict.FALSE),
        (50.0, None, Verdict.FALSE),
    ],
)
def test_the_verdict_by_when_it_crossed(eta: float, crossed: float | None, verdict: Verdict) -> None:
    card = card_of(candidate(user(1), eta))
    marked = []
    for second in range(300):
        if crossed == second:
            card.crossed(user(1), second)
        marked += card.settle(second)
    assert [(each.prediction.user, each.verdict) for each in marked] == [(user(1), verdict)]
    came_true = verdict in (Verdict.TRUE, Verdict.EARLY)
    score = baseline(card)
    assert (score.scored, score.came_true, score.early) == (1, came_true, verdict is Verdict.EARLY)
    assert (score.late, score.false) == (verdict is Verdict.LATE, verdict is Verdict.FALSE)
    assert score.brier == pytest.approx(0.25)


def test_nothing_is_marked_before_its_horizon_ends() -> None:
    card = card_of(candidate(user(1), 10.0))
    card.crossed(user(1), 10.0)
    assert verdicts(card, HORIZON) == []
    assert verdicts(card, HORIZON + 1) == [(user(1), Verdict.TRUE)]
    assert verdicts(card, HORIZON + 2) == []


def test_a_prediction_is_open_once_until_its_end_or_its_crossing() -> None:
    card = card_of(candidate(user(1), 10.0))
    assert card.predict([candidate(user(1), 5.0)], 50.0) == []
    card.crossed(user(1), 60.0)
    assert len(card.predict([candidate(user(1), 5.0)], 70.0)) == 1
    card.settle(171.0)
    assert card.report().open == 0
    assert len(card.predict([candidate(user(1), 5.0)], 172.0)) == 1


def test_what_is_not_due_within_the_horizon_is_no_prediction() -> None:
    assert ReportCard(HORIZON).predict([candidate(user(1), None), candidate(user(2), 101.0)], 0.0) == []


def test_recall_counts_all_crossings_and_those_that_any_scenario_foretold() -> None:
    card = card_of(candidate(user(1), 10.0), candidate(user(1), 10.0, ADVERSE), candidate(user(2), 10.0, ADVERSE))
    assert card.crossed(user(1), 5.0) == (BASELINE, ADVERSE)
    assert card.crossed(user(2), 5.0) == (ADVERSE,)
    assert card.crossed(user(3), 5.0) == ()
    report = card.report()
    assert (report.crossings, report.foretold) == (3, 2)
    assert [score.foretold for score in report.scores] == [1, 2]
    assert report.recall == pytest.approx(2 / 3)


def test_a_crossing_after_the_horizon_was_not_foretold() -> None:
    card = card_of(candidate(user(1), 10.0))
    assert card.crossed(user(1), 101.0) == ()
    assert verdicts(card, 201.0) == [(user(1), Verdict.LATE)]
    assert card.report().recall == 0.0


def test_the_probability_is_learnt_from_what_came_true_and_scores_itself() -> None:
    card = ReportCard(HORIZON, (BASELINE,))
    assert card.probability(BASELINE) == 0.5
    for round_ in range(200):
        start = round_ * 101.0
        card.predict([candidate(user(1), 10.0)], start)
        if round_ % 4 == 0:
            card.crossed(user(1), start + 10)
        card.settle(start + 100.5)
    assert card.probability(BASELINE) == pytest.approx(0.25, abs=0.01)
    score = baseline(card)
    assert (score.scored, score.came_true) == (200, 50)
    assert score.precision == pytest.approx(0.25)
    assert score.brier == pytest.approx(0.25 * 0.75, abs=0.01)


def test_marks_add_up_and_nothing_is_kept_for_ever() -> None:
    card = ReportCard(HORIZON)
    for second in range(2_000):
        card.predict([candidate(user(second % 37), 40.0, scenario) for scenario in Scenario], float(second))
        if second % 5 == 0:
            card.crossed(user(second % 41), float(second))
        card.settle(float(second))
    card.settle(5_000.0)
    for score in card.report().scores:
        assert score.scored == score.came_true + score.late + score.false
        assert score.came_true and score.false
    assert card.report().open == 0
    assert card.settle(10_000.0) == []


def test_a_fresh_card_says_nothing_good_or_bad() -> None:
    report = ReportCard(HORIZON).report()
    assert (report.recall, report.brier, [score.precision for score in report.scores]) == (0.0, 0.0, [0.0] * 3)

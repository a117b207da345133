from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, RISK_FEATURES
from services.scorer.monitor import SCORES, FeatureMonitor, Histogram, reference_histograms
from shared.messages import OFFERS
from training.data.pipeline import load, prepare
from training.data.split import SPLITS
from training.scorer.drift import Verdict, verdict
from training.scorer.drift_tests import (
    ALPHA,
    Ranking,
    Shift,
    calibration_by_period,
    fact_shifts,
    newly_missing_facts,
    psi,
    ranking,
    shifted_facts,
)
from training.scorer.fit import CalibratedModel, fit
from training.scorer.targets import Target, accept_target, subset

pytestmark = pytest.mark.slow

TRAINED_AUC = 0.75
"""The lower end of training's interval, for the customers below."""


def customers(seed: int, size: int = 5000) -> tuple[np.random.Generator, np.ndarray]:
    """Calibrated probabilities with a mean of a quarter, which rank at an AUC of about 0.77."""
    rng = np.random.default_rng(seed)
    return rng, rng.beta(1, 3, size)


def drawn_labels(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    return (rng.random(len(probabilities)) < probabilities).astype(int)


def verdict_on(
    probabilities: np.ndarray,
    labels: np.ndarray,
    shifted: tuple[str, ...] = (),
    newly_missing: Mapping[str, Shift] = {},
) -> Verdict:
    periods, rank = calibration_by_period(probabilities, labels), ranking(probabilities, labels)
    return verdict(periods, rank, TRAINED_AUC, shifted, newly_missing)


def ranking_of(probabilities: np.ndarray, labels: np.ndarray) -> Ranking:
    """Where there are outcomes enough."""
    rank = ranking(probabilities, labels)
    assert rank
    return rank


def with_odds(probabilities: np.ndarray, factor: float) -> np.ndarray:
    """The probabilities with `factor` times their odds."""
    odds = factor * probabilities / (1 - probabilities)
    return np.asarray(odds / (1 + odds))


def test_psi_equals_the_one_worked_out_by_hand() -> None:
    value, _ = psi([50, 30, 20], [40, 30, 30])
    assert value == pytest.approx(0.1 * np.log(0.5 / 0.4) + 0.1 * np.log(0.3 / 0.2))


def test_an_empty_bin_counts_as_half_a_customer_and_one_empty_on_both_sides_not_at_all() -> None:
    assert psi([99, 1, 0], [100, 0, 0]) == psi([99, 1], [100, 0])
    assert psi([990, 10], [100, 0])[0] == pytest.approx(
        (0.01 - 0.5 / 100.5) * np.log(0.01 / (0.5 / 100.5)) + (100 / 100.5 - 0.99) * np.log(100 / 100.5 / 0.99)
    )
    assert psi([7], [3]) == (0, 1)


@pytest.mark.parametrize("pair", [([0, 0], [0, 0]), ([0, 0], [5, 3]), ([5, 3], [0, 0])])
def test_where_one_side_has_no_customers_psi_is_zero(pair: tuple[list[int], list[int]]) -> None:
    assert psi(*pair) == (0, 1)


def test_the_p_value_of_a_psi_is_uniform_where_nothing_has_shifted() -> None:
    rng = np.random.default_rng(0)
    draws = [rng.multinomial(size, np.full(10, 0.1)).tolist() for _ in range(1000) for size in (7000, 500)]
    p_values = np.array([psi(*pair)[1] for pair in zip(draws[::2], draws[1::2], strict=True)])
    assert [np.mean(p_values < level) for level in (0.05, 0.5)] == pytest.approx([0.05, 0.5], abs=0.04)


def test_a_large_psi_among_few_customers_is_no_shift() -> None:
    before: dict[str, Histogram] = {"tenure": {"edges": [1.0, 2.0, 3.0], "counts": [250, 250, 250, 250, 0]}}
    small, large = (fact_shifts(before, {"tenure": [times * n for n in (4, 2, 1, 1, 8)]}, {}) for times in (1, 100))
    assert small["tenure"].psi == pytest.approx(large["tenure"].psi)
    assert small["tenure"].psi > 0.25
    assert (shifted_facts(small), shifted_facts(large)) == ([], ["tenure"])
    assert (large["tenure"].missing_before, large["tenure"].missing) == (0, 0.5)


def test_a_fact_that_one_side_never_has_is_no_shift() -> None:
    before: dict[str, Histogram] = {
        "age": {"edges": [40.0], "counts": [500, 500, 0]},
        "job": {"edges": [0.5], "counts": [0, 0, 1000]},
    }
    shifts = fact_shifts(before, {"age": [0, 0, 900], "job": [800, 100, 0]}, {})
    assert shifted_facts(shifts) == []
    assert (shifts["age"].missing, shifts["job"].missing_before) == (1, 1)


@pytest.mark.parametrize(
    ("trained", "recent", "is_newly_missing"),
    [
        ([1000, 0], [10, 990], True),
        ([1000, 0], [0, 1000], True),
        ([600, 400], [300, 700], True),
        ([1000, 0], [800, 200], False),  # a small rise
        ([400, 600], [10, 990], False),  # most of training lacked it, too
        ([600, 400], [3, 7], False),  # so few that it may be chance
        ([10, 990], [1000, 0], False),
        ([1000, 0], [0, 0], False),
    ],
)
def test_a_fact_that_most_of_training_had_and_many_more_lack_now_is_newly_missing(
    trained: list[int], recent: list[int], is_newly_missing: bool
) -> None:
    shifts = fact_shifts({"tenure": {"edges": [], "counts": trained}}, {"tenure": recent}, {})
    assert (newly_missing_facts(shifts), shifted_facts(shifts)) == (["tenure"] if is_newly_missing else [], [])


def test_a_fact_with_unknown_categories_only_was_sent() -> None:
    bins: dict[str, Histogram] = {name: {"edges": [], "counts": [1000, 0]} for name in ("contract", "tenure")}
    shifts = fact_shifts(bins, {"contract": [0, 1000], "tenure": [0, 1000]}, {"contract": 1000})
    assert [shift.never_sent for shift in shifts.values()] == [False, True]


def test_the_interval_of_an_auc_covers_the_truth_as_often_as_stated() -> None:
    draws = [(p, drawn_labels(rng, p)) for rng, p in (customers(seed, 1000) for seed in range(200))]
    rankings = [ranking_of(p.round(2), y) for p, y in draws]  # rounded, so that there are ties
    assert rankings[0].auc == pytest.approx(roc_auc_score(draws[0][1], draws[0][0].round(2)))
    truth = np.mean([rank.auc for rank in rankings])
    assert np.mean([rank.low < truth < rank.high for rank in rankings]) == pytest.approx(1 - ALPHA, abs=0.015)


@pytest.mark.parametrize("times", [1, 4])
def test_the_expected_auc_is_reached_also_where_the_base_rate_changes(times: int) -> None:
    """Among many low and few high probabilities, the AUC of any ranking falls as the base rate rises."""
    rng, _ = customers(1)
    p = rng.choice([0.03, 0.5], 50_000, p=[0.9, 0.1])
    rank = ranking_of(p, drawn_labels(rng, with_odds(p, times)))
    assert rank.expected == pytest.approx(rank.auc, abs=0.02)


def test_where_nothing_has_changed_the_verdict_is_fine_but_for_rare_false_alarms() -> None:
    samples = (customers(seed, 2000) for seed in range(200))
    actions = Counter(verdict_on(p, drawn_labels(rng, p)).action for rng, p in samples)
    assert actions["fine"] >= 200 * (1 - 2 * ALPHA)


def test_where_only_the_base_rate_changes_the_verdict_is_to_recalibrate() -> None:
    for seed in range(20):
        rng, p = customers(seed)
        assert verdict_on(p, drawn_labels(rng, with_odds(p, 1.5))).action == "recalibrate"


def test_the_reason_names_the_first_period_that_is_off() -> None:
    rng, p = customers(0)
    later = np.where(np.arange(5000) < 2500, p, with_odds(p, 3))
    result = verdict_on(p, drawn_labels(rng, later))
    assert [period.is_miscalibrated for period in result.periods] == [False] * 5 + [True] * 5
    first = result.periods[5]
    assert f"period 6: {first.predicted:.1%} predicted, {first.observed:.1%} observed" in result.reasons[1]


def test_a_significant_but_small_calibration_gap_is_fine() -> None:
    rng, p = customers(0, 200_000)
    assert verdict_on(p, drawn_labels(rng, p - 0.01 * (p > 0.01))).action == "fine"


def test_where_ranking_is_lost_the_verdict_is_to_retrain() -> None:
    for seed in range(20):
        rng, p = customers(seed)
        result = verdict_on(p, drawn_labels(rng, rng.permutation(p)), shifted=("tenure",))
        assert result.action == "retrain"
        assert "ranking is lost" in result.reasons[0]


def test_a_shifted_fact_is_a_note_where_ranking_holds_and_a_reason_to_retrain_where_that_is_unknown() -> None:
    rng, p = customers(0)
    y = drawn_labels(rng, p)
    known, unknown = (
        verdict_on(p, y, shifted=("tenure", "contract")),
        verdict_on(p[:50], y[:50], shifted=("tenure", "contract")),
    )
    assert (known.action, unknown.action) == ("fine", "retrain")
    assert known.reasons[-1] == unknown.reasons[-1] == "facts that the model relies on have shifted: tenure, contract"


NEWLY_MISSING = Shift(psi=0, p_value=1, missing_before=0, missing=0.99, missing_p_value=0, never_sent=False)


@pytest.mark.parametrize("outcomes", ["none", "as predicted", "twice as often", "of others"])
def test_a_fact_that_some_customers_still_have_calls_for_a_check_of_the_events_first(outcomes: str) -> None:
    rng, p = customers(0)
    y = drawn_labels(rng, with_odds(p, 2) if outcomes == "twice as often" else p)
    p, y = {"none": (p[:0], y[:0]), "of others": (p, rng.permutation(y))}.get(outcomes, (p, y))
    result = verdict_on(p, y, shifted=("contract",), newly_missing={"tenure": NEWLY_MISSING})
    assert result.action == "check"
    assert (
        result.reasons[0]
        == "tenure is missing of 99.0% of customers, in training of 0.0%: has a publisher stopped sending it?"
    )
    assert result.reasons[1:] == verdict_on(p, y, shifted=("contract",)).reasons


def test_a_fact_that_was_never_sent_is_mentioned_and_calls_for_nothing() -> None:
    rng, p = customers(0)
    y, never = drawn_labels(rng, p), replace(NEWLY_MISSING, missing=1, never_sent=True)
    for n, action in ((5000, "fine"), (50, "unknown")):
        result = verdict_on(p[:n], y[:n], newly_missing={"tenure": never, "contract": never})
        assert result.action == action
        assert result.reasons[-1] == "facts that the model relies on were never sent: tenure, contract"


def test_a_low_auc_among_similar_customers_is_no_loss_of_ranking() -> None:
    """A policy contacts those whose probabilities are high: among them AUC is far below that of training."""
    rng, p = customers(0, 20_000)
    similar = p[p > np.quantile(p, 0.8)]
    result = verdict_on(similar, drawn_labels(rng, similar))
    assert result.ranking is not None
    assert result.ranking.high < TRAINED_AUC - 0.1
    assert result.action == "fine"


def test_with_too_few_outcomes_the_verdict_is_unknown() -> None:
    rng, p = customers(0, 200)
    result = verdict_on(p, drawn_labels(rng, p))
    assert (result.action, result.reasons) == (
        "unknown",
        ("too few outcomes to know whether ranking holds: it takes 100 of each class",),
    )
    assert verdict_on(p[:0], p[:0]).action == "unknown"


def test_a_large_calibration_gap_is_seen_in_few_outcomes() -> None:
    _, p = customers(0, 200)
    assert verdict_on(p, np.zeros(200, int)).action == "recalibrate"


class Trained(NamedTuple):
    """A model of the first four fifths of the bank's calls, and the last fifth, which it has not seen."""

    model: CalibratedModel
    trained_auc: float
    bins: Mapping[str, Histogram]
    last: Target


def trained(calls: Target) -> Trained:
    """The model is fitted on a random half of the first four fifths; its AUC is that of the other half."""
    start = len(calls.labels) * 4 // 5
    order = np.random.default_rng(0).permutation(start)
    known, unseen, last = (
        subset(calls, np.array(rows)) for rows in (*np.split(order, 2), range(start, len(calls.labels)))
    )
    model, first = fit(known), calls.rows[:start]
    scores = np.full((start, len(SCORES)), 0.5, np.float32)
    bins = (
        reference_histograms(RISK_FACTS, unknown(first))
        | reference_histograms(ACCEPT_FACTS, first)
        | reference_histograms(SCORES, scores)
    )
    return Trained(model, ranking_of(model(unseen.rows), unseen.labels).low, bins, last)


def unknown(rows: np.ndarray) -> np.ndarray:
    """Features of the risk for as many customers, all missing."""
    return np.full((len(rows), len(RISK_FEATURES)), np.nan, np.float32)


def monitor_counts(bins: Mapping[str, Histogram], rows: np.ndarray) -> dict[str, list[int]]:
    """The counts that the scorer would log."""
    monitor = FeatureMonitor(bins, Counter())
    levels = np.full((len(rows), len(OFFERS)), 0.5)
    monitor.observe(unknown(rows), np.repeat(rows, len(OFFERS), axis=0), levels[:, 0], levels)
    counts: dict[str, list[int]] = monitor.take_counts()["counts"]
    return counts


def verdict_after(training: Trained, last: Target) -> Verdict:
    p = training.model(last.rows)
    shifts = fact_shifts(training.bins, monitor_counts(training.bins, last.rows), {})
    newly_missing = {name: shifts[name] for name in newly_missing_facts(shifts)}
    periods, rank = calibration_by_period(p, last.labels), ranking(p, last.labels)
    return verdict(periods, rank, training.trained_auc, shifted_facts(shifts), newly_missing)


@pytest.fixture(scope="module")
def calls(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """In order of time."""
    folder = tmp_path_factory.mktemp("data")
    prepare("bank", data, folder)
    return accept_target(load("bank", folder, *SPLITS))


@pytest.fixture(scope="module")
def in_order(calls: Target) -> Trained:
    return trained(calls)


@pytest.fixture(scope="module")
def shuffled(calls: Target) -> Trained:
    return trained(subset(calls, np.random.default_rng(0).permutation(len(calls.labels))))


def test_the_banks_calls_in_date_order_call_for_recalibration_where_the_base_rate_changes(in_order: Trained) -> None:
    """From 6 % in the first four fifths to 7 % where the last begins, and 37 % half-way through it."""
    result = verdict_after(in_order, in_order.last)
    assert result.action == "recalibrate"
    assert [period.is_miscalibrated for period in result.periods] == [False] * 3 + [True] * 7


def test_the_banks_calls_with_permuted_labels_call_for_retraining(in_order: Trained) -> None:
    labels = np.random.default_rng(0).permutation(in_order.last.labels)
    assert verdict_after(in_order, replace(in_order.last, labels=labels)).action == "retrain"


@pytest.mark.parametrize("parts", [1, 4])
def test_the_banks_calls_in_random_order_raise_no_alarm(shuffled: Trained, parts: int) -> None:
    """The last fifth, and each part of it, is then a random sample that the model has not seen."""
    for rows in np.array_split(np.arange(len(shuffled.last.labels)), parts):
        result = verdict_after(shuffled, subset(shuffled.last, rows))
        assert result.action == "fine"
        assert len(result.reasons) == 1

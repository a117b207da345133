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
from training.scorer.drift_tests import CHANCE, Shift, calibration_in_time, drifted, lacking, psi, ranking, shifts
from training.scorer.fit import Model, learn
from training.scorer.targets import Target, accept, subset

TRAINED_AUC = 0.75
"""The lower end of training's interval, for the customers below."""


def customers(seed: int, size: int = 5000) -> tuple[np.random.Generator, np.ndarray]:
    """Calibrated probabilities, of which a quarter come true, that rank at an AUC of about 0.77."""
    rng = np.random.default_rng(seed)
    return rng, rng.beta(1, 3, size)


def happened(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    return (rng.random(len(probabilities)) < probabilities).astype(int)


def judge(
    probabilities: np.ndarray, labels: np.ndarray, facts: tuple[str, ...] = (), lacked: Mapping[str, Shift] = {}
) -> Verdict:
    periods, ranks = calibration_in_time(probabilities, labels), ranking(probabilities, labels)
    return verdict(periods, ranks, TRAINED_AUC, facts, lacked)


def more_often(probabilities: np.ndarray, times: float) -> np.ndarray:
    """The probabilities, their odds so many times as high."""
    odds = times * probabilities / (1 - probabilities)
    return odds / (1 + odds)


def test_psi_is_as_worked_by_hand() -> None:
    value, _ = psi([50, 30, 20], [40, 30, 30])
    assert value == pytest.approx(0.1 * np.log(0.5 / 0.4) + 0.1 * np.log(0.3 / 0.2))


def test_an_empty_bin_counts_as_half_a_customer_and_one_empty_on_both_sides_not_at_all() -> None:
    assert psi([99, 1, 0], [100, 0, 0]) == psi([99, 1], [100, 0])
    assert psi([990, 10], [100, 0])[0] == pytest.approx(
        (0.01 - 0.5 / 100.5) * np.log(0.01 / (0.5 / 100.5)) + (100 / 100.5 - 0.99) * np.log(100 / 100.5 / 0.99)
    )
    assert psi([7], [3]) == (0, 1)


@pytest.mark.parametrize("pair", [([0, 0], [0, 0]), ([0, 0], [5, 3]), ([5, 3], [0, 0])])
def test_where_a_side_has_no_customers_nothing_has_moved(pair) -> None:
    assert psi(*pair) == (0, 1)


def test_the_chance_of_a_psi_is_what_it_says_where_nothing_moved() -> None:
    rng = np.random.default_rng(0)
    draws = [rng.multinomial(size, np.full(10, 0.1)) for _ in range(1000) for size in (7000, 500)]
    chances = np.array([psi(*pair)[1] for pair in zip(draws[::2], draws[1::2], strict=True)])
    assert [np.mean(chances < level) for level in (0.05, 0.5)] == pytest.approx([0.05, 0.5], abs=0.04)


def test_a_large_psi_in_a_small_window_is_not_drift() -> None:
    before = {"tenure": {"edges": [1.0, 2.0, 3.0], "counts": [250, 250, 250, 250, 0]}}
    small, large = (shifts(before, {"tenure": [times * n for n in (4, 2, 1, 1, 8)]}, {}) for times in (1, 100))
    assert small["tenure"].psi == pytest.approx(large["tenure"].psi)
    assert small["tenure"].psi > 0.25
    assert (drifted(small), drifted(large)) == ([], ["tenure"])
    assert (large["tenure"].missing_before, large["tenure"].missing) == (0, 0.5)


def test_a_fact_that_one_side_never_has_is_no_drift() -> None:
    before = {"age": {"edges": [40.0], "counts": [500, 500, 0]}, "job": {"edges": [0.5], "counts": [0, 0, 1000]}}
    found = shifts(before, {"age": [0, 0, 900], "job": [800, 100, 0]}, {})
    assert drifted(found) == []
    assert (found["age"].missing, found["job"].missing_before) == (1, 1)


@pytest.mark.parametrize(
    ("trained", "now", "lacks"),
    [
        ([1000, 0], [10, 990], True),
        ([1000, 0], [0, 1000], True),
        ([600, 400], [300, 700], True),
        ([1000, 0], [800, 200], False),  # a small rise
        ([400, 600], [10, 990], False),  # most of training had not got it either
        ([600, 400], [3, 7], False),  # so few that it may be chance
        ([10, 990], [1000, 0], False),
        ([1000, 0], [0, 0], False),
    ],
)
def test_a_fact_that_most_of_training_had_and_many_more_lack_now_is_lacking(trained, now, lacks: bool) -> None:
    found = shifts({"tenure": {"edges": [], "counts": trained}}, {"tenure": now}, {})
    assert (lacking(found), drifted(found)) == (["tenure"] if lacks else [], [])


def test_categories_that_cannot_be_read_were_sent() -> None:
    bins = {name: {"edges": [], "counts": [1000, 0]} for name in ("contract", "tenure")}
    found = shifts(bins, {"contract": [0, 1000], "tenure": [0, 1000]}, {"contract": 1000})
    assert [shift.never_sent for shift in found.values()] == [False, True]


def test_an_auc_has_an_interval_that_holds_the_truth_as_often_as_it_says() -> None:
    draws = [(p, happened(rng, p)) for rng, p in (customers(seed, 1000) for seed in range(200))]
    found = [ranking(p.round(2), y) for p, y in draws]  # rounded, so that there are ties
    assert found[0].auc == pytest.approx(roc_auc_score(draws[0][1], draws[0][0].round(2)))
    truth = np.mean([each.auc for each in found])
    assert np.mean([each.low < truth < each.high for each in found]) == pytest.approx(1 - CHANCE, abs=0.015)


@pytest.mark.parametrize("times", [1, 4])
def test_what_is_promised_is_what_comes_also_where_the_base_rate_moves(times: int) -> None:
    """Among many who seldom do and few who often do, any ranking falls as the base rate rises."""
    rng, _ = customers(1)
    p = rng.choice([0.03, 0.5], 50_000, p=[0.9, 0.1])
    found = ranking(p, happened(rng, more_often(p, times)))
    assert found.promised == pytest.approx(found.auc, abs=0.02)


def test_where_nothing_moved_it_is_fine_and_seldom_a_false_alarm() -> None:
    words = Counter(judge(p, happened(rng, p)).word for rng, p in (customers(seed, 2000) for seed in range(200)))
    assert words["fine"] >= 200 * (1 - 2 * CHANCE)


def test_where_only_the_base_rate_moves_it_says_recalibrate() -> None:
    for seed in range(20):
        rng, p = customers(seed)
        assert judge(p, happened(rng, more_often(p, 1.5))).word == "recalibrate"


def test_it_says_since_when() -> None:
    rng, p = customers(0)
    later = np.where(np.arange(5000) < 2500, p, more_often(p, 3))
    found = judge(p, happened(rng, later))
    assert [period.off for period in found.periods] == [False] * 5 + [True] * 5
    first = found.periods[5]
    assert f"period 6: {first.predicted:.1%} predicted, {first.observed:.1%} observed" in found.why[1]


def test_a_gap_beyond_chance_but_small_is_fine() -> None:
    rng, p = customers(0, 200_000)
    assert judge(p, happened(rng, p - 0.01 * (p > 0.01))).word == "fine"


def test_where_ranking_is_destroyed_it_says_retrain() -> None:
    for seed in range(20):
        rng, p = customers(seed)
        found = judge(p, happened(rng, rng.permutation(p)), facts=("tenure",))
        assert found.word == "retrain"
        assert "ranking is lost" in found.why[0]


def test_a_drifted_fact_is_a_note_where_ranking_holds_and_a_reason_where_nobody_knows() -> None:
    rng, p = customers(0)
    y = happened(rng, p)
    known, unknown = judge(p, y, facts=("tenure", "contract")), judge(p[:50], y[:50], facts=("tenure", "contract"))
    assert (known.word, unknown.word) == ("fine", "retrain")
    assert known.why[-1] == unknown.why[-1] == "facts that the model leans on have drifted: tenure, contract"


LACKED = Shift(psi=0, chance=1, missing_before=0, missing=0.99, missing_chance=0, never_sent=False)


@pytest.mark.parametrize("outcomes", ["none", "as predicted", "twice as often", "of others"])
def test_a_fact_half_sent_asks_for_the_feed_before_all_else(outcomes: str) -> None:
    rng, p = customers(0)
    y = happened(rng, more_often(p, 2) if outcomes == "twice as often" else p)
    p, y = {"none": (p[:0], y[:0]), "of others": (p, rng.permutation(y))}.get(outcomes, (p, y))
    found = judge(p, y, facts=("contract",), lacked={"tenure": LACKED})
    assert found.word == "check"
    assert found.why[0] == "tenure is missing of 99.0% of customers, in training of 0.0%: is the feed broken?"
    assert found.why[1:] == judge(p, y, facts=("contract",)).why


def test_a_fact_never_sent_is_told_and_asks_for_nothing() -> None:
    rng, p = customers(0)
    y, never = happened(rng, p), replace(LACKED, missing=1, never_sent=True)
    for n, word in ((5000, "fine"), (50, "unknown")):
        found = judge(p[:n], y[:n], lacked={"tenure": never, "contract": never})
        assert found.word == word
        assert found.why[-1] == "facts that the model leans on were never sent: tenure, contract"


def test_customers_who_are_much_alike_are_no_loss_of_ranking() -> None:
    """A policy contacts those whose probabilities are high: among them AUC is far below that of training."""
    rng, p = customers(0, 20_000)
    alike = p[p > np.quantile(p, 0.8)]
    found = judge(alike, happened(rng, alike))
    assert found.ranking.high < TRAINED_AUC - 0.1
    assert found.word == "fine"


def test_too_few_outcomes_are_said_and_not_fine() -> None:
    rng, p = customers(0, 200)
    found = judge(p, happened(rng, p))
    assert (found.word, found.why) == (
        "unknown",
        ("too few outcomes to know whether ranking holds: it takes 100 of either sort",),
    )
    assert judge(p[:0], p[:0]).word == "unknown"


def test_a_promise_broken_by_far_is_seen_in_few_outcomes() -> None:
    _, p = customers(0, 200)
    assert judge(p, np.zeros(200, int)).word == "recalibrate"


class Taught(NamedTuple):
    """What the first four fifths of the bank's calls taught, and the last fifth, which the model has not seen."""

    model: Model
    trained_auc: float
    bins: Mapping[str, Histogram]
    last: Target


def taught(calls: Target) -> Taught:
    """The model learns from half of the first four fifths, at random; its AUC is that of the other half."""
    start = len(calls.labels) * 4 // 5
    order = np.random.default_rng(0).permutation(start)
    known, unseen, last = (
        subset(calls, np.array(rows)) for rows in (*np.split(order, 2), range(start, len(calls.labels)))
    )
    model, first = learn(known), calls.rows[:start]
    scores = np.full((start, len(SCORES)), 0.5, np.float32)
    bins = (
        reference_histograms(RISK_FACTS, unknown(first))
        | reference_histograms(ACCEPT_FACTS, first)
        | reference_histograms(SCORES, scores)
    )
    return Taught(model, ranking(model(unseen.rows), unseen.labels).low, bins, last)


def unknown(rows: np.ndarray) -> np.ndarray:
    """No fact that the risk rests on, of as many customers."""
    return np.full((len(rows), len(RISK_FEATURES)), np.nan, np.float32)


def saw(bins: Mapping[str, Histogram], rows: np.ndarray) -> dict[str, list[int]]:
    """What the scorer would count."""
    monitor = FeatureMonitor(bins, Counter())
    levels = np.full((len(rows), len(OFFERS)), 0.5)
    monitor.observe(unknown(rows), np.repeat(rows, len(OFFERS), axis=0), levels[:, 0], levels)
    return monitor.take_counts()["counts"]


def judged(by: Taught, last: Target) -> Verdict:
    p, moved = by.model(last.rows), shifts(by.bins, saw(by.bins, last.rows), {})
    lacked = {name: moved[name] for name in lacking(moved)}
    periods, ranks = calibration_in_time(p, last.labels), ranking(p, last.labels)
    return verdict(periods, ranks, by.trained_auc, drifted(moved), lacked)


@pytest.fixture(scope="module")
def calls(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """In order of time."""
    folder = tmp_path_factory.mktemp("data")
    prepare("bank", data, folder)
    return accept(load("bank", folder, *SPLITS))


@pytest.fixture(scope="module")
def in_order(calls: Target) -> Taught:
    return taught(calls)


@pytest.fixture(scope="module")
def shuffled(calls: Target) -> Taught:
    return taught(subset(calls, np.random.default_rng(0).permutation(len(calls.labels))))


def test_the_bank_in_date_order_raises_the_alarm_where_the_base_rate_moves(in_order: Taught) -> None:
    """From 6 % in the first four fifths to 7 % where the last begins, and 37 % half-way through it."""
    found = judged(in_order, in_order.last)
    assert found.word == "recalibrate"
    assert [period.off for period in found.periods] == [False] * 3 + [True] * 7


def test_the_bank_with_answers_that_nothing_predicts_is_to_be_learnt_again(in_order: Taught) -> None:
    labels = np.random.default_rng(0).permutation(in_order.last.labels)
    assert judged(in_order, replace(in_order.last, labels=labels)).word == "retrain"


@pytest.mark.parametrize("parts", [1, 4])
def test_the_bank_in_another_order_is_silent(shuffled: Taught, parts: int) -> None:
    """The last fifth is any fifth then, and so is each part of it: calls that the model has not seen."""
    for rows in np.array_split(np.arange(len(shuffled.last.labels)), parts):
        found = judged(shuffled, subset(shuffled.last, rows))
        assert found.word == "fine"
        assert len(found.why) == 1

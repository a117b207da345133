from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import xgboost
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from services.scorer.features import ACCEPT, RISK, RISK_FEATURES, encoder
from services.scorer.watch import SCORES, Bins, Watch, reference
from shared.messages import OFFERS
from training.data import bank
from training.scorer.drift import Verdict, verdict
from training.scorer.evidence import CHANCE, calibration_in_time, drifted, psi, ranking, shifts

TRAINED_AUC = 0.75
"""The lower end of training's interval, for the customers below."""


def customers(seed: int, size: int = 5000) -> tuple[np.random.Generator, np.ndarray]:
    """Calibrated probabilities, of which a quarter come true, that rank at an AUC of about 0.77."""
    rng = np.random.default_rng(seed)
    return rng, rng.beta(1, 3, size)


def happened(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    return (rng.random(len(probabilities)) < probabilities).astype(int)


def judge(probabilities: np.ndarray, labels: np.ndarray, facts: tuple[str, ...] = ()) -> Verdict:
    return verdict(calibration_in_time(probabilities, labels), ranking(probabilities, labels), TRAINED_AUC, facts)


def more_often(probabilities: np.ndarray, times: float) -> np.ndarray:
    """The probabilities, their odds so many times as high."""
    odds = times * probabilities / (1 - probabilities)
    return odds / (1 + odds)


def test_psi_is_as_worked_by_hand():
    value, _ = psi([50, 30, 20], [40, 30, 30])
    assert value == pytest.approx(0.1 * np.log(0.5 / 0.4) + 0.1 * np.log(0.3 / 0.2))


def test_an_empty_bin_counts_as_half_a_customer_and_one_empty_on_both_sides_not_at_all():
    assert psi([99, 1, 0], [100, 0, 0]) == psi([99, 1], [100, 0])
    assert psi([990, 10], [100, 0])[0] == pytest.approx(
        (0.01 - 0.5 / 100.5) * np.log(0.01 / (0.5 / 100.5)) + (100 / 100.5 - 0.99) * np.log(100 / 100.5 / 0.99)
    )
    assert psi([7], [3]) == (0, 1)


def test_the_chance_of_a_psi_is_what_it_says_where_nothing_moved():
    rng = np.random.default_rng(0)
    draws = [rng.multinomial(size, np.full(10, 0.1)) for _ in range(1000) for size in (7000, 500)]
    chances = np.array([psi(*pair)[1] for pair in zip(draws[::2], draws[1::2], strict=True)])
    assert [np.mean(chances < level) for level in (0.05, 0.5)] == pytest.approx([0.05, 0.5], abs=0.04)


def test_a_large_psi_in_a_small_window_is_not_drift():
    before = {"tenure": {"edges": [1.0, 2.0, 3.0], "counts": [250, 250, 250, 250, 0]}}
    small, large = (shifts(before, {"tenure": [times * n for n in (4, 2, 1, 1, 8)]}) for times in (1, 100))
    assert small["tenure"].psi == pytest.approx(large["tenure"].psi)
    assert small["tenure"].psi > 0.25
    assert (drifted(small), drifted(large)) == ([], ["tenure"])
    assert (large["tenure"].missing_before, large["tenure"].missing) == (0, 0.5)


def test_a_fact_that_one_side_never_has_is_no_drift():
    before = {"age": {"edges": [40.0], "counts": [500, 500, 0]}, "job": {"edges": [0.5], "counts": [0, 0, 1000]}}
    found = shifts(before, {"age": [0, 0, 900], "job": [800, 100, 0]})
    assert drifted(found) == []
    assert (found["age"].missing, found["job"].missing_before) == (1, 1)


def test_an_auc_has_an_interval_that_holds_the_truth_as_often_as_it_says():
    draws = [(p, happened(rng, p)) for rng, p in (customers(seed, 1000) for seed in range(200))]
    found = [ranking(p.round(2), y) for p, y in draws]  # rounded, so that there are ties
    assert found[0].auc == pytest.approx(roc_auc_score(draws[0][1], draws[0][0].round(2)))
    truth = np.mean([each.auc for each in found])
    assert np.mean([each.low < truth < each.high for each in found]) == pytest.approx(1 - CHANCE, abs=0.015)


@pytest.mark.parametrize("times", [1, 4])
def test_what_is_promised_is_what_comes_also_where_the_base_rate_moves(times):
    """Among many who seldom do and few who often do, any ranking falls as the base rate rises."""
    rng, _ = customers(1)
    p = rng.choice([0.03, 0.5], 50_000, p=[0.9, 0.1])
    found = ranking(p, happened(rng, more_often(p, times)))
    assert found.promised == pytest.approx(found.auc, abs=0.02)


def test_where_nothing_moved_it_is_fine_and_seldom_a_false_alarm():
    words = Counter(judge(p, happened(rng, p)).word for rng, p in (customers(seed, 2000) for seed in range(200)))
    assert words["fine"] >= 200 * (1 - 2 * CHANCE)


def test_where_only_the_base_rate_moves_it_says_recalibrate():
    for seed in range(20):
        rng, p = customers(seed)
        assert judge(p, happened(rng, more_often(p, 1.5))).word == "recalibrate"


def test_it_says_since_when():
    rng, p = customers(0)
    later = np.where(np.arange(5000) < 2500, p, more_often(p, 3))
    found = judge(p, happened(rng, later))
    assert [period.off for period in found.periods] == [False] * 5 + [True] * 5
    first = found.periods[5]
    assert f"period 6: {first.predicted:.1%} predicted, {first.observed:.1%} observed" in found.why[1]


def test_a_gap_beyond_chance_but_small_is_fine():
    rng, p = customers(0, 200_000)
    assert judge(p, happened(rng, p - 0.01 * (p > 0.01))).word == "fine"


def test_where_ranking_is_destroyed_it_says_retrain():
    for seed in range(20):
        rng, p = customers(seed)
        found = judge(p, happened(rng, rng.permutation(p)), facts=("tenure",))
        assert found.word == "retrain"
        assert "ranking is lost" in found.why[0]


def test_a_drifted_fact_is_a_note_where_ranking_holds_and_a_reason_where_nobody_knows():
    rng, p = customers(0)
    y = happened(rng, p)
    known, unknown = judge(p, y, facts=("tenure", "contract")), judge(p[:50], y[:50], facts=("tenure", "contract"))
    assert (known.word, unknown.word) == ("fine", "retrain")
    assert known.why[-1] == unknown.why[-1] == "facts that the model leans on have drifted: tenure, contract"


def test_customers_who_are_much_alike_are_no_loss_of_ranking():
    """A policy contacts those whose probabilities are high: among them AUC is far below that of training."""
    rng, p = customers(0, 20_000)
    alike = p[p > np.quantile(p, 0.8)]
    found = judge(alike, happened(rng, alike))
    assert found.ranking.high < TRAINED_AUC - 0.1
    assert found.word == "fine"


def test_too_few_outcomes_are_said_and_not_fine():
    rng, p = customers(0, 200)
    found = judge(p, happened(rng, p))
    assert (found.word, found.why) == (
        "unknown",
        ("too few outcomes to know whether ranking holds: it takes 100 of either sort",),
    )
    assert judge(p[:0], p[:0]).word == "unknown"


def test_a_promise_broken_by_far_is_seen_in_few_outcomes():
    _, p = customers(0, 200)
    assert judge(p, np.zeros(200, int)).word == "recalibrate"


class Calls(NamedTuple):
    """Of the bank, in order of time: `rows` [n, features and level], `labels` [n]."""

    rows: np.ndarray
    labels: np.ndarray

    def some(self, chosen: np.ndarray | slice) -> "Calls":
        return Calls(self.rows[chosen], self.labels[chosen])


@pytest.fixture(scope="module")
def calls(data: Path) -> Calls:
    frame = bank.clean(bank.read(data / "bank" / "bank-additional-full.csv")).rows
    facts = frame[list(ACCEPT)].astype(object)
    rows = encoder(ACCEPT, Counter())(
        [SimpleNamespace(**row) for row in facts.where(facts.notna(), None).to_dict("records")]
    )
    return Calls(np.column_stack([rows, frame["offer_level"]]).astype(np.float32), frame["accepted"].to_numpy(int))


def predict(learnt: Calls, rows: np.ndarray) -> np.ndarray:
    parameters = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.15, "min_child_weight": 10, "nthread": 1}
    return xgboost.train(parameters, xgboost.DMatrix(*learnt), 60).inplace_predict(rows)


def learn(learnt: Calls, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Calibrated probabilities of `rows`, and the lower end of the AUC out of fold."""
    out_of_fold = np.empty(len(learnt.labels))
    for train, test in KFold(5, shuffle=True, random_state=0).split(learnt.rows):
        out_of_fold[test] = predict(learnt.some(train), learnt.rows[test])
    curve = IsotonicRegression(out_of_bounds="clip").fit(out_of_fold, learnt.labels)
    return curve.predict(predict(learnt, rows)), ranking(out_of_fold, learnt.labels).low


def saw(bins: Mapping[str, Bins], calls: Calls) -> dict[str, list[int]]:
    """What the scorer would count, of whom it knows no fact that the risk rests on."""
    watch = Watch(bins, Counter())
    four = np.repeat(calls.rows, len(OFFERS), axis=0)
    watch.see(unknown(calls), four, np.full(len(calls.labels), 0.5), np.full((len(calls.labels), len(OFFERS)), 0.5))
    return watch.counts()["counts"]


def unknown(calls: Calls) -> np.ndarray:
    return np.full((len(calls.labels), len(RISK_FEATURES)), np.nan, np.float32)


def judged(calls: Calls) -> Verdict:
    """The last fifth, by what the first four taught."""
    first, last = calls.some(slice(0, 32_950)), calls.some(slice(32_950, None))
    scores = np.full((len(first.labels), len(SCORES)), 0.5, np.float32)
    bins = reference(RISK, unknown(first)) | reference(ACCEPT, first.rows) | reference(SCORES, scores)
    p, trained_auc = learn(first, last.rows)
    facts = drifted(shifts(bins, saw(bins, last)))
    return verdict(calibration_in_time(p, last.labels), ranking(p, last.labels), trained_auc, facts)


def test_the_bank_in_date_order_raises_the_alarm_where_the_base_rate_moves(calls):
    """From 6 % in the first four fifths to 7 % where the last begins, and 37 % half-way through it."""
    found = judged(calls)
    assert found.word == "recalibrate"
    assert [period.off for period in found.periods] == [False] * 3 + [True] * 7


def test_the_bank_with_answers_that_nothing_predicts_is_to_be_learnt_again(calls):
    labels = calls.labels.copy()
    np.random.default_rng(0).shuffle(labels[32_950:])
    assert judged(Calls(calls.rows, labels)).word == "retrain"


@pytest.mark.parametrize("seed", range(4))
def test_the_bank_in_any_other_order_is_silent(calls, seed):
    found = judged(calls.some(np.random.default_rng(seed).permutation(len(calls.labels))))
    assert found.word == "fine"
    assert len(found.why) == 1

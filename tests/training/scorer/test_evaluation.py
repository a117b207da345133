from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.training.scorer.builders import SMALL_RECIPE, numbered, synthetic
from training.scorer import evaluation
from training.scorer.evaluation import cross_validate, evaluate_in_time
from training.scorer.logistic_recalibration import WINDOW_SIZE, rolling_recalibration
from training.scorer.metrics import ece, ece_by_chance
from training.scorer.targets import (
    Target,
)

pytestmark = pytest.mark.slow


def test_ece_is_the_mean_distance_between_prediction_and_observed_share() -> None:
    assert ece(np.full(10, 0.5), np.array([1] * 5 + [0] * 5)) == 0
    assert ece(np.array([0.9] * 4 + [0.1] * 4), np.array([1, 1, 0, 0, 0, 0, 0, 0])) == pytest.approx(0.25)


def test_perfectly_calibrated_probabilities_show_an_ece_by_chance() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    by_chance = ece_by_chance(p, seed=1)
    assert 0.01 < by_chance < 0.05
    assert ece_by_chance(p[:100], seed=1) > 2 * by_chance


def test_no_model_or_baseline_predicts_a_customer_it_was_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[set[float], set[float]]] = []

    def predict(train: Target, rows: np.ndarray) -> np.ndarray:
        calls.append(({*train.rows[:, 0].tolist()}, {*rows[:, 0].tolist()}))
        return np.random.default_rng(0).random(len(rows))

    monkeypatch.setattr(evaluation, "fit", lambda train: partial(predict, train))
    monkeypatch.setattr(evaluation, "BASELINES", {"baseline": predict})
    cross_validate(
        numbered(replace(synthetic(), recipe=replace(SMALL_RECIPE, copies=0), known_fact_sets={})), repeats=1
    )
    evaluate_in_time(numbered(replace(synthetic(6000), recipe=replace(SMALL_RECIPE, copies=0), known_fact_sets={})))
    assert len(calls) == 5 * 2 + 2
    assert all(not fitted_on & predicted for fitted_on, predicted in calls)
    fixed, first_window = calls[-2:]
    assert (max(fixed[0]), min(fixed[1])) == (4799, 4800)
    window_start = 4800 - WINDOW_SIZE
    assert (max(first_window[0]), min(first_window[1]), max(first_window[1])) == (window_start - 1, window_start, 4799)


def test_cross_validation_measures_the_model_its_views_and_the_baselines_on_the_same_folds() -> None:
    result = cross_validate(synthetic(), repeats=2)
    assert set(result.probabilities) == {"whole", "masked", "id_only", "logistic", "sklearn_xgboost"}
    assert all(p.shape == (2, 2000) for p in result.probabilities.values())
    assert result.metrics["accept.auc"].mean > 0.6
    assert result.metrics["accept.logistic.auc"].mean > 0.6
    assert result.metrics["accept.ece"].mean < 0.05
    assert "accept.id_only.auc" not in result.metrics
    assert result.metrics["accept.base_rate"].mean == pytest.approx(synthetic().labels.mean())


def test_each_block_is_recalibrated_by_the_outcomes_before_it() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.2, 6000)
    rate = np.where(np.arange(6000) < 3000, 1, 3)
    labels = (rng.random(6000) < p * rate).astype(int)
    recalibrated = rolling_recalibration(p, labels)
    assert len(recalibrated) == 6000 - WINDOW_SIZE
    assert ece(recalibrated[-1500:], labels[-1500:]) < 0.05 < ece(p[-1500:], labels[-1500:])
    other_future = np.where(np.arange(6000) < 4000, labels, 1 - labels)
    unchanged = slice(4000 - WINDOW_SIZE)
    np.testing.assert_array_equal(rolling_recalibration(p, other_future)[unchanged], recalibrated[unchanged])


def test_the_last_fifth_in_order_of_time_is_predicted_by_a_model_of_what_came_before() -> None:
    target = synthetic(6000)
    late = np.arange(6000) >= 4800
    changed = replace(
        target, labels=np.where(late, np.random.default_rng(2).random(6000) < 0.9, target.labels).astype(int)
    )
    result = evaluate_in_time(changed)
    assert len(result.labels) == 1200
    assert all(len(p) == 1200 for p in result.probabilities.values())
    assert result.metrics["accept.time_fixed_ece"].mean > 0.3
    assert result.metrics["accept.time_ece"].mean < result.metrics["accept.time_fixed_ece"].mean

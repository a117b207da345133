from dataclasses import replace

import numpy as np
import pytest

from tests.training.scorer.builders import SMALL_RECIPE, TARGET, synthetic
from training.scorer.fit import (
    cross_validation_folds,
    fit,
    fit_calibrator,
    fit_isotonic,
    fit_trees,
    predict_uncalibrated,
)
from training.scorer.metrics import auc
from training.scorer.targets import (
    ModelRecipe,
    with_known_facts,
    with_masked_facts,
)


def test_all_features_of_an_unknown_fact_are_missing_and_the_offer_level_never_is() -> None:
    row = with_known_facts(TARGET, np.array([[True, False, False]]))[0]
    np.testing.assert_array_equal(row, [40, np.nan, np.nan, 3])


def test_masking_leaves_between_all_and_no_facts_and_the_offer_level() -> None:
    rows = with_masked_facts(TARGET, np.random.default_rng(0))
    known = ~np.isnan(rows)
    assert (known[:, 1] == known[:, 2]).all()
    assert known[:, 3].all()
    assert {1, 2, 3, 4} == set(known.sum(axis=1).tolist())
    assert known[:, 0].mean() == pytest.approx(0.5, abs=0.05)


def test_an_isotonic_curve_rises_strictly_between_its_ends() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(3000)
    curve = fit_isotonic(p, (rng.random(3000) < p**2).astype(int), np.ones(3000))
    inside = np.linspace(curve.x[0], curve.x[-1], 500)
    assert (np.diff(curve(inside)) > 0).all()
    assert np.abs(curve(inside) - inside**2).mean() < 0.05


def test_an_isotonic_curve_is_not_more_certain_than_its_sample() -> None:
    """Twenty of twenty positives at the top make a probability of 20 in 21."""
    p = np.concatenate([np.linspace(0.1, 0.2, 500), np.full(20, 0.9)])
    curve = fit_isotonic(p, np.concatenate([np.arange(500) % 10 == 0, np.ones(20)]).astype(int), np.ones(520))
    assert curve(np.array([1.0]))[0] == pytest.approx(20 / 21)
    assert curve(np.array([0.0]))[0] > 0


def test_customers_with_complete_and_with_missing_facts_have_curves_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = np.ones((6000, 4), np.float32)
    rows[3000:, 1:] = np.nan
    raw = rng.random(6000)
    labels = (rng.random(6000) < np.where(np.arange(6000) < 3000, raw, 0.3)).astype(int)
    calibrated = fit_calibrator([0, 1, 2, 3], rows, raw, labels)(rows[[0, -1]], np.full(2, 0.8))
    assert calibrated == pytest.approx([0.8, 0.3], abs=0.06)


def test_the_same_rows_give_the_same_trees() -> None:
    target = synthetic()
    assert fit_trees(target).save_raw("ubj") == fit_trees(target).save_raw("ubj")


def test_masked_copies_do_not_give_customers_more_weight() -> None:
    """With no fact to mask a copy is the same row again, and changes nothing."""
    target = replace(synthetic(), rows=synthetic().rows[:, :1], features=("offer_level",))  # a level is never masked
    recipe = ModelRecipe(trees=5, parameters={"max_depth": 2, "min_child_weight": 30, "reg_lambda": 5})
    unmasked, with_copies = (fit_trees(replace(target, recipe=replace(recipe, copies=n))) for n in (0, 2))
    first, second = (predict_uncalibrated(booster, target.rows) for booster in (unmasked, with_copies))
    np.testing.assert_allclose(first, second, rtol=1e-3)


def test_folds_are_shuffled_in_each_repeat_and_cover_every_row_once() -> None:
    first, second = cross_validation_folds(synthetic(), 2)
    for tests in (first, second):
        assert sorted(np.concatenate(tests)) == list(range(2000))
    assert not np.array_equal(first[0], second[0])


def test_a_calibrator_is_fitted_on_out_of_fold_predictions() -> None:
    """Where labels are random, trees are certain of those that they were fitted on; out of fold they are not."""
    rng = np.random.default_rng(1)
    target = replace(synthetic(), labels=rng.integers(2, size=2000), recipe=replace(SMALL_RECIPE, trees=100))
    model = fit(target)
    assert auc(predict_uncalibrated(model.booster, target.rows), target.labels) > 0.6
    assert np.abs(model(target.rows) - 0.5).mean() < 0.05

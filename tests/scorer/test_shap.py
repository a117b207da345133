from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
import xgboost

from services.scorer.features import RISK_FACTS, RISK_FEATURES, Float32Array, encoder, fact_of
from services.scorer.shap import FACTS, FEATURE_TO_FACT, Condition, TreeExplainer, leaves
from shared.artifacts import ARTIFACTS
from shared.messages import CustomerFacts


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    """The risk model."""
    return xgboost.Booster(model_file=ARTIFACTS / "scorer" / "risk.ubj")


def xgboost_shap_values(booster: xgboost.Booster, rows: Float32Array) -> Float32Array:
    """SHAP values [n, features] by XGBoost, without the bias."""
    contributions: Float32Array = booster.predict(xgboost.DMatrix(rows), pred_contribs=True, validate_features=False)
    return contributions[:, :-1]


def test_shap_values_equal_xgboosts_summed_by_fact(booster: xgboost.Booster, customers: list[CustomerFacts]) -> None:
    rows = encoder(RISK_FACTS, Counter())(customers)
    expected = xgboost_shap_values(booster, rows)
    for fact, shap_values in zip(FACTS, TreeExplainer(booster, FEATURE_TO_FACT)(rows), strict=True):
        features = [i for i, feature in enumerate(RISK_FEATURES) if fact_of(feature) == fact]
        np.testing.assert_allclose(shap_values, expected[:, features].sum(axis=1), atol=1e-5)


@pytest.mark.parametrize(("depth", "gamma"), [(1, 0), (2, 0), (3, 0), (5, 0), (3, 1)])
def test_shap_values_are_exact_for_repeated_features_on_a_path_and_for_trees_without_splits(
    depth: int, gamma: int
) -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(500, 3)).astype(np.float32)
    labels = np.sin(3 * rows[:, 0]) * rows[:, 1] + rng.normal(size=500) > 0
    rows[rng.random(rows.shape) < 0.2] = np.nan
    parameters = {"objective": "binary:logistic", "max_depth": depth, "gamma": gamma, "nthread": 1}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), 30)
    np.testing.assert_allclose(TreeExplainer(booster, range(3))(rows).T, xgboost_shap_values(booster, rows), atol=1e-5)


def test_shap_values_of_a_row_are_bitwise_equal_alone_and_in_a_batch(
    booster: xgboost.Booster, customers: list[CustomerFacts]
) -> None:
    rows, explain = encoder(RISK_FACTS, Counter())(customers), TreeExplainer(booster, FEATURE_TO_FACT)
    np.testing.assert_array_equal(explain(rows), np.hstack([explain(row[None]) for row in rows]))


def test_conditions_on_one_feature_are_merged_and_missing_values_follow_the_default_direction() -> None:
    tree: Mapping[str, Sequence[Any]] = {
        "left_children": [1, 3, 5, -1, -1, -1, -1],
        "right_children": [2, 4, 6, -1, -1, -1, -1],
        "split_indices": [0] * 7,
        "split_conditions": [1.0, 2.0, 0.5, 0.1, 0.2, 0.3, 0.4],
        "default_left": [0, 1, 0, 0, 0, 0, 0],
        "sum_hessian": [8.0, 4.0, 4.0, 3.0, 1.0, 2.0, 2.0],
    }
    assert list(leaves(tree)) == [
        (0.1, {0: (Condition(0, -inf, 1.0, False), 3 / 8)}),
        (0.2, {0: (Condition(0, 2.0, 1.0, False), 1 / 8)}),
        (0.3, {0: (Condition(0, 1.0, 0.5, False), 2 / 8)}),
        (0.4, {0: (Condition(0, 1.0, inf, True), 2 / 8)}),
    ]

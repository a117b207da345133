from collections import Counter
from math import inf

import numpy as np
import pytest
import xgboost

from services.scorer.features import RISK_FACTS, RISK_FEATURES, encoder, fact_of
from services.scorer.shap import FACTS, FEATURE_TO_FACT, Condition, TreeExplainer, leaves
from shared.artifacts import ARTIFACTS
from shared.messages import CustomerFacts


@pytest.fixture(scope="module")
def risk() -> xgboost.Booster:
    return xgboost.Booster(model_file=ARTIFACTS / "scorer" / "risk.ubj")


def of_xgboost(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    """XGBoost's own SHAP values [n, features], without the bias."""
    return booster.predict(xgboost.DMatrix(rows), pred_contribs=True, validate_features=False)[:, :-1]


def test_contributions_are_xgboosts_own_summed_by_fact(risk: xgboost.Booster, customers: list[CustomerFacts]) -> None:
    rows = encoder(RISK_FACTS, Counter())(customers)
    theirs = of_xgboost(risk, rows)
    for name, ours in zip(FACTS, TreeExplainer(risk, FEATURE_TO_FACT)(rows), strict=True):
        parts = [i for i, feature in enumerate(RISK_FEATURES) if fact_of(feature) == name]
        np.testing.assert_allclose(ours, theirs[:, parts].sum(axis=1), atol=1e-5)


@pytest.mark.parametrize(("depth", "gamma"), [(1, 0), (2, 0), (3, 0), (5, 0), (3, 1)])
def test_they_are_exact_where_a_path_asks_twice_for_a_feature_and_where_a_tree_asks_nothing(
    depth: int, gamma: int
) -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(500, 3)).astype(np.float32)
    labels = np.sin(3 * rows[:, 0]) * rows[:, 1] + rng.normal(size=500) > 0
    rows[rng.random(rows.shape) < 0.2] = np.nan
    parameters = {"objective": "binary:logistic", "max_depth": depth, "gamma": gamma, "nthread": 1}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), 30)
    np.testing.assert_allclose(TreeExplainer(booster, range(3))(rows).T, of_xgboost(booster, rows), atol=1e-5)


def test_a_row_has_the_same_contributions_alone_to_the_last_bit(
    risk: xgboost.Booster, customers: list[CustomerFacts]
) -> None:
    rows, explain = encoder(RISK_FACTS, Counter())(customers), TreeExplainer(risk, FEATURE_TO_FACT)
    np.testing.assert_array_equal(explain(rows), np.hstack([explain(row[None]) for row in rows]))


def test_conditions_on_one_feature_are_merged_and_a_missing_value_stays_where_it_went() -> None:
    tree = {
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

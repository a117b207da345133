"""Baselines of the evaluation: two standard models of scikit-learn on the same rows."""

from collections.abc import Callable

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from training.scorer.targets import Target


def logistic_regression(train: Target, rows: np.ndarray) -> np.ndarray:
    """Logistic regression on imputed and scaled features."""
    imputer = SimpleImputer(add_indicator=True, keep_empty_features=True)
    model = make_pipeline(imputer, StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(train.rows, train.labels).predict_proba(rows)[:, 1]


def calibrated_xgboost(train: Target, rows: np.ndarray) -> np.ndarray:
    """The default XGBoost, calibrated. `cv=5` would not shuffle the folds, but the calls are in order of time."""
    folds = StratifiedKFold(5, shuffle=True, random_state=train.recipe.seed)
    model = CalibratedClassifierCV(XGBClassifier(n_jobs=1), method="isotonic", cv=folds)
    return model.fit(train.rows, train.labels).predict_proba(rows)[:, 1]


BASELINES: dict[str, Callable[[Target, np.ndarray], np.ndarray]] = {
    "logistic": logistic_regression,
    "sklearn_xgboost": calibrated_xgboost,
}
"""Functions that fit on a target and return probabilities [n] of rows [n, features], by name."""

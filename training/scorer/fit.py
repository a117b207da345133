"""Fitting of the scorer's models: gradient-boosted trees, then isotonic curves on their out-of-fold predictions.

An event may carry any of the facts, so each customer is in the training rows as they are and again with random facts
missing. The prediction for a customer of whom half the facts are known is then the average over customers who agree in
that half, and not an accident of how trees treat missing values.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import NamedTuple

import numpy as np
import xgboost
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold
from tqdm import tqdm

from services.scorer.calibration import Calibrator, IsotonicCurve, completeness, fact_columns
from training.scorer.targets import Target, rows_by_known_facts, subset, with_masked_facts

FOLDS = 5
"""Number of folds of the cross-validation."""

Folds = Sequence[Sequence[np.ndarray]]
"""The row indices of each test fold, by repeat."""
Fold = tuple[int, np.ndarray]
"""The repeat and the row indices of a test fold."""
Predictions = dict[str, np.ndarray]
"""Probabilities [n] by name; out of fold, [repeats, n]."""
FoldPredictor = Callable[[Target, np.ndarray], Predictions]
"""Function that fits on a target and returns predictions of other rows, which are given by index."""


class CalibratedModel(NamedTuple):
    booster: xgboost.Booster
    calibrator: Calibrator

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Calibrated probabilities [n] of rows [n, features]."""
        return self.calibrator(rows, predict_uncalibrated(self.booster, rows))


def fit(target: Target) -> CalibratedModel:
    """Trees on all rows, and a calibrator on the predictions of trees that were fitted on the other folds."""
    rows_by_name = rows_by_known_facts(target)

    def uncalibrated(train: Target, test: np.ndarray) -> Predictions:
        booster = fit_trees(train)
        return {name: predict_uncalibrated(booster, rows[test]) for name, rows in rows_by_name.items()}

    raw = out_of_fold(target, cross_validation_folds(target, 1), uncalibrated)
    fitted_on = [name for name in ("whole", "masked") if name in rows_by_name]
    rows = np.concatenate([rows_by_name[name] for name in fitted_on])
    raw_of_rows = np.concatenate([raw[name][0] for name in fitted_on])
    known_in_training = ~np.isnan(target.rows).all(axis=0)
    labels, columns = np.tile(target.labels, len(fitted_on)), fact_columns(target.features, known_in_training)
    return CalibratedModel(fit_trees(target), fit_calibrator(columns, rows, raw_of_rows, labels))


def fit_trees(target: Target) -> xgboost.Booster:
    """Trees on all rows of the target. The same rows give the same trees, bit for bit."""
    recipe = target.recipe
    rng = np.random.default_rng(recipe.seed)
    copies = [target.rows, *(with_masked_facts(target, rng) for _ in range(recipe.copies))]
    parameters = {
        "objective": "binary:logistic",
        **recipe.parameters,
        "monotone_constraints": tuple(target.monotone.get(feature, 0) for feature in target.features),
        "seed": recipe.seed,
        "nthread": 1,  # several threads would add floats in varying order
    }
    matrix = xgboost.DMatrix(
        np.concatenate(copies),
        np.tile(target.labels, len(copies)),
        weight=np.full(len(copies) * len(target.labels), 1 / len(copies)),  # each customer counts once
        feature_names=list(target.features),
        nthread=1,
    )
    return xgboost.train(parameters, matrix, recipe.trees)


def predict_uncalibrated(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    """The trees' probabilities [n] of rows [n, features]."""
    return booster.inplace_predict(rows, validate_features=False)


def cross_validation_folds(target: Target, repeats: int) -> Folds:
    """Stratified folds, shuffled anew for each repeat."""
    splitters = (StratifiedKFold(FOLDS, shuffle=True, random_state=target.recipe.seed + n) for n in range(repeats))
    return [[test for _, test in splitter.split(target.rows, target.labels)] for splitter in splitters]


def out_of_fold(target: Target, folds: Folds, predictor: FoldPredictor, progress: str = "") -> Predictions:
    """Predictions [repeats, n] by name; those of a row come from a predictor that was fitted on the other folds.

    With `progress`, the title of a progress bar, the folds run in parallel.
    """
    all_rows = np.arange(len(target.labels))
    fold_list = [(repeat, test) for repeat, tests in enumerate(folds) for test in tests]

    def predict_fold(fold: Fold) -> Predictions:
        _, test = fold
        return predictor(subset(target, np.setdiff1d(all_rows, test)), test)

    predictions: Predictions = {}
    for (repeat, test), by_name in zip(fold_list, _map_folds(predict_fold, fold_list, progress), strict=True):
        for name, values in by_name.items():
            predictions.setdefault(name, np.empty((len(folds), len(all_rows))))[repeat, test] = values
    return predictions


def _map_folds(
    predict_fold: Callable[[Fold], Predictions], fold_list: Sequence[Fold], progress: str
) -> Iterable[Predictions]:
    """Predictions of the folds: in parallel with `progress`, otherwise one fold after the other."""
    if not progress:
        return map(predict_fold, fold_list)
    with ThreadPoolExecutor(cpu_count()) as pool:  # XGBoost and NumPy release the interpreter's lock
        return list(tqdm(pool.map(predict_fold, fold_list), progress, len(fold_list), unit=" folds"))


def fit_calibrator(columns: Sequence[int], rows: np.ndarray, raw: np.ndarray, labels: np.ndarray) -> Calibrator:
    """Fit to out-of-fold predictions `raw` [n] of `rows` [n, features]; each curve to the customers it is used for."""
    complete = completeness(rows, columns)
    return Calibrator(columns, fit_isotonic(raw, labels, complete), fit_isotonic(raw, labels, 1 - complete))


def fit_isotonic(raw: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> IsotonicCurve:
    """Centred isotonic regression (Oron and Flournoy 2017): a knot in the middle of each flat step, linear between.

    Customers whom the trees tell apart stay apart; plain steps cost 0.001 of AUC on Telco. At each end one customer of
    the other class is added, since no sample shows that something always or never happens.
    """
    used = weights > 0
    x = np.concatenate([[raw.min()], raw[used], [raw.max()]]).astype(float)
    y, weight = np.concatenate([[1], labels[used], [0]]), np.concatenate([[1], weights[used], [1]])
    fitted = IsotonicRegression().fit(x, y, sample_weight=weight).predict(x)
    levels, step = np.unique(fitted, return_inverse=True)
    return IsotonicCurve(np.bincount(step, weight * x) / np.bincount(step, weight), levels)

"""How the scorer's models learn: gradient-boosted trees, then isotonic curves on what they say out of fold.

An event may carry any of the facts, so each customer is learnt from as they are and again with random facts missing:
what the models say of a customer half known is then the average over those who agree in that half, and not what an
absent value happens to mean.
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
from training.scorer.targets import Target, masked, subset, views

FOLDS = 5

Folds = Sequence[Sequence[np.ndarray]]
"""By repeat, the rows of each test fold."""
ByName = dict[str, np.ndarray]
Learner = Callable[[Target, np.ndarray], ByName]
"""Learns from a target, and says by name what it makes of other rows, which are given by index."""


class Model(NamedTuple):
    booster: xgboost.Booster
    calibrator: Calibrator

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Calibrated probabilities [n] of rows [n, features]."""
        return self.calibrator(rows, predict(self.booster, rows))


def learn(target: Target) -> Model:
    """From all rows: the trees as they are, the calibrator from what trees of four fifths say of the last."""
    seen = views(target)

    def uncalibrated(train: Target, test: np.ndarray) -> ByName:
        booster = fit(train)
        return {name: predict(booster, rows[test]) for name, rows in seen.items()}

    raw = out_of_fold(target, split(target, 1), uncalibrated)
    learnt_from = [name for name in ("whole", "masked") if name in seen]
    rows, raw_of_rows = (
        np.concatenate(each) for each in zip(*((seen[n], raw[n][0]) for n in learnt_from), strict=True)
    )
    had = ~np.isnan(target.rows).all(axis=0)
    labels, columns = np.tile(target.labels, len(learnt_from)), fact_columns(target.features, had)
    return Model(fit(target), calibrate(columns, rows, raw_of_rows, labels))


def fit(target: Target) -> xgboost.Booster:
    """Trees from all rows of the target. The same rows give the same trees, bit for bit."""
    recipe = target.recipe
    rng = np.random.default_rng(recipe.seed)
    rows = [target.rows, *(masked(target, rng) for _ in range(recipe.copies))]
    parameters = {
        "objective": "binary:logistic",
        **recipe.parameters,
        "monotone_constraints": tuple(target.monotone.get(feature, 0) for feature in target.features),
        "seed": recipe.seed,
        "nthread": 1,  # more would add the same numbers in another order
    }
    matrix = xgboost.DMatrix(
        np.concatenate(rows),
        np.tile(target.labels, len(rows)),
        weight=np.full(len(rows) * len(target.labels), 1 / len(rows)),  # each customer counts once
        feature_names=list(target.features),
        nthread=1,
    )
    return xgboost.train(parameters, matrix, recipe.trees)


def predict(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    """Uncalibrated."""
    return booster.inplace_predict(rows, validate_features=False)


def split(target: Target, repeats: int) -> Folds:
    """Shuffled anew for each repeat, with the same share of each label in every fold."""
    shuffled = (StratifiedKFold(FOLDS, shuffle=True, random_state=target.recipe.seed + n) for n in range(repeats))
    return [[test for _, test in each.split(target.rows, target.labels)] for each in shuffled]


def out_of_fold(target: Target, folds: Folds, learner: Learner, progress: str = "") -> ByName:
    """By name [repeats, n], what is made of each row by who has learnt from the other folds.

    With `progress`, the name of a bar, the folds are done side by side.
    """
    everyone = np.arange(len(target.labels))
    work = [(repeat, test) for repeat, tests in enumerate(folds) for test in tests]

    def one(fold: tuple[int, np.ndarray]) -> ByName:
        return learner(subset(target, np.setdiff1d(everyone, fold[1])), fold[1])

    found: ByName = {}
    for (repeat, test), predicted in zip(work, _side_by_side(one, work, progress), strict=True):
        for name, each in predicted.items():
            found.setdefault(name, np.empty((len(folds), len(everyone))))[repeat, test] = each
    return found


def _side_by_side(
    one: Callable[[tuple[int, np.ndarray]], ByName], work: Sequence[tuple[int, np.ndarray]], progress: str
) -> Iterable[ByName]:
    """On all cores where progress is shown, in turn within what is side by side already."""
    if not progress:
        return map(one, work)
    with ThreadPoolExecutor(cpu_count()) as pool:  # XGBoost and NumPy let go of the interpreter
        return list(tqdm(pool.map(one, work), progress, len(work), unit=" folds"))


def calibrate(columns: Sequence[int], rows: np.ndarray, raw: np.ndarray, labels: np.ndarray) -> Calibrator:
    """From what the trees say out of fold, `raw` [n] of `rows` [n, features]; each curve from whom it is used for."""
    whole = completeness(rows, columns)
    return Calibrator(columns, isotonic(raw, labels, whole), isotonic(raw, labels, 1 - whole))


def isotonic(raw: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> IsotonicCurve:
    """Isotonic regression, centred (Oron and Flournoy 2017): a knot in the middle of each flat step, straight between.

    So customers whom the trees tell apart stay apart; the plain steps cost 0.001 of AUC on Telco. At each end stands a
    customer of the other kind more, since no sample can show that something always or never happens.
    """
    used = weights > 0
    x = np.concatenate([[raw.min()], raw[used], [raw.max()]]).astype(float)
    y, weight = np.concatenate([[1], labels[used], [0]]), np.concatenate([[1], weights[used], [1]])
    steps = IsotonicRegression().fit(x, y, sample_weight=weight).predict(x)
    levels, step = np.unique(steps, return_inverse=True)
    return IsotonicCurve(np.bincount(step, weight * x) / np.bincount(step, weight), levels)

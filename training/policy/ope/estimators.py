"""What a policy earns by the log of another: each estimator by row."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold

from training.policy.ope.bandit_log import Log, TableError, check

FOLDS = 5
REGRESSOR = HistGradientBoostingRegressor(
    max_iter=50, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=40, early_stopping=False
)
"""Small trees: rewards are mostly noise, and scikit-learn's own settings learn that."""


def weigh(log: Log, target: np.ndarray) -> np.ndarray:
    """How much more probable each logged action is under the target [n]."""
    n, k = len(log.actions), int(log.actions.max()) + 1
    if target.ndim != 2 or len(target) != n or target.shape[1] < k:
        raise TableError(f"the target is [{n}, {k} or more], a probability for each action: this is {target.shape}")
    proper = (target >= 0).all(axis=1) & np.isclose(target.sum(axis=1), 1, atol=1e-6)
    check("target", "probabilities whose sum is 1", target, proper)
    return target[np.arange(n), log.actions.astype(int)] / log.propensities


def influences(log: Log, target: np.ndarray, weights: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
    """Of each estimator [n]: their mean is its value, their spread its error. `expected` rewards are [n, k].

    That of snips is the delta method's (Owen 2013, section 9.2).
    """
    ips, snips = weights * log.rewards, float(weights @ log.rewards / weights.sum())
    residuals = log.rewards - expected[np.arange(len(weights)), log.actions.astype(int)]
    dr = (target * expected).sum(axis=1) + weights * residuals
    ratio = snips + weights * (log.rewards - snips) / weights.mean()
    return {"ips": ips, "snips": ratio, "dr": dr, "gain": dr - log.rewards}


def cross_fitted(log: Log, k: int, regressor: Any) -> np.ndarray:
    """Expected rewards [n, k], each row's from the other folds (Chernozhukov et al. 2018), as none explains itself."""
    expected, one_hot = np.empty((len(log.actions), k)), np.eye(k)
    rows = np.column_stack([log.contexts, one_hot[log.actions.astype(int)]])
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(rows):
        every = np.column_stack([np.repeat(log.contexts[test], k, axis=0), np.tile(one_hot, (len(test), 1))])
        expected[test] = clone(regressor).fit(rows[train], log.rewards[train]).predict(every).reshape(-1, k)
    return expected


def effective(weights: np.ndarray) -> float:
    """Sample size, (Σ w)² / Σ w² (Kish 1965; Owen 2013, Monte Carlo, section 9.3); 0 where no weight is above 0."""
    return float(weights.sum() ** 2 / max(np.sum(weights**2), np.finfo(float).tiny))

"""Off-policy estimators of a target policy's value: IPS, SNIPS and DR.

Each returns terms [n] by row, whose mean is the estimate and whose spread gives its error. Notation: contexts x, logged
actions a, propensities p, rewards r, target probabilities π, and importance weights w = π(a | x) / p.
"""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold

from training.policy.ope.bandit_log import BanditLog, TableError, check_rows

FOLDS = 5
"""Number of folds of the cross-fitting."""
REWARD_REGRESSOR = HistGradientBoostingRegressor(
    max_iter=50, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=40, early_stopping=False
)
"""Regression of the reward by small trees: with scikit-learn's default settings it would fit the noise of rewards."""


def importance_weights(log: BanditLog, target: np.ndarray) -> np.ndarray:
    """Importance weights w [n] of the logged actions under `target` [n, k]. Raises `TableError`."""
    n, k = len(log.actions), int(log.actions.max()) + 1
    if target.ndim != 2 or len(target) != n or target.shape[1] < k:
        raise TableError(
            f"the target should be [{n}, {k} or more], a probability for each action: it is {target.shape}"
        )
    distributions = (target >= 0).all(axis=1) & np.isclose(target.sum(axis=1), 1, atol=1e-6)
    check_rows("target", "probabilities whose sum is 1", target, distributions)
    return target[np.arange(n), log.actions.astype(int)] / log.propensities


def ips(log: BanditLog, weights: np.ndarray) -> np.ndarray:
    """Inverse propensity scoring (Horvitz and Thompson 1952): terms w r."""
    return weights * log.rewards


def snips(log: BanditLog, weights: np.ndarray) -> np.ndarray:
    """Self-normalised inverse propensity scoring (Swaminathan and Joachims 2015): Σ w r / Σ w.

    The terms of this ratio are linearised by the delta method (Owen 2013, Monte Carlo, section 9.2).
    """
    estimate = float(weights @ log.rewards / weights.sum())
    return estimate + weights * (log.rewards - estimate) / weights.mean()


def doubly_robust(log: BanditLog, target: np.ndarray, weights: np.ndarray, expected_rewards: np.ndarray) -> np.ndarray:
    """Doubly robust (Dudík, Langford and Li 2011): terms Σ_k π(k | x) q(x, k) + w (r − q(x, a)).

    `expected_rewards` [n, k] are q(x, ·), a regression of the reward; `target` [n, k] are π(· | x).
    """
    residuals = log.rewards - expected_rewards[np.arange(len(weights)), log.actions.astype(int)]
    return (target * expected_rewards).sum(axis=1) + weights * residuals


def cross_fitted_rewards(log: BanditLog, k: int, regressor: Any) -> np.ndarray:
    """Expected rewards [n, k] of each action; those of a row are predicted by a regressor fitted on the other folds.

    Cross-fitting (Chernozhukov et al. 2018): no row is predicted from its own reward.
    """
    expected, one_hot = np.empty((len(log.actions), k)), np.eye(k)
    rows = np.column_stack([log.contexts, one_hot[log.actions.astype(int)]])
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(rows):
        all_actions = np.column_stack([np.repeat(log.contexts[test], k, axis=0), np.tile(one_hot, (len(test), 1))])
        expected[test] = clone(regressor).fit(rows[train], log.rewards[train]).predict(all_actions).reshape(-1, k)
    return expected


def effective_sample_size(weights: np.ndarray) -> float:
    """(Σ w)² / Σ w² (Kish 1965; Owen 2013, Monte Carlo, section 9.3); 0 if all weights are 0."""
    return float(weights.sum() ** 2 / max(np.sum(weights**2), np.finfo(float).tiny))

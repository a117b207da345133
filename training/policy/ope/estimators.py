"""Off-policy estimators of a target policy's value, as terms by row whose mean is the estimate.

With contexts x, logged actions a, propensities p, rewards r, target probabilities π and importance weights
w = π(a | x) / p, over the n rows:

- IPS (Horvitz and Thompson 1952): mean of w r
- SNIPS (Swaminathan and Joachims 2015): Σ w r / Σ w
- DR (Dudík, Langford and Li 2011): mean of Σ_k π(k | x) q(x, k) + w (r − q(x, a)), with q a regression of the reward
"""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold

from training.policy.ope.bandit_log import BanditLog, TableError, check_rows

FOLDS = 5
REWARD_REGRESSOR = HistGradientBoostingRegressor(
    max_iter=50, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=40, early_stopping=False
)
"""Small trees: rewards are mostly noise, which scikit-learn's default settings fit."""


def importance_weights(log: BanditLog, target: np.ndarray) -> np.ndarray:
    """How much more probable each logged action is under `target` [n, k] than in the log [n]. Raises `TableError`."""
    n, k = len(log.actions), int(log.actions.max()) + 1
    if target.ndim != 2 or len(target) != n or target.shape[1] < k:
        raise TableError(
            f"the target should be [{n}, {k} or more], a probability for each action: it is {target.shape}"
        )
    distributions = (target >= 0).all(axis=1) & np.isclose(target.sum(axis=1), 1, atol=1e-6)
    check_rows("target", "probabilities whose sum is 1", target, distributions)
    return target[np.arange(n), log.actions.astype(int)] / log.propensities


def estimator_terms(
    log: BanditLog, target: np.ndarray, weights: np.ndarray, expected_rewards: np.ndarray
) -> dict[str, np.ndarray]:
    """By estimator, terms [n] whose mean is the estimate and whose spread gives its error.

    `expected_rewards` [n, k] are q(x, ·). `gain` is DR less the logged policy's own reward. The terms of SNIPS, which
    is a ratio, are linearised by the delta method (Owen 2013, Monte Carlo, section 9.2).
    """
    ips, snips = weights * log.rewards, float(weights @ log.rewards / weights.sum())
    residuals = log.rewards - expected_rewards[np.arange(len(weights)), log.actions.astype(int)]
    dr = (target * expected_rewards).sum(axis=1) + weights * residuals
    snips_terms = snips + weights * (log.rewards - snips) / weights.mean()
    return {"ips": ips, "snips": snips_terms, "dr": dr, "gain": dr - log.rewards}


def cross_fitted_rewards(log: BanditLog, k: int, regressor: Any) -> np.ndarray:
    """Expected rewards [n, k] of each action, each row's predicted by a regressor fitted on the other folds.

    Cross-fitting (Chernozhukov et al. 2018): no row is explained by itself.
    """
    expected, one_hot = np.empty((len(log.actions), k)), np.eye(k)
    rows = np.column_stack([log.contexts, one_hot[log.actions.astype(int)]])
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(rows):
        all_actions = np.column_stack([np.repeat(log.contexts[test], k, axis=0), np.tile(one_hot, (len(test), 1))])
        expected[test] = clone(regressor).fit(rows[train], log.rewards[train]).predict(all_actions).reshape(-1, k)
    return expected


def effective_sample_size(weights: np.ndarray) -> float:
    """(Σ w)² / Σ w² (Kish 1965; Owen 2013, Monte Carlo, section 9.3); 0 where no weight is above 0."""
    return float(weights.sum() ** 2 / max(np.sum(weights**2), np.finfo(float).tiny))

"""How often one writer's texts are better than another's, with intervals, and what is left of that at equal length."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from training.statistics import Estimate, Z, wilson_interval

STEPS = 30
"""Of Newton's method; ten are enough where there are wins on both sides."""


class Rate(NamedTuple):
    """Of `pairs`; a tie is half a win."""

    pairs: int
    wins: Estimate
    controlled: Estimate
    """At equal length."""


def rate(wins: np.ndarray, longer: np.ndarray) -> Rate:
    """`wins` [n]: 1, 1/2 or 0 where the first text is better, as good or worse; `longer` [n]: its length less the
    other's.
    """
    return Rate(len(wins), wilson_interval(float(wins.mean()), len(wins)), controlled(wins, longer))


def controlled(wins: np.ndarray, longer: np.ndarray) -> Estimate:
    """The share that a logistic regression of the wins on the difference of length says there would be without any.

    As AlpacaEval 2 does (Dubois et al. 2024, equation 1, without the term of the prompt): tanh of the standardised
    difference, its slope held by a ridge. A win and a loss by half, at equal length, keep it finite where one side wins
    all. By Newton's method; the interval is by the information matrix.
    """
    gap = np.append(np.tanh(longer / (longer.std() or 1.0)), 0.0)
    won, design, ridge = np.append(wins, 0.5), np.stack([np.ones(len(gap)), gap], axis=1), np.diag([0.0, 1.0])
    weights = np.zeros(2)
    for _ in range(STEPS):
        p = expit(design @ weights)
        information = (design.T * (p * (1 - p))) @ design + ridge
        weights += np.linalg.solve(information, design.T @ (won - p) - ridge @ weights)
    reach = Z * float(np.sqrt(np.linalg.inv(information)[0, 0]))
    return Estimate(*(float(expit(weights[0] + side * reach)) for side in (0, -1, 1)))

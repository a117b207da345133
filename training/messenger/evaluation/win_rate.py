"""How often one writer's texts are better than another's, with intervals; also controlled for their length."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from training.statistics import Estimate, Z, wilson_interval

NEWTON_STEPS = 30
"""Upper bound; ten are enough if both sides win some pairs."""


class WinRate(NamedTuple):
    """Win rate of the first of two writers; a tie counts half."""

    pairs: int
    wins: Estimate
    length_controlled: Estimate
    """Estimated win rate for texts of equal length."""


def win_rate(wins: np.ndarray, length_differences: np.ndarray) -> WinRate:
    """`wins` [n]: 1, 1/2 or 0 where the first text is better, as good or worse; the differences are first − second."""
    return WinRate(
        len(wins), wilson_interval(float(wins.mean()), len(wins)), length_controlled(wins, length_differences)
    )


def length_controlled(wins: np.ndarray, length_differences: np.ndarray) -> Estimate:
    """The win rate that a logistic regression on the length difference predicts for a difference of 0.

    As AlpacaEval 2 does (Dubois et al. 2024, equation 1, without the term of the prompt): tanh of the standardised
    difference, its slope regularised by a ridge penalty. An added tie at equal length keeps the fit finite if one side
    wins every pair. By Newton's method; the interval comes from the information matrix.
    """
    differences = np.append(np.tanh(length_differences / (length_differences.std() or 1.0)), 0.0)
    outcomes, ridge = np.append(wins, 0.5), np.diag([0.0, 1.0])
    design = np.stack([np.ones(len(differences)), differences], axis=1)
    weights = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        p = expit(design @ weights)
        information = (design.T * (p * (1 - p))) @ design + ridge
        weights += np.linalg.solve(information, design.T @ (outcomes - p) - ridge @ weights)
    half_width = Z * float(np.sqrt(np.linalg.inv(information)[0, 0]))
    return Estimate(*(float(expit(weights[0] + side * half_width)) for side in (0, -1, 1)))

"""Logistic recalibration (Cox 1958): log-odds times a slope plus an intercept, fitted on the latest outcomes.

It has two parameters and needs few outcomes, unlike an isotonic curve, and keeps the order of customers.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

WINDOW_SIZE = 1000
"""Outcomes that a recalibration is fitted on."""
BLOCK_SIZE = 250
"""Predictions that it is then used for, in the evaluation."""
MIN_PROBABILITY = 1e-4
"""Probabilities are clipped to this distance from 0 and 1."""


class Recalibration(NamedTuple):
    """Maps probabilities to recalibrated ones; with a slope above 0 it keeps their order."""

    slope: float
    intercept: float

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        return expit(self.slope * log_odds(probabilities) + self.intercept)

    def __str__(self) -> str:
        return f"log-odds × {self.slope:.2f} {self.intercept:+.2f}"


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    return logit(probabilities.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY))


def fit_recalibration(probabilities: np.ndarray, labels: np.ndarray) -> Recalibration:
    """Fit to predicted `probabilities` [n] and their outcomes `labels` [n], which must hold both classes."""
    model = LogisticRegression().fit(log_odds(probabilities)[:, None], labels)
    return Recalibration(float(model.coef_[0, 0]), float(model.intercept_[0]))


def rolling_recalibration(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Recalibrated probabilities [n - WINDOW_SIZE], each block by the outcomes of the window before it.

    `probabilities` and `labels` [n] are in order of time; the first window is only fitted on.
    """
    blocks = []
    for start in range(WINDOW_SIZE, len(labels), BLOCK_SIZE):
        window = slice(start - WINDOW_SIZE, start)
        recalibration = fit_recalibration(probabilities[window], labels[window])
        blocks.append(recalibration(probabilities[start : start + BLOCK_SIZE]))
    return np.concatenate(blocks)

"""Recalibration as outcomes come in: the curve of yesterday's customers, put over today's probabilities.

Logistic recalibration (Cox 1958): log-odds times a slope plus an intercept, both learnt from the latest outcomes. It
has two numbers to learn where an isotonic curve has many, so few outcomes are enough, and it keeps the order.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

WINDOW, BLOCK = 1000, 250
"""Outcomes that a curve is learnt from, and predictions that it is used for."""
EDGE = 1e-4
"""No probability is nearer to 0 or 1 than this."""


class Line(NamedTuple):
    """Over log-odds. Above 0 the slope keeps the order of customers."""

    slope: float
    intercept: float

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        return expit(self.slope * log_odds(probabilities) + self.intercept)

    def words(self) -> str:
        return f"log-odds × {self.slope:.2f} {self.intercept:+.2f}"


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    return logit(probabilities.clip(EDGE, 1 - EDGE))


def line(probabilities: np.ndarray, labels: np.ndarray) -> Line:
    """By what became of those of whom `probabilities` [n] were said: their `labels`, of both kinds."""
    model = LogisticRegression().fit(log_odds(probabilities)[:, None], labels)
    return Line(float(model.coef_[0, 0]), float(model.intercept_[0]))


def rolling(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """All but the first WINDOW of the probabilities [n], in order of time; each block by the outcomes before it."""
    blocks = range(WINDOW, len(labels), BLOCK)
    return np.concatenate(
        [
            line(probabilities[at - WINDOW : at], labels[at - WINDOW : at])(probabilities[at : at + BLOCK])
            for at in blocks
        ]
    )

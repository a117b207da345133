"""Recalibration as outcomes come in: the curve of yesterday's customers, put over today's probabilities.

Logistic recalibration (Cox 1958): log-odds times a slope plus an intercept, both learnt from the latest outcomes. It
has two numbers to learn where an isotonic curve has many, so few outcomes are enough, and it keeps the order.
"""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

WINDOW, BLOCK = 1000, 250
"""Outcomes that a curve is learnt from, and predictions that it is used for."""
EDGE = 1e-4
"""No probability is nearer to 0 or 1 than this."""


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """[n, 1]"""
    return logit(probabilities.clip(EDGE, 1 - EDGE))[:, None]


def recalibrate(probabilities: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """`new` probabilities, recalibrated by what became of `probabilities` [n]: their `labels`, of both kinds."""
    return LogisticRegression().fit(log_odds(probabilities), labels).predict_proba(log_odds(new))[:, 1]


def rolling(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """All but the first WINDOW of the probabilities [n], in order of time; each block by the outcomes before it."""
    blocks = range(WINDOW, len(labels), BLOCK)
    return np.concatenate(
        [
            recalibrate(probabilities[at - WINDOW : at], labels[at - WINDOW : at], probabilities[at : at + BLOCK])
            for at in blocks
        ]
    )

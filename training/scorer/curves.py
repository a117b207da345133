"""The numbers behind the report's charts. Arrays only."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from training.scorer.metrics import BINS, bins

POINTS = np.linspace(0, 1, 101)
"""False positive rates that ROC curves are drawn at, and thresholds."""


class Bin(NamedTuple):
    """Of the customers in one bin of predicted probability: the mean predicted, and the share observed.

    With its 95 % interval (Wilson 1927).
    """

    number: int
    customers: int
    predicted: float
    observed: float
    low: float
    high: float


def roc(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """True positive rates at `POINTS`."""
    false, true, _ = roc_curve(labels, probabilities)
    rates: np.ndarray = np.interp(POINTS, false, true)
    return rates


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[Bin]:
    """The bins of `metrics.bins` that hold anybody."""
    found, which = [], bins(probabilities)
    for number in range(BINS):
        if customers := int(np.sum(which == number)):
            yes = int(labels[which == number].sum())
            predicted = float(probabilities[which == number].mean())
            interval = binomtest(yes, customers).proportion_ci(method="wilson")
            found.append(Bin(number, customers, predicted, yes / customers, interval.low, interval.high))
    return found


def precision_recall(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of picking those at or above each threshold in `POINTS`; precision is NaN where that is nobody."""
    picked = probabilities >= POINTS[:, None]
    size, yes = picked.sum(axis=1), picked @ labels
    return np.divide(yes, size, out=np.full(len(POINTS), np.nan), where=size > 0), yes / labels.sum()


def lift(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By decile, most probable first: its share of yes over that of all, and the share of all yes gained so far."""
    deciles = np.array_split(labels[np.argsort(-probabilities, kind="stable")], 10)
    gained = np.cumsum([decile.sum() for decile in deciles]) / labels.sum()
    return np.array([decile.mean() for decile in deciles]) / labels.mean(), gained


def by_block(values: np.ndarray, size: int) -> np.ndarray:
    """Means of each `size` values in turn; the last block may be smaller."""
    starts = np.arange(0, len(values), size)
    return np.add.reduceat(values, starts) / np.diff(starts, append=len(values))

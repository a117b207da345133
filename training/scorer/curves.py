"""Data of the report's charts, computed from probabilities [n] and labels [n]."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_curve

from training.scorer.metrics import BINS, bin_indices
from training.statistics import Estimate, wilson_interval

GRID = np.linspace(0, 1, 101)
"""False positive rates of the ROC curve, and thresholds of precision and recall."""


class ReliabilityBin(NamedTuple):
    """The customers whose predicted probability falls into one bin."""

    number: int
    """Index of the bin, from 0."""
    customers: int
    """Number of customers."""
    predicted: float
    """Mean predicted probability."""
    observed: Estimate
    """Share of positives, with Wilson's interval."""


def roc(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """True positive rates at the false positive rates of `GRID`."""
    false_positive_rates, true_positive_rates, _ = roc_curve(labels, probabilities)
    interpolated: np.ndarray = np.interp(GRID, false_positive_rates, true_positive_rates)
    return interpolated


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[ReliabilityBin]:
    """The bins of the ECE that are not empty."""
    bins, indices = [], bin_indices(probabilities)
    for number in range(BINS):
        inside = indices == number
        if customers := int(np.sum(inside)):
            observed = wilson_interval(int(labels[inside].sum()) / customers, customers)
            bins.append(ReliabilityBin(number, customers, float(probabilities[inside].mean()), observed))
    return bins


def precision_recall(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of selecting customers at or above each threshold of `GRID`; precision may be NaN."""
    selected = probabilities >= GRID[:, None]
    size, positives = selected.sum(axis=1), selected @ labels
    precision = np.divide(positives, size, out=np.full(len(GRID), np.nan), where=size > 0)
    return precision, positives / labels.sum()


def lift(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lift and cumulative gain by decile of probability, highest first.

    The lift is the share of positives in the decile over that of all customers.

    The cumulative gain is the share of all positives in this decile and those before it.
    """
    deciles = np.array_split(labels[np.argsort(-probabilities, kind="stable")], 10)
    gain = np.cumsum([decile.sum() for decile in deciles]) / labels.sum()
    return np.array([decile.mean() for decile in deciles]) / labels.mean(), gain


def block_means(values: np.ndarray, size: int) -> np.ndarray:
    """Means of consecutive blocks of `size` values; the last block may be smaller."""
    starts = np.arange(0, len(values), size)
    return np.add.reduceat(values, starts) / np.diff(starts, append=len(values))

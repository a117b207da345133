"""How well a model ranks and how well its probabilities keep their word."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

BINS = 15
RESAMPLES = 200
Z = float(norm.ppf(0.975))

Metric = Callable[[np.ndarray, np.ndarray], float]


class Measured(NamedTuple):
    """A metric with its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(share: float, n: int) -> Measured:
    """The 95 % interval of a share (Wilson 1927); ties make it a little too wide."""
    middle, reach = share + Z**2 / (2 * n), Z * np.sqrt(share * (1 - share) / n + (Z / (2 * n)) ** 2)
    low, high = (float((middle + side * reach) / (1 + Z**2 / n)) for side in (-1, 1))
    return Measured(share, low, high)


def auc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: how often one who did ranks above one who did not."""
    return float(roc_auc_score(labels, probabilities))


def bins(probabilities: np.ndarray) -> np.ndarray:
    """In which of the bins of equal width each lies."""
    return np.minimum((probabilities * BINS).astype(int), BINS - 1)


def ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015) over bins of equal width.

    The mean over bins, by their size, of the distance between what was said and what happened.
    """
    return float(np.abs(np.bincount(bins(probabilities), probabilities - labels)).sum() / len(labels))


def over_folds(values: Sequence[float], folds: int) -> Measured:
    """Mean over the folds of repeated cross-validation; an interval that knows that their training rows overlap.

    Nadeau and Bengio (2003): the variance of J scores times 1/J + test share / training share.
    """
    spread = np.std(values, ddof=1) * np.sqrt(1 / len(values) + 1 / (folds - 1))
    reach = float(t.ppf(0.975, len(values) - 1) * spread)
    mean = float(np.mean(values))
    return Measured(mean, max(mean - reach, 0.0), min(mean + reach, 1.0))


def over_rows(
    metric: Metric, probabilities: np.ndarray, labels: np.ndarray, seed: int, block: int = 1, least: float = 0.0
) -> Measured:
    """The metric of `probabilities` [repeats, n], averaged over repeats; interval by bootstrap over the rows.

    Less the bias of resampling, which adds to any ECE. Rows in order of time are alike if they are near: they are drawn
    in blocks (Künsch 1989). `least` is the smallest value of the metric.
    """
    rng, n = np.random.default_rng(seed), len(labels)

    def mean(rows: np.ndarray | slice) -> float:
        return float(np.mean([metric(each[rows], labels[rows]) for each in probabilities]))

    def draw() -> np.ndarray:
        """Once more where it is all of one kind, which no AUC is of."""
        starts = rng.integers(n - block + 1, size=-(-n // block))
        rows = (starts[:, None] + np.arange(block)).ravel()[:n]
        return rows if 0 < labels[rows].mean() < 1 else draw()

    value, values = mean(slice(None)), np.array([mean(draw()) for _ in range(RESAMPLES)])
    low, high = np.quantile(values - values.mean() + value, [0.025, 0.975]).clip(least, 1).tolist()
    return Measured(value, low, high)


def ece_by_chance(probabilities: np.ndarray, seed: int) -> float:
    """The ECE that these probabilities would show if each were true: what so few rows add by chance."""
    rng = np.random.default_rng(seed)
    draws = [ece(probabilities, rng.random(len(probabilities)) < probabilities) for _ in range(RESAMPLES)]
    return float(np.mean(draws))

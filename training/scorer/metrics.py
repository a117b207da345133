"""How well a model ranks and how well its probabilities keep their word."""

from collections.abc import Callable

import numpy as np
from sklearn.metrics import roc_auc_score

BINS = 15
RESAMPLES = 200


def auc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: how often one who did ranks above one who did not."""
    return float(roc_auc_score(labels, probabilities))


def ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015) over bins of equal width.

    The mean over bins, by their size, of the distance between what was said and what happened.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, probabilities - labels)).sum() / len(labels))


def with_interval(
    name: str, metric: Callable[[np.ndarray, np.ndarray], float], p: np.ndarray, labels: np.ndarray, seed: int
) -> dict[str, float]:
    """The metric and its 95 % interval: bootstrap over rows, less the bias of resampling, which adds to any ECE."""
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(labels), size=len(labels)) for _ in range(RESAMPLES))
    values, value = np.array([metric(p[draw], labels[draw]) for draw in draws]), metric(p, labels)
    low, high = np.quantile(values - values.mean() + value, [0.025, 0.975]).clip(0, 1).tolist()
    return {name: value, f"{name}.low": low, f"{name}.high": high}

"""Ranking and calibration of predicted probabilities [n] against labels [n]."""

import numpy as np
from sklearn.metrics import roc_auc_score

BINS = 15
"""Bins of equal width of the ECE and of the reliability diagram."""
SIMULATIONS = 200


def auc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: the probability that a positive ranks above a negative."""
    return float(roc_auc_score(labels, probabilities))


def bin_indices(probabilities: np.ndarray) -> np.ndarray:
    """The bin of each probability."""
    return np.minimum((probabilities * BINS).astype(int), BINS - 1)


def ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015).

    The mean over bins, weighted by size, of the distance between the mean prediction and the observed share.
    """
    return float(np.abs(np.bincount(bin_indices(probabilities), probabilities - labels)).sum() / len(labels))


def ece_by_chance(probabilities: np.ndarray, seed: int) -> float:
    """The ECE to expect if all probabilities are right: what a finite sample adds by chance."""
    rng = np.random.default_rng(seed)
    samples = [ece(probabilities, rng.random(len(probabilities)) < probabilities) for _ in range(SIMULATIONS)]
    return float(np.mean(samples))

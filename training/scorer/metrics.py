"""How well a model ranks and how well its probabilities keep their word."""

import numpy as np
from sklearn.metrics import roc_auc_score

BINS = 15
SIMULATIONS = 200


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


def ece_by_chance(probabilities: np.ndarray, seed: int) -> float:
    """The ECE that these probabilities would show if each were true: what so few rows add by chance."""
    rng = np.random.default_rng(seed)
    draws = [ece(probabilities, rng.random(len(probabilities)) < probabilities) for _ in range(SIMULATIONS)]
    return float(np.mean(draws))

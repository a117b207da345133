"""Statistical tests of drift: shifted and newly missing facts, calibration and ranking of the scorer's models.

`drift` is the command that applies them; the tests of this project's code are in tests/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import chi2, rankdata
from sklearn.metrics import roc_auc_score

from services.scorer.monitor import Histogram

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]

ALPHA = 0.01
"""Probability of a false alarm of each kind of test, over all its facts or periods."""
WATCH_PSI, DRIFT_PSI = 0.1, 0.25
"""The usual thresholds: a fact with this PSI or more is watched, or has shifted (Siddiqi 2006)."""
MIN_MISSING_RISE = 0.25
"""Smallest rise in the share of customers without a fact that calls for action."""
MIN_CALIBRATION_GAP = 0.02
"""Smallest difference between predicted and observed share that calls for a recalibration."""
MIN_CUSTOMERS = 100
"""Recent customers that a comparison of a fact's ten bins with training needs."""
MIN_OUTCOMES = 100
"""Outcomes of each class that an AUC needs (Collins, Ogundimu and Altman 2016)."""
MAX_PERIODS = 10


@dataclass(frozen=True)
class Shift:
    """Change of a fact between training and recent customers: its distribution, and how many customers lack it."""

    psi: float
    """Population stability index among the customers who have the fact; 0 if no customer of one side has it."""
    p_value: float
    """Probability of a PSI at least as large if nothing has shifted."""
    missing_before: float
    """Share of training customers without the fact; 1 if none had it."""
    missing: float
    """Share of recent customers without the fact, or with a value that could not be read, such as a new category."""
    missing_p_value: float
    """Probability of so large a difference between the two shares if nothing has changed."""
    never_sent: bool
    """Whether no recent event had the fact."""


@dataclass(frozen=True)
class Period:
    """Mean predicted probability and observed share of the outcomes of one period of time."""

    outcomes: int
    predicted: float
    observed: float
    is_miscalibrated: bool
    """Whether the gap between the two is large and significant."""


@dataclass(frozen=True)
class Ranking:
    """AUC with its interval, and the AUC expected for these customers if only their base rate has changed."""

    auc: float
    low: float
    high: float
    expected: float


def psi(expected: Sequence[int], actual: Sequence[int]) -> tuple[float, float]:
    """Population stability index between two histograms over the same bins, and its p-value.

    The sum of (a - e) ln(a / e) over the shares of customers in each bin (Siddiqi 2006); a bin that is empty on one
    side counts as half a customer there. Between samples of n and m from one distribution over k bins it is about
    chi2(k - 1) (1/n + 1/m) (Yurdakul and Naranjo 2020). 0 and 1 where one side has no customers.
    """
    if not (any(expected) and any(actual)):
        return 0.0, 1.0
    counts = np.array([expected, actual], float)
    counts = np.maximum(counts[:, counts.any(axis=0)], 0.5)
    sizes = counts.sum(axis=1)
    e, a = counts / sizes[:, None]
    value = float(np.sum((a - e) * np.log(a / e)))
    return value, float(chi2.sf(value / np.sum(1 / sizes), max(len(e) - 1, 1)))


def fact_shifts(
    reference: Mapping[str, Histogram], counts: Mapping[str, Sequence[int]], unknown: Mapping[str, int]
) -> dict[str, Shift]:
    """The shift of each fact from training's `reference` to the recent `counts` by bin, of which the last is missing.

    `unknown` counts the categories that could not be read, by fact.
    """
    shifts = {}
    for name, recent in counts.items():
        trained = reference[name]["counts"]
        known_before, known = sum(trained[:-1]), sum(recent[:-1])
        value, p_value = psi(trained[:-1], recent[:-1])
        shifts[name] = Shift(
            psi=value,
            p_value=p_value,
            missing_before=1 - known_before / max(sum(trained), 1),
            missing=1 - known / max(sum(recent), 1),
            missing_p_value=psi([known_before, trained[-1]], [known, recent[-1]])[1],
            never_sent=not known and not unknown.get(name),
        )
    return shifts


def shifted_facts(shifts: Mapping[str, Shift], min_psi: float = DRIFT_PSI) -> list[str]:
    """Facts whose PSI is large and significant over all facts together (Bonferroni)."""
    return [name for name, shift in shifts.items() if shift.psi >= min_psi and shift.p_value < ALPHA / len(shifts)]


def newly_missing_facts(shifts: Mapping[str, Shift]) -> list[str]:
    """Facts that most training customers had and that many more lack now, significantly (Bonferroni)."""
    return [
        name
        for name, shift in shifts.items()
        if shift.missing_before < 0.5
        and shift.missing - shift.missing_before > MIN_MISSING_RISE
        and shift.missing_p_value < ALPHA / len(shifts)
    ]


def calibration_by_period(probabilities: Probabilities, labels: Labels, max_periods: int = MAX_PERIODS) -> list[Period]:
    """Predicted and observed shares in periods of equal size; `probabilities` and `labels` [n] are in order of time.

    A period is miscalibrated if the gap is large and significant: a z-test of the number of ones against the
    predictions, at a level that the periods share (Bonferroni). There are fewer periods if one would have a variance
    below 10, too little for that test, and none if all together have less.
    """
    periods = min(max_periods, int(np.sum(probabilities * (1 - probabilities)) / 10))
    if not periods:
        return []
    critical = NormalDist().inv_cdf(1 - ALPHA / 2 / periods)
    results = []
    for p, y in zip(np.array_split(probabilities, periods), np.array_split(labels, periods), strict=True):
        gap = abs(y.mean() - p.mean())
        is_miscalibrated = gap >= MIN_CALIBRATION_GAP and gap * len(p) > critical * np.sqrt(np.sum(p * (1 - p)))
        results.append(Period(len(p), float(p.mean()), float(y.mean()), bool(is_miscalibrated)))
    return results


def ranking(probabilities: Probabilities, labels: Labels) -> Ranking | None:
    """How well probabilities [n] rank labels [n]; None where there are too few outcomes.

    The interval is DeLong's (1988), from ranks (Sun and Xu 2014). The expected AUC is the model-based concordance (van
    Klaveren et al. 2016) of the probabilities, once their odds are multiplied so that their mean is the observed share.
    It is low for customers who are alike, such as those whom a policy selects for contact: no model ranks them well.
    """
    positive, negative = probabilities[labels == 1], probabilities[labels == 0]
    m, n = len(positive), len(negative)
    if min(m, n) < MIN_OUTCOMES:
        return None
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n  # of each positive: the share of negatives that rank below it
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    standard_error = np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    half_width = float(NormalDist().inv_cdf(1 - ALPHA / 2) * standard_error)
    log_odds = logit(probabilities.clip(1e-6, 1 - 1e-6))
    p = expit(log_odds + brentq(lambda shift: expit(log_odds + shift).mean() - labels.mean(), -30, 30))
    expected = roc_auc_score(np.repeat([1, 0], len(p)), np.tile(p, 2), sample_weight=np.concatenate([p, 1 - p]))
    auc = float(above.mean())
    return Ranking(auc, auc - half_width, auc + half_width, float(expected))

"""What a window of customers shows: facts that moved or are gone, probabilities that are off, ranking that is lost."""

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

CHANCE = 0.01
"""Of a false alarm, by each kind of evidence."""
WATCH, DRIFTED = 0.1, 0.25
"""PSI from which a fact is usually watched, and from which it is said to have shifted (Siddiqi 2006)."""
RISE = 0.25
"""In the share of customers without a fact: a smaller one is told in the table alone."""
GAP = 0.02
"""Between predicted and observed: a smaller one is not worth a new curve."""
ENOUGH = 100
"""Outcomes of either sort that judging a ranking takes (Collins, Ogundimu and Altman 2016)."""
PERIODS = 10


@dataclass(frozen=True)
class Shift:
    """How a fact moved among those who have it (where one side never has it, not at all), and how many lack it."""

    psi: float
    chance: float
    """Of so large a PSI where nothing moved."""
    missing_before: float
    """Share of all customers; 1 where training never had the fact."""
    missing: float
    """Now. What was sent but cannot be read, as a category that training has not seen, is missing too."""
    missing_chance: float
    """Of so large a difference between the two shares where nothing moved."""
    never_sent: bool


@dataclass(frozen=True)
class Period:
    outcomes: int
    predicted: float
    observed: float
    off: bool


@dataclass(frozen=True)
class Ranking:
    """AUC with its interval, and the AUC to expect of these customers if nothing but their base rate has moved."""

    auc: float
    low: float
    high: float
    promised: float


def psi(expected: Sequence[int], actual: Sequence[int]) -> tuple[float, float]:
    """Population stability index between two histograms, and the chance of one so large where nothing moved.

    The sum of (a - e) ln(a / e) over the shares of customers in each bin (Siddiqi 2006); a bin that is empty on one
    side counts as half a customer there. Between samples of n and m from one distribution over k bins it is about
    chi2(k - 1) (1/n + 1/m) (Yurdakul and Naranjo 2020). 0 and 1 where a side has no customers to compare.
    """
    if not (any(expected) and any(actual)):
        return 0.0, 1.0
    both = np.array([expected, actual], float)
    both = np.maximum(both[:, both.any(axis=0)], 0.5)
    sizes = both.sum(axis=1)
    e, a = both / sizes[:, None]
    value = float(np.sum((a - e) * np.log(a / e)))
    return value, float(chi2.sf(value / np.sum(1 / sizes), max(len(e) - 1, 1)))


def shifts(
    before: Mapping[str, Histogram], now: Mapping[str, Sequence[int]], unknown: Mapping[str, int]
) -> dict[str, Shift]:
    """Of each fact that was counted; `unknown` are its categories that could not be read. Missing is no bin."""
    found = {}
    for name, counts in now.items():
        trained = before[name]["counts"]
        had, have = sum(trained[:-1]), sum(counts[:-1])
        found[name] = Shift(
            *psi(trained[:-1], counts[:-1]),
            missing_before=1 - had / max(sum(trained), 1),
            missing=1 - have / max(sum(counts), 1),
            missing_chance=psi([had, trained[-1]], [have, counts[-1]])[1],
            never_sent=not have and not unknown.get(name),
        )
    return found


def drifted(found: Mapping[str, Shift], psi: float = DRIFTED) -> list[str]:
    """Facts whose PSI is large and, over all the facts together (Bonferroni), no chance."""
    return [name for name, shift in found.items() if shift.psi >= psi and shift.chance < CHANCE / len(found)]


def lacking(found: Mapping[str, Shift]) -> list[str]:
    """Facts that most of training had and that many more customers lack now, beyond chance likewise."""
    return [
        name
        for name, shift in found.items()
        if shift.missing_before < 0.5
        and shift.missing - shift.missing_before > RISE
        and shift.missing_chance < CHANCE / len(found)
    ]


def calibration_in_time(probabilities: Probabilities, labels: Labels, periods: int = PERIODS) -> list[Period]:
    """Predicted and observed in equal parts of both [n], which are in order of time.

    A period is off where the gap is large, and beyond chance: a z-test of how many it happened to under what was
    predicted, at a level that the periods share (Bonferroni). There are fewer periods where each would have a variance
    below 10, too little for that test, and none where all together have.
    """
    periods = min(periods, int(np.sum(probabilities * (1 - probabilities)) / 10))
    if not periods:
        return []
    critical = NormalDist().inv_cdf(1 - CHANCE / 2 / periods)
    found = []
    for p, y in zip(np.array_split(probabilities, periods), np.array_split(labels, periods), strict=True):
        gap = abs(y.mean() - p.mean())
        off = gap >= GAP and gap * len(p) > critical * np.sqrt(np.sum(p * (1 - p)))
        found.append(Period(len(p), float(p.mean()), float(y.mean()), bool(off)))
    return found


def ranking(probabilities: Probabilities, labels: Labels) -> Ranking | None:
    """How well probabilities [n] rank labels [n]; None where there are too few outcomes to say.

    The interval is DeLong's (1988), from ranks (Sun and Xu 2014). What is promised is the model-based concordance (van
    Klaveren et al. 2016) of the probabilities, once their odds are multiplied so that their mean is what was observed.
    It is low where customers are alike, as those are whom a policy picked to contact: no model ranks them well.
    """
    yes, no = probabilities[labels == 1], probabilities[labels == 0]
    if min(len(yes), len(no)) < ENOUGH:
        return None
    ranks = rankdata(np.concatenate([yes, no]))
    above = (ranks[: len(yes)] - rankdata(yes)) / len(no)  # of each yes: the share of no's that it is ranked above
    below = 1 - (ranks[len(yes) :] - rankdata(no)) / len(yes)
    reach = NormalDist().inv_cdf(1 - CHANCE / 2) * np.sqrt(above.var(ddof=1) / len(yes) + below.var(ddof=1) / len(no))
    odds = logit(probabilities.clip(1e-6, 1 - 1e-6))
    p = expit(odds + brentq(lambda more: expit(odds + more).mean() - labels.mean(), -30, 30))
    promised = roc_auc_score(np.repeat([1, 0], len(p)), np.tile(p, 2), sample_weight=np.concatenate([p, 1 - p]))
    auc = float(above.mean())
    return Ranking(auc, auc - float(reach), auc + float(reach), float(promised))

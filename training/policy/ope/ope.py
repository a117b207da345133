"""What would another policy have earned? Estimated from what this one did, before it is let near a customer.

python -m training.policy.ope TABLE.csv|.parquet

A row is a decision: `action` (0, 1, …), `propensity` (the probability with which that action was drawn), `reward`, and
`target_0`, `target_1`, …, the other policy's probabilities of each action; all other columns of
numbers, or of true and false, are contexts.
Exits with 0 and the estimates, or with 1 and the reason why this log cannot tell.

Rows count as independent, and a decision as changing no later context: a customer who comes up often is one row, with
the sum of what they brought.
"""

from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.policy.ope.bandit_log import Log, TableError, read
from training.policy.ope.estimators import REGRESSOR, cross_fitted, effective, influences, weigh
from training.statistics import Estimate, skewed_mean_interval

FLOOR = 100
"""Least effective sample size."""
REWARDS = 50
"""Least effective number of rewards that are not the usual one: below it the intervals cover too seldom."""
UNSEEN = 0.01
"""Most that the target may take, on average, of actions that are nowhere in the log."""
CHANCE = 0.001
"""Of refusing a log for the mean of its weights where nothing is wrong with it."""


class OverlapError(Exception):
    """The log says too little of the target; the text says what was found and what to do."""


@dataclass(frozen=True)
class Judged:
    """The target's mean reward a decision, three times."""

    ips: Estimate
    """Inverse propensity (Horvitz and Thompson 1952): unbiased, and the widest."""
    snips: Estimate
    """Self-normalised (Swaminathan and Joachims 2015): the rewards' zero does not matter."""
    dr: Estimate
    """Doubly robust (Dudík et al. 2011): a regression, put right by weighted residuals."""
    gain: Estimate
    """`dr` less what the log's own policy brought in the same rows."""
    effective: float
    """Sample size."""
    largest: float
    """Weight."""


def estimate(log: Log, target: np.ndarray, regressor: Any = REGRESSOR, floor: float = FLOOR) -> Judged:
    """Of the policy that takes the actions with the probabilities `target` [n, k], in the log's contexts.

    `regressor` has scikit-learn's fit and predict, and learns rewards from [contexts, one-hot action].
    Raises `TableError` and `OverlapError`, the latter also for an effective sample size below `floor`.
    """
    weights = weigh(log, target)
    _refuse(log, target, weights, floor)
    found = influences(log, target, weights, cross_fitted(log, target.shape[1], regressor))
    intervals = {name: skewed_mean_interval(values) for name, values in found.items()}
    return Judged(**intervals, effective=effective(weights), largest=float(weights.max()))


def _refuse(log: Log, target: np.ndarray, weights: np.ndarray, floor: float) -> None:
    n, certain = len(weights), log.propensities == 1
    if other := int(np.sum(certain & (weights < 1 - 1e-6))):
        who = (
            "Every propensity is 1: the log's policy was greedy" if certain.all() else "A propensity of 1 is certainty"
        )
        raise OverlapError(
            f"{who}, and in {other:,} of {n:,} rows the target may act otherwise, of which the log says nothing."
            " Log actions drawn by chance for a while; where only one is allowed, the target must take it too."
        )
    taken = np.bincount(log.actions.astype(int), minlength=target.shape[1])
    for action in np.flatnonzero((taken == 0) & (target.mean(axis=0) > UNSEEN)):
        raise OverlapError(
            f"The target takes action {action} with a probability of {target[:, action].mean():.3f}, and the log never"
            " did. Log a policy that tries it, or judge a target without it."
        )
    if (size := effective(weights)) < floor:
        raise OverlapError(
            f"{n:,} rows are worth {size:.0f} of the target's own, fewer than {floor:g}; the largest weight is"
            f" {weights.max():.1f}. Log for longer, explore more, or judge a target nearer to the logged policy."
        )
    usual = float(np.median(log.rewards))
    if (size := effective(weights * np.abs(log.rewards - usual))) < REWARDS:
        raise OverlapError(
            f"The rewards other than {usual:g} are worth {size:.0f} of the target's own, fewer than {REWARDS}: chance"
            " made their mean. Log for longer, explore more, or judge a target nearer to the logged policy."
        )
    value, low, high = skewed_mean_interval(weights, CHANCE)
    if not low - 1e-6 <= 1 <= high + 1e-6:
        raise OverlapError(
            f"The weights' mean is {value:.3f} ({low:.3f} to {high:.3f}) and should be 1. Are the propensities those"
            " that actions were drawn with, are rows missing by what was done, or may the target do more than it could?"
        )


def main() -> int:
    parser = ArgumentParser(prog="python -m training.policy.ope", description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path)
    try:
        found = estimate(*read(parser.parse_args().table))
    except (TableError, OSError) as error:
        parser.error(str(error))
    except OverlapError as error:
        print(f"refused: {error}")
        return 1
    for name in ("ips", "snips", "dr", "gain"):
        value, low, high = getattr(found, name)
        print(f"{name:6} {value:10.3f}  {low:10.3f} to {high:10.3f}")
    print(f"effective sample size {found.effective:,.0f}, largest weight {found.largest:.1f}")
    return 0

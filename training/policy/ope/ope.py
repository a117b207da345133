"""Off-policy evaluation: estimate the mean reward of another policy from the log of the policy that was served.

python -m training.policy.ope TABLE.csv|.parquet

A row is a decision: `action` (0, 1, …), `propensity` (the probability with which that action was drawn), `reward`, and
`target_0`, `target_1`, …, the other policy's probabilities of each action; all other columns of numbers, or of true and
false, are contexts, which were known before the action. The table may be any that `training.data.read_table` reads.
Exits with 0 and the estimates, or with 1 and the reason why the log is not sufficient.

The estimators assume independent rows, and decisions that change no later context: put a customer with several
decisions into one row, with the sum of their rewards.
"""

import sys
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import f_oneway

from training.data.leaks import auc
from training.policy.ope.bandit_log import BanditLog, TableError, read_table
from training.policy.ope.estimators import (
    REWARD_REGRESSOR,
    cross_fitted_rewards,
    doubly_robust,
    effective_sample_size,
    importance_weights,
    ips,
    snips,
)
from training.statistics import Estimate, skewed_mean_interval

MIN_SAMPLE_SIZE = 100
"""Effective sample size below which a log is refused."""
MIN_REWARDS = 50
"""Smallest effective number of rewards other than the median: with fewer, intervals cover the truth too seldom."""
MAX_UNTRIED_PROBABILITY = 0.01
"""Largest mean probability that the target may give to an action that the log does not have."""
FALSE_REFUSAL_RATE = 0.001
"""Probability of refusing a correct log because of the mean of its weights."""
TOLERANCE = 1e-6

MAX_CONTEXT_AUC = 0.98
"""Highest AUC with which a context by itself may tell the rewards that are not 0."""
ADVICE = "Log for longer, explore more, or evaluate a target closer to the logged policy."


class OverlapError(Exception):
    """The log has too few actions that the target would take; the message has the measurement and what to do."""


@dataclass(frozen=True)
class OPEResult:
    """Estimates of the target's mean reward per decision."""

    ips: Estimate
    """Inverse propensity scoring: unbiased, with the widest interval."""
    snips: Estimate
    """Self-normalised inverse propensity scoring: independent of a constant added to all rewards."""
    dr: Estimate
    """Doubly robust: a regression of the reward, corrected by its weighted residuals."""
    gain: Estimate
    """Gain over the logged policy: `dr` less the mean reward of the same rows."""
    sample_size: float
    """Effective sample size."""
    max_weight: float
    """Largest importance weight."""


def estimate(
    log: BanditLog, target: np.ndarray, regressor: Any = REWARD_REGRESSOR, min_sample_size: float = MIN_SAMPLE_SIZE
) -> OPEResult:
    """Estimates for the policy whose probabilities of each action, in the log's contexts, are `target` [n, k].

    `regressor` has scikit-learn's fit and predict, and learns rewards from [contexts, one-hot action]. Raises
    `TableError`, and `OverlapError` if the log is not sufficient.
    """
    weights = importance_weights(log, target)
    _check_contexts(log)
    _check_certain_actions(log, weights)
    _check_untried_actions(log, target)
    _check_sample_sizes(log, weights, min_sample_size)
    _check_mean_weight(weights)
    dr = doubly_robust(log, target, weights, cross_fitted_rewards(log, target.shape[1], regressor))
    return OPEResult(
        ips=skewed_mean_interval(ips(log, weights)),
        snips=skewed_mean_interval(snips(log, weights)),
        dr=skewed_mean_interval(dr),
        gain=skewed_mean_interval(dr - log.rewards),
        sample_size=effective_sample_size(weights),
        max_weight=float(weights.max()),
    )


def _check_contexts(log: BanditLog) -> None:
    """Raises `OverlapError` if a context is a result of the action: the regression would take its effect for granted.

    That shows where the log draws actions regardless of contexts, and where a context tells which rewards are 0.
    """
    actions = [log.actions == action for action in np.unique(log.actions)]
    shares = [float(log.propensities[rows].mean()) for rows in actions]
    is_constant = all(np.ptp(log.propensities[rows]) < TOLERANCE for rows in actions)
    at_random = len(actions) > 1 and is_constant and abs(sum(shares) - 1) < MAX_UNTRIED_PROBABILITY
    is_paid, results = log.rewards != 0, list[str]()
    for number, context in enumerate(log.contexts.T):
        name = repr(log.names[number]) if log.names else f"number {number}"
        groups = [context[rows & ~np.isnan(context)] for rows in actions]
        varies = all(len(group) > 1 for group in groups) and any(np.ptp(group) > 0 for group in groups)
        separation = auc(pd.Series(np.nan_to_num(context, nan=-np.inf)), is_paid) if 0 < is_paid.mean() < 1 else 0.5
        if max(separation, 1 - separation) > MAX_CONTEXT_AUC:
            results.append(f"{name} alone tells which rewards are not 0")
        elif at_random and varies and f_oneway(*groups).pvalue < FALSE_REFUSAL_RATE / len(log.contexts.T):
            means = ", ".join(f"{group.mean():.3g}" for group in groups)
            results.append(f"{name} differs by action (means {means}), though actions are drawn at random")
    if results:
        raise OverlapError(
            f"The context {'; '.join(results)}. It is a result of the action, such as a visit, or the propensities are"
            " wrong. Leave it out of the table; contexts are what was known before the action."
        )


def _check_certain_actions(log: BanditLog, weights: np.ndarray) -> None:
    """Raises `OverlapError` if the target may act otherwise where the log's propensity is 1."""
    certain = log.propensities == 1
    if differing := int(np.sum(certain & (weights < 1 - TOLERANCE))):
        cause = "Every propensity is 1: the logged policy was greedy" if certain.all() else "Some propensities are 1"
        raise OverlapError(
            f"{cause}, and in {differing:,} of {len(weights):,} rows the target may act otherwise there, of which the"
            " log says nothing. Log actions drawn at random for a while; where only one is allowed, the target must"
            " take it too."
        )


def _check_untried_actions(log: BanditLog, target: np.ndarray) -> None:
    """Raises `OverlapError` if the target takes an action that the log does not have."""
    counts = np.bincount(log.actions.astype(int), minlength=target.shape[1])
    for action in np.flatnonzero((counts == 0) & (target.mean(axis=0) > MAX_UNTRIED_PROBABILITY)):
        raise OverlapError(
            f"The target takes action {action} with a probability of {target[:, action].mean():.3f}, and the log never"
            " does. Log a policy that tries it, or evaluate a target without it."
        )


def _check_sample_sizes(log: BanditLog, weights: np.ndarray, min_sample_size: float) -> None:
    """Raises `OverlapError` if too few rows or rewards carry the estimate."""
    if (size := effective_sample_size(weights)) < min_sample_size:
        raise OverlapError(
            f"The effective sample size of {len(weights):,} rows is {size:.0f}, below {min_sample_size:g}; the largest"
            f" weight is {weights.max():.1f}. {ADVICE}"
        )
    median = float(np.median(log.rewards))
    if (size := effective_sample_size(weights * np.abs(log.rewards - median))) < MIN_REWARDS:
        raise OverlapError(
            f"The effective number of rewards other than {median:g} is {size:.0f}, below {MIN_REWARDS}: chance makes"
            f" their mean. {ADVICE}"
        )


def _check_mean_weight(weights: np.ndarray) -> None:
    """Raises `OverlapError` unless the mean weight is 1, as it is if propensities are right and no row is missing."""
    mean, low, high = skewed_mean_interval(weights, FALSE_REFUSAL_RATE)
    if not low - TOLERANCE <= 1 <= high + TOLERANCE:
        raise OverlapError(
            f"The weights' mean is {mean:.3f} ({low:.3f} to {high:.3f}) and should be 1. Check that the propensities"
            " are those that actions were drawn with, that no rows are missing because of their action, and that the"
            " target takes no action that was not allowed."
        )


def main() -> int:
    parser = ArgumentParser(prog="python -m training.policy.ope", description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path, help="the decisions, a table such as .csv or .parquet")
    try:
        log, target = read_table(parser.parse_args().table)
        for note in (f"contexts: {', '.join(log.names) or 'none'}", *log.notes):
            print(note, file=sys.stderr)
        result = estimate(log, target)
    except (TableError, OSError) as error:
        parser.error(str(error))
    except OverlapError as error:
        print(f"refused: {error}")
        return 1
    for name in ("ips", "snips", "dr", "gain"):
        value, low, high = getattr(result, name)
        print(f"{name:6} {value:10.3f}  {low:10.3f} to {high:10.3f}")
    print(f"effective sample size {result.sample_size:,.0f}, largest weight {result.max_weight:.1f}")
    return 0

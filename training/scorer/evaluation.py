"""How good the models are: repeated cross-validation beside two peers, and the bank's calls in order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.scorer.baselines import PEERS
from training.scorer.fit import FOLDS, ByName, Folds, learn, out_of_fold, split
from training.scorer.logistic_recalibration import BLOCK_SIZE, WINDOW_SIZE, rolling_recalibration
from training.scorer.metrics import auc, ece, ece_by_chance
from training.scorer.targets import Target, subset, views
from training.statistics import Estimate, bootstrap_interval, cross_validation_interval

REPEATS = 3

Metrics = dict[str, Estimate]


@dataclass(frozen=True)
class Evaluation:
    """Of one target: calibrated probabilities out of fold [repeats, n], by view of the customers and by peer."""

    target: Target
    folds: Folds
    probabilities: Mapping[str, np.ndarray]
    metrics: Metrics


@dataclass(frozen=True)
class InTime:
    """The last fifth in order of time, `probabilities` and `labels` [n].

    What the model said that was learnt and calibrated on all before (`time_fixed`), what it said recalibrated as
    outcomes came in (`time`), and what the recent share of yes said alone (`time_rate`).
    """

    name: str
    labels: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    metrics: Metrics


@dataclass(frozen=True)
class Study:
    """All that the report shows, of one run."""

    evaluations: Sequence[Evaluation]
    in_time: Sequence[InTime]
    importance: Mapping[str, Mapping[str, float]]
    """By target, of each fact the mean strength of its SHAP value in log-odds; strongest first."""
    shifts: Mapping[str, Mapping[str, Mapping[str, float]]]
    """By target and split (valid, test), of each fact the PSI against the training split."""

    @property
    def metrics(self) -> Metrics:
        metrics = [each.metrics for each in self.evaluations] + [each.metrics for each in self.in_time]
        return {name: value for each in metrics for name, value in each.items()}


def evaluate(target: Target, repeats: int = REPEATS) -> Evaluation:
    """Whoever speaks of a customer has seen neither their label nor what became of them in fitting trees or curves."""
    folds, seen = split(target, repeats), views(target)

    def ours(train: Target, test: np.ndarray) -> ByName:
        model = learn(train)
        return {name: model(rows[test]) for name, rows in seen.items()}

    def theirs(train: Target, test: np.ndarray) -> ByName:
        return {name: peer(train, target.rows[test]) for name, peer in PEERS.items()}

    probabilities = out_of_fold(target, folds, ours, target.name) | out_of_fold(target, folds, theirs, "its peers")
    return Evaluation(target, folds, probabilities, measured(target, folds, probabilities))


def measured(target: Target, folds: Folds, probabilities: ByName) -> Metrics:
    """AUC over the folds; ECE over all rows of a repeat, and within the folds beside what chance would show there.

    Over all rows the errors of the folds' curves cancel in part; within a fold chance is most of it.
    """
    labels, seed = target.labels, target.recipe.seed
    found = {f"{target.name}.base_rate": alone(float(labels.mean()))}
    for name, each in probabilities.items():
        of = target.name if name == "whole" else f"{target.name}.{name}"
        within = [(p[test], labels[test]) for p, tests in zip(each, folds, strict=True) for test in tests]
        found[f"{of}.ece"] = bootstrap_interval(ece, each, labels, seed)
        found[f"{of}.fold_ece"] = cross_validation_interval([ece(p, y) for p, y in within], FOLDS)
        if name not in PEERS:
            found[f"{of}.fold_ece_by_chance"] = alone(float(np.mean([ece_by_chance(p, seed) for p, _ in within])))
        if name != "id_only":  # where nothing tells customers apart, there is nothing to rank
            found[f"{of}.auc"] = cross_validation_interval([auc(p, y) for p, y in within], FOLDS)
    return found


def alone(value: float) -> Estimate:
    """A number that is not an estimate."""
    return Estimate(value, value, value)


def in_time(target: Target) -> InTime:
    """Learn from the first four fifths, calibrate out of fold, test on the last; `target.rows` are in order of time."""
    labels, seed = target.labels, target.recipe.seed
    start = len(labels) * 4 // 5
    lead = (
        start - WINDOW_SIZE
    )  # the first window is from before the test: a model has to speak of it that has not seen it
    fixed = learn(subset(target, np.arange(start)))(target.rows[start:])
    before = learn(subset(target, np.arange(lead)))(target.rows[lead:start])
    rates = [labels[at - WINDOW_SIZE : at].mean() for at in range(start, len(labels), BLOCK_SIZE)]
    probabilities = {
        "time_fixed": fixed,
        "time": rolling_recalibration(np.concatenate([before, fixed]), labels[lead:]),
        "time_rate": np.repeat(rates, BLOCK_SIZE)[: len(fixed)],
    }
    found = {}
    for name, each in probabilities.items():
        for metric in (auc, ece):
            of = f"{target.name}.{name}_{metric.__name__}"
            found[of] = bootstrap_interval(metric, each[None], labels[start:], seed, block_size=BLOCK_SIZE)
    both = np.stack([probabilities["time"], probabilities["time_rate"]], axis=1)
    found[f"{target.name}.time_gain_auc"] = bootstrap_interval(
        gain, both[None], labels[start:], seed, block_size=BLOCK_SIZE, minimum=-1
    )
    return InTime(target.name, labels[start:], probabilities, found)


def gain(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """How much better the first of two [n, 2] ranks."""
    return auc(probabilities[:, 0], labels) - auc(probabilities[:, 1], labels)

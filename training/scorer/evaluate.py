"""How good the models are: repeated cross-validation beside two peers, and the bank's calls in order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.scorer.learn import FOLDS, ByName, Folds, across, calibrator, fit, learn, said, split
from training.scorer.metrics import Measured, auc, ece, ece_by_chance, over_folds, over_rows
from training.scorer.peers import PEERS
from training.scorer.rolling import BLOCK, WINDOW, rolling
from training.scorer.targets import Target, part, views

REPEATS = 3

Metrics = dict[str, Measured]


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
    """Every probability is of a model and a calibrator fitted without the customer's label."""
    folds = split(target, repeats)
    raw = across(target, folds, said(target))
    theirs = across(
        target, folds, lambda train, test: {name: peer(train, target.rows[test]) for name, peer in PEERS.items()}
    )
    calibrated = calibrated_across(target, raw, folds) | theirs
    return Evaluation(target, folds, calibrated, measured(target, folds, calibrated))


def calibrated_across(target: Target, raw: ByName, folds: Folds) -> ByName:
    """Each fold by a calibrator that learnt from the other folds."""
    seen, everyone = views(target), np.arange(len(target.labels))
    calibrated = {name: np.empty_like(each) for name, each in raw.items()}
    for repeat, tests in enumerate(folds):
        for test in tests:
            others = np.setdiff1d(everyone, test)
            calibrate = calibrator(
                {name: rows[others] for name, rows in seen.items()},
                {name: each[repeat, others] for name, each in raw.items()},
                target.labels[others],
            )
            for name, each in raw.items():
                calibrated[name][repeat, test] = calibrate(seen[name][test], each[repeat, test])
    return calibrated


def measured(target: Target, folds: Folds, probabilities: ByName) -> Metrics:
    """AUC over the folds; ECE over all rows of a repeat, since in a fold chance alone would be most of it."""
    labels, seed = target.labels, target.recipe.seed
    found = {
        f"{target.name}.ece_by_chance": alone(ece_by_chance(probabilities["whole"][0], seed)),
        f"{target.name}.base_rate": alone(float(labels.mean())),
    }
    for name, each in probabilities.items():
        of = target.name if name == "whole" else f"{target.name}.{name}"
        found[f"{of}.ece"] = over_rows(ece, each, labels, seed)
        if name != "id_only":  # where nothing tells customers apart, there is nothing to rank
            values = [auc(p[test], labels[test]) for p, tests in zip(each, folds, strict=True) for test in tests]
            found[f"{of}.auc"] = over_folds(values, FOLDS)
    return found


def alone(value: float) -> Measured:
    """A number that is not an estimate."""
    return Measured(value, value, value)


def in_time(target: Target) -> InTime:
    """Learn from the first four fifths, calibrate out of fold, test on the last; `target.rows` are in order of time."""
    labels, seed = target.labels, target.recipe.seed
    start = len(labels) * 4 // 5
    lead = start - WINDOW  # the first window is from before the test: a model has to speak of it that has not seen it
    model = learn(part(target, np.arange(start)))
    fixed = model(target.rows[start:])
    before = model._replace(booster=fit(part(target, np.arange(lead))))(target.rows[lead:start])
    rates = [labels[at - WINDOW : at].mean() for at in range(start, len(labels), BLOCK)]
    probabilities = {
        "time_fixed": fixed,
        "time": rolling(np.concatenate([before, fixed]), labels[lead:]),
        "time_rate": np.repeat(rates, BLOCK)[: len(fixed)],
    }
    found = {}
    for name, each in probabilities.items():
        for metric in (auc, ece):
            found[f"{target.name}.{name}_{metric.__name__}"] = over_rows(metric, each[None], labels[start:], seed)
    return InTime(target.name, labels[start:], probabilities, found)

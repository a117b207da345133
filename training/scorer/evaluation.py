"""Library of the evaluation (`evaluate` is the command): cross-validation with two baselines, and order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.scorer.baselines import BASELINES
from training.scorer.fit import FOLDS, Folds, Predictions, cross_validation_folds, fit, out_of_fold
from training.scorer.logistic_recalibration import BLOCK_SIZE, WINDOW_SIZE, rolling_recalibration
from training.scorer.metrics import auc, ece, ece_by_chance
from training.scorer.targets import Target, rows_by_known_facts, subset
from training.statistics import Estimate, bootstrap_interval, cross_validation_interval

REPEATS = 3
"""Repeats of the cross-validation."""

Metrics = dict[str, Estimate]
"""Metrics by name: the target; the set of known facts or the baseline, if any; and the metric, joined by dots."""


@dataclass(frozen=True)
class CrossValidation:
    """Calibrated out-of-fold probabilities of one target [repeats, n], by set of known facts and by baseline."""

    target: Target
    folds: Folds
    probabilities: Mapping[str, np.ndarray]
    metrics: Metrics


@dataclass(frozen=True)
class TimeEvaluation:
    """Predictions of the last fifth in order of time, by a model trained on all rows before.

    Calibrated once, on the rows before (`time_fixed`); recalibrated as outcomes come in (`time`); and for comparison
    the recent share of positives as the probability of all customers (`time_rate`).
    """

    name: str
    labels: np.ndarray
    """Labels [n] of 0 and 1."""
    probabilities: Mapping[str, np.ndarray]
    """Probabilities [n], by the names above."""
    metrics: Metrics


@dataclass(frozen=True)
class EvaluationRun:
    """Results of the evaluation, as the report shows them."""

    cross_validations: Sequence[CrossValidation]
    time_evaluations: Sequence[TimeEvaluation]
    importance: Mapping[str, Mapping[str, float]]
    """Mean |SHAP| in log-odds, by target and fact, largest first."""
    shifts: Mapping[str, Mapping[str, Mapping[str, float]]]
    """PSI against the training split, by target, split (valid, test) and fact."""

    @property
    def metrics(self) -> Metrics:
        return merge_metrics(*self.cross_validations, *self.time_evaluations)


def merge_metrics(*evaluations: CrossValidation | TimeEvaluation) -> Metrics:
    return {name: value for evaluation in evaluations for name, value in evaluation.metrics.items()}


def cross_validate(target: Target, repeats: int = REPEATS) -> CrossValidation:
    """Out-of-fold predictions: neither trees nor curves are fitted on the label of a customer whom they predict."""
    folds, rows_by_name = cross_validation_folds(target, repeats), rows_by_known_facts(target)

    def model(train: Target, test: np.ndarray) -> Predictions:
        fitted = fit(train)
        return {name: fitted(rows[test]) for name, rows in rows_by_name.items()}

    def baselines(train: Target, test: np.ndarray) -> Predictions:
        return {name: baseline(train, target.rows[test]) for name, baseline in BASELINES.items()}

    probabilities = out_of_fold(target, folds, model, target.name)
    probabilities |= out_of_fold(target, folds, baselines, "baselines")
    return CrossValidation(target, folds, probabilities, cross_validation_metrics(target, folds, probabilities))


def cross_validation_metrics(target: Target, folds: Folds, probabilities: Predictions) -> Metrics:
    """AUC over the folds; ECE over all rows of a repeat, and within folds beside the ECE by chance.

    Over all rows the errors of the folds' curves cancel in part; within a fold most of the ECE is chance.
    """
    labels, seed = target.labels, target.recipe.seed
    metrics = {f"{target.name}.base_rate": exact(float(labels.mean()))}
    for name, by_repeat in probabilities.items():
        prefix = target.name if name == "whole" else f"{target.name}.{name}"
        by_fold = [(p[test], labels[test]) for p, tests in zip(by_repeat, folds, strict=True) for test in tests]
        metrics[f"{prefix}.ece"] = bootstrap_interval(ece, by_repeat, labels, seed)
        metrics[f"{prefix}.fold_ece"] = cross_validation_interval([ece(p, y) for p, y in by_fold], FOLDS)
        if name not in BASELINES:
            by_chance = float(np.mean([ece_by_chance(p, seed) for p, _ in by_fold]))
            metrics[f"{prefix}.fold_ece_by_chance"] = exact(by_chance)
        if name != "id_only":  # without facts all customers have about the same probability, so there is no ranking
            metrics[f"{prefix}.auc"] = cross_validation_interval([auc(p, y) for p, y in by_fold], FOLDS)
    return metrics


def exact(value: float) -> Estimate:
    """A number without an interval."""
    return Estimate(value, value, value)


def evaluate_in_time(target: Target) -> TimeEvaluation:
    """Train on the first four fifths, test on the last; `target.rows` are in order of time."""
    labels, seed = target.labels, target.recipe.seed
    start = len(labels) * 4 // 5
    window_start = start - WINDOW_SIZE  # the first window, before the test, needs predictions of a model without it
    test_labels = labels[start:]
    fixed = fit(subset(target, np.arange(start)))(target.rows[start:])
    first_window = fit(subset(target, np.arange(window_start)))(target.rows[window_start:start])
    rates = [labels[at - WINDOW_SIZE : at].mean() for at in range(start, len(labels), BLOCK_SIZE)]
    probabilities = {
        "time_fixed": fixed,
        "time": rolling_recalibration(np.concatenate([first_window, fixed]), labels[window_start:]),
        "time_rate": np.repeat(rates, BLOCK_SIZE)[: len(fixed)],
    }
    metrics = {}
    for name, p in probabilities.items():
        for metric in (auc, ece):
            metrics[f"{target.name}.{name}_{metric.__name__}"] = bootstrap_interval(
                metric, p[None], test_labels, seed, block_size=BLOCK_SIZE
            )
    pair = np.stack([probabilities["time"], probabilities["time_rate"]], axis=1)
    metrics[f"{target.name}.time_gain_auc"] = bootstrap_interval(
        auc_gain, pair[None], test_labels, seed, block_size=BLOCK_SIZE, minimum=-1
    )
    return TimeEvaluation(target.name, test_labels, probabilities, metrics)


def auc_gain(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """AUC of the first column of probabilities [n, 2] less that of the second."""
    return auc(probabilities[:, 0], labels) - auc(probabilities[:, 1], labels)

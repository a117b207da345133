"""The report on the predictors: predictors.html for people and predictors.json for programs."""

import json
from collections.abc import Mapping
from operator import ge, gt, le, lt
from pathlib import Path
from typing import NamedTuple

from training.report.page import bullet_list, document, heading, paragraph, table
from training.scorer.charts import SERIES
from training.scorer.evaluation import CrossValidation, EvaluationRun, Metrics
from training.scorer.logistic_recalibration import BLOCK_SIZE
from training.scorer.metrics import BINS
from training.scorer.sections import format_metric, model_section, time_section
from training.statistics import Estimate


class Goal(NamedTuple):
    """Goal of a metric, and its floor, which it must not be worse than; None if there is none."""

    model: str
    metric: str
    sign: str
    value: float | None
    floor: float | None
    reference: str = ""
    """Name of a metric for comparison: the ECE by chance, or the metric of the recent share of yes alone."""


ALL_KNOWN, SERVED = "acceptance, from all that was known", "acceptance, as served"
GOALS = {
    "risk.auc": Goal("risk", "AUC", "≥", 0.85, 0.78),
    "risk.ece": Goal("risk", "ECE", "≤", 0.02, 0.05),
    "risk.fold_ece": Goal("risk", "ECE within a fold", "≤", None, 0.05, "risk.fold_ece_by_chance"),
    "accept.auc": Goal(ALL_KNOWN, "AUC", "≥", 0.805, 0.70),
    "accept.ece": Goal(ALL_KNOWN, "ECE", "≤", 0.01, 0.05),
    "accept.fold_ece": Goal(ALL_KNOWN, "ECE within a fold", "≤", None, 0.05, "accept.fold_ece_by_chance"),
    "accept.time_auc": Goal(f"{ALL_KNOWN}, later, recalibrated", "AUC", ">", 0.735, None, "accept.time_rate_auc"),
    "accept.time_ece": Goal(f"{ALL_KNOWN}, later, recalibrated", "ECE", "<", 0.05, None, "accept.time_rate_ece"),
    "accept.serving.auc": Goal(SERVED, "AUC", "≥", None, 0.70),
    "accept.serving.ece": Goal(SERVED, "ECE", "≤", None, 0.05),
    "accept.serving.fold_ece": Goal(SERVED, "ECE within a fold", "≤", None, 0.05, "accept.serving.fold_ece_by_chance"),
    **{
        f"accept.serving.{run}_{metric.lower()}": Goal(
            f"{SERVED}, later, {calibration}", metric, sign, value, None, f"accept.serving.time_rate_{metric.lower()}"
        )
        for run, calibration, values in (
            ("time", "recalibrated", (0.735, 0.05)),
            ("time_fixed", "calibrated once", (None, None)),
        )
        for metric, sign, value in zip(("AUC", "ECE"), (">", "<"), values, strict=True)
    },
}
BASELINE_TITLES = {name: title for name, (title, *_) in SERIES.items() if name != "whole"}
COMPARISONS = {"≥": ge, "≤": le, ">": gt, "<": lt}


def write_report(run: EvaluationRun, folder: Path, checksums: Mapping[str, str] = {}) -> None:
    """`predictors.html`, which needs no other file, and `predictors.json`: mean, low and high of each metric.

    `checksums` are the sha256 of the data, by path.
    """
    metrics = round_metrics(run.metrics)
    page = document(
        "How good the predictors are",
        summary(metrics),
        *(model_section(validation, run, metrics) for validation in run.cross_validations),
        time_section(run.time_evaluations, metrics),
        methods(run.cross_validations[0], checksums),
    )
    by_name = {name: estimate._asdict() for name, estimate in metrics.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictors.html").write_text(page, encoding="utf-8")
    (folder / "predictors.json").write_text(json.dumps(by_name, indent=2) + "\n", encoding="utf-8")


def round_metrics(metrics: Metrics) -> Metrics:
    """The metrics rounded to four digits, as in the manifest and the model card."""
    return {name: Estimate(*(round(number, 4) for number in estimate)) for name, estimate in metrics.items()}


def status(value: float, goal: Goal) -> str:
    """Whether a rounded value reaches its goal, in words."""
    meets = COMPARISONS[goal.sign]
    if goal.floor is not None and not meets(value, goal.floor):
        return "worse than the floor"
    if goal.value is None:
        return "no goal" if goal.floor is None else "within the floor; no goal"
    return "reached" if meets(value, goal.value) else "missed"


def summary(metrics: Metrics) -> str:
    """The goals and whether they were reached, beside the baselines."""
    statuses = {name: status(metrics[name].mean, goal) for name, goal in GOALS.items()}
    with_goal = [name for name, goal in GOALS.items() if goal.value is not None]
    missed = [f"{GOALS[name].model} ({GOALS[name].metric})" for name in with_goal if statuses[name] != "reached"]
    rows = [
        [
            goal.model,
            goal.metric,
            format_metric(metrics, name),
            statuses[name],
            *("" if bound is None else f"{goal.sign} {bound:.3f}" for bound in (goal.value, goal.floor)),
            format_metric(metrics, goal.reference),
            *(format_metric(metrics, f".{baseline}.".join(name.rsplit(".", 1))) for baseline in BASELINE_TITLES),
        ]
        for name, goal in GOALS.items()
    ]
    return (
        paragraph(
            f"{len(with_goal) - len(missed)} of {len(with_goal)} goals are reached."
            + (f" Missed: {'; '.join(missed)}." if missed else "")
        )
        + paragraph(
            "AUC measures how well a model ranks customers: 0.5 is chance, 1 is perfect. ECE, the expected calibration "
            "error, measures how far its probabilities are from what happens: 0 is perfect."
        )
        + paragraph(
            "No offer was randomised in these data: the acceptance model predicts a response, and proves no effect of "
            "a discount."
        )
        + table(
            "Results and goals, beside two baselines on the same folds. In brackets the 95 % interval. Reference: for "
            "the ECE within a fold, what perfect calibration shows by chance; later in time, the recent share "
            "of yes as the only prediction.",
            ["model", "metric", "result", "status", "goal", "floor", "reference", *BASELINE_TITLES.values()],
            rows,
        )
    )


def methods(validation: CrossValidation, checksums: Mapping[str, str]) -> str:
    """A list of how each number is computed."""
    repeats, folds = len(validation.folds), len(validation.folds[0])
    seeds = ", ".join(str(validation.target.recipe.seed + n) for n in range(repeats))
    texts = [
        "Made by: make eval-predictors; or by make train-scorer, in one run with the manifest and the model card.",
        f"Cross-validation: {folds} folds × {repeats}, stratified and shuffled, seeds {seeds}. Neither trees nor "
        "calibrator are fitted on the label of a customer whom they predict.",
        f"AUC: the mean over all {folds * repeats} folds; interval by Nadeau and Bengio (2003), which allows for the "
        "overlap of the folds' training rows.",
        f"ECE: over {BINS} bins of equal width and all rows of a repeat, mean over the repeats; interval by bootstrap "
        "over the rows, less the bias of resampling. Over all rows the errors of five calibrators cancel in part, so "
        "the ECE within a fold is given beside it, with what perfect calibration would show there by chance.",
        "Later in time: AUC and ECE of one run over the last fifth of the calls; intervals by bootstrap over blocks of "
        f"{BLOCK_SIZE}.",
        "Baselines, from the same rows: logistic regression on imputed and scaled features; scikit-learn's "
        "CalibratedClassifierCV (isotonic, shuffled folds) around the default XGBoost.",
        *(f"Data: {path}, sha256 {checksum}" for path, checksum in checksums.items()),
    ]
    return heading("How the numbers are computed") + bullet_list(texts)

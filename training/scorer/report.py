"""The report on the predictors: a page for people and a file for machines, all its numbers of one study."""

import json
from collections.abc import Mapping
from operator import ge, gt, le, lt
from pathlib import Path
from typing import NamedTuple

from training.report.page import bullet_list, document, heading, paragraph, table
from training.scorer.charts import SERIES
from training.scorer.evaluation import Evaluation, Metrics, Study
from training.scorer.logistic_recalibration import BLOCK_SIZE
from training.scorer.metrics import BINS
from training.scorer.sections import later, section, shown
from training.statistics import Estimate


class Aim(NamedTuple):
    """What a metric should reach, and what it may not be worse than; None where nothing was set.

    `yardstick` is the metric that chance gives, or the recent share of yes.
    """

    model: str
    metric: str
    sign: str
    aim: float | None
    floor: float | None
    yardstick: str = ""


AIMS = {
    "risk.auc": Aim("risk", "AUC", "≥", 0.85, 0.78),
    "risk.ece": Aim("risk", "ECE", "≤", 0.02, 0.05),
    "risk.fold_ece": Aim("risk", "ECE in a fold", "≤", None, 0.05, "risk.fold_ece_by_chance"),
    "accept.auc": Aim("acceptance, all that was known", "AUC", "≥", 0.805, 0.70),
    "accept.ece": Aim("acceptance, all that was known", "ECE", "≤", 0.01, 0.05),
    "accept.fold_ece": Aim(
        "acceptance, all that was known", "ECE in a fold", "≤", None, 0.05, "accept.fold_ece_by_chance"
    ),
    "accept.time_auc": Aim(
        "acceptance, all that was known, later, recalibrated", "AUC", ">", 0.735, None, "accept.time_rate_auc"
    ),
    "accept.time_ece": Aim(
        "acceptance, all that was known, later, recalibrated", "ECE", "<", 0.05, None, "accept.time_rate_ece"
    ),
    "accept.serving.auc": Aim("acceptance, as served", "AUC", "≥", None, 0.70),
    "accept.serving.ece": Aim("acceptance, as served", "ECE", "≤", None, 0.05),
    "accept.serving.fold_ece": Aim(
        "acceptance, as served", "ECE in a fold", "≤", None, 0.05, "accept.serving.fold_ece_by_chance"
    ),
    **{
        f"accept.serving.{run}_{metric.lower()}": Aim(
            f"acceptance, as served, later, {said}",
            metric,
            sign,
            aim,
            None,
            f"accept.serving.time_rate_{metric.lower()}",
        )
        for run, said, aims in (
            ("time", "recalibrated", (0.735, 0.05)),
            ("time_fixed", "never recalibrated", (None, None)),
        )
        for metric, sign, aim in zip(("AUC", "ECE"), (">", "<"), aims, strict=True)
    },
}
PEERS = {name: title for name, (title, *_) in SERIES.items() if name != "whole"}
MEETS = {"≥": ge, "≤": le, ">": gt, "<": lt}


def write(study: Study, folder: Path, checksums: Mapping[str, str] = {}) -> None:
    """`predictors.html`, which needs no other file, and `predictors.json`: of each metric mean, low and high.

    `checksums` are the sha256 of the data, by path.
    """
    metrics = rounded(study.metrics)
    page = document(
        "How good the predictors are",
        summary(metrics),
        *(section(evaluation, study, metrics) for evaluation in study.evaluations),
        later(study.in_time, metrics),
        foot(study.evaluations[0], checksums),
    )
    machines = {name: value._asdict() for name, value in metrics.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictors.html").write_text(page, encoding="utf-8")
    (folder / "predictors.json").write_text(json.dumps(machines, indent=2) + "\n", encoding="utf-8")


def rounded(metrics: Metrics) -> Metrics:
    """To four digits, as the manifest and the model card have them."""
    return {name: Estimate(*(round(number, 4) for number in value)) for name, value in metrics.items()}


def verdict(value: float, aim: Aim) -> str:
    """In words, of the value as rounded."""
    meets = MEETS[aim.sign]
    if aim.floor is not None and not meets(value, aim.floor):
        return "worse than the floor"
    if aim.aim is None:
        return "no aim" if aim.floor is None else "floor kept; no aim"
    return "reached" if meets(value, aim.aim) else "missed"


def summary(metrics: Metrics) -> str:
    """What was aimed at, and whether it was reached."""
    verdicts = {name: verdict(metrics[name].mean, aim) for name, aim in AIMS.items()}
    aims = [name for name, aim in AIMS.items() if aim.aim is not None]
    missed = [f"{AIMS[name].model} ({AIMS[name].metric})" for name in aims if verdicts[name] != "reached"]
    rows = [
        [
            aim.model,
            aim.metric,
            shown(metrics, name),
            verdicts[name],
            *("" if bound is None else f"{aim.sign} {bound:.3f}" for bound in (aim.aim, aim.floor)),
            shown(metrics, aim.yardstick),
            *(shown(metrics, f".{peer}.".join(name.rsplit(".", 1))) for peer in PEERS),
        ]
        for name, aim in AIMS.items()
    ]
    return (
        paragraph(
            f"{len(aims) - len(missed)} of {len(aims)} aims are reached."
            + (f" Not reached: {'; '.join(missed)}." if missed else "")
        )
        + paragraph(
            "AUC tells how well a model ranks: 0.5 is chance, 1 is perfect. ECE tells how far its probabilities are "
            "from what happens: 0 is perfect."
        )
        + paragraph(
            "No offer was randomised in these data: acceptance calibrates a response and proves no effect of a "
            "discount."
        )
        + table(
            "What was reached and aimed at, beside two peers on the same folds. In brackets the 95 % interval. "
            "Yardstick: the ECE that true probabilities would show in a fold by chance; later in time, what the recent "
            "share of yes reaches alone.",
            ["model", "metric", "reached", "verdict", "aim", "floor", "yardstick", *PEERS.values()],
            rows,
        )
    )


def foot(evaluation: Evaluation, checksums: Mapping[str, str]) -> str:
    """How each number is made."""
    repeats, folds, seed = len(evaluation.folds), len(evaluation.folds[0]), evaluation.target.recipe.seed
    seeds = ", ".join(str(seed + n) for n in range(repeats))
    made = [
        "Made by: make eval-predictors; or by make train-scorer, in one run with the manifest and the model card.",
        f"Cross-validation: {folds} folds × {repeats}, stratified and shuffled, seeds {seeds}. Neither model nor "
        "calibrator was fitted on the label of the customer it speaks of.",
        f"AUC: the mean over all {folds * repeats} folds; interval by Nadeau and Bengio (2003), which knows that the "
        "training rows of the folds overlap.",
        f"ECE: over {BINS} bins of equal width and all rows of a repeat, mean over the repeats; interval by bootstrap "
        "over the rows, less the bias of resampling. Over all rows the errors of five calibrators cancel in part, so "
        "the ECE in a fold stands beside it, with what true probabilities would show there by chance.",
        "Later in time: AUC and ECE of one run over the last fifth; intervals by bootstrap over blocks of "
        f"{BLOCK_SIZE}.",
        "Peers, from the same rows: a logistic regression on imputed and scaled features; scikit-learn's "
        "CalibratedClassifierCV (isotonic, shuffled folds) around the default XGBoost.",
        *(f"Data: {path}, sha256 {checksum}" for path, checksum in checksums.items()),
    ]
    return heading("How the numbers are made") + bullet_list(made)

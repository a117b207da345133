"""The charts of the report on the predictors, as SVG."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from training.report.charts import BLUE, GREEN, GREY, ORANGE, PERCENT, TALL_HEIGHT, WIDTH, new_figure, styled, svg
from training.scorer.curves import GRID, block_means, lift, precision_recall, reliability, roc
from training.scorer.evaluation import CrossValidation, TimeEvaluation
from training.scorer.logistic_recalibration import BLOCK_SIZE
from training.scorer.metrics import BINS

SERIES = {
    "whole": ("this model", BLUE, "-"),
    "logistic": ("logistic regression", ORANGE, "--"),
    "sklearn_xgboost": ("calibrated XGBoost", GREEN, ":"),
}


@styled
def roc_chart(validation: CrossValidation) -> str:
    figure, axes = new_figure(TALL_HEIGHT)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    for name, (title, colour, line) in SERIES.items():
        repeats = zip(validation.probabilities[name], validation.folds, strict=True)
        curves = np.array([roc(p[test], validation.target.labels[test]) for p, tests in repeats for test in tests])
        mean, deviation = curves.mean(axis=0), curves.std(axis=0, ddof=1)
        axes.plot([0, *GRID], [0, *mean], line, color=colour, label=title)
        if name == "whole":
            low, high = mean - deviation, (mean + deviation).clip(max=1)
            axes.fill_between(GRID, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right")
    return svg(figure, f"{validation.target.name}: ROC curves of this model and of two baselines.")


@styled
def reliability_chart(validation: CrossValidation) -> str:
    figure = Figure((WIDTH, TALL_HEIGHT), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    bins = {name: reliability(validation.probabilities[name][0], validation.target.labels) for name in SERIES}
    for name, (title, colour, line) in SERIES.items():
        x, y = [b.predicted for b in bins[name]], [b.observed.mean for b in bins[name]]
        axes.plot(x, y, line, color=colour, linewidth=1, label=title, zorder=3 if name == "whole" else 2)
    model_bins = bins["whole"]
    x, y = [b.predicted for b in model_bins], [b.observed.mean for b in model_bins]
    below_mean = [b.observed.mean - b.observed.low for b in model_bins]
    above_mean = [b.observed.high - b.observed.mean for b in model_bins]
    axes.errorbar(x, y, [below_mean, above_mean], fmt="o", markersize=4, color=BLUE)
    centres, customers = [(b.number + 0.5) / BINS for b in model_bins], [b.customers for b in model_bins]
    columns = below.bar(centres, customers, 0.8 / BINS, color=BLUE)
    below.bar_label(columns, fmt="{:,.0f}", fontsize=8, rotation=90, padding=2)
    below.margins(y=0.7)
    below.spines.left.set_visible(False)
    axes.set(ylabel="observed share", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    below.set(xlabel="predicted probability", ylabel="customers", yticks=[])
    return svg(figure, f"{validation.target.name}: reliability diagram; its bins are in the table below.")


@styled
def threshold_chart(validation: CrossValidation) -> str:
    figure, axes = new_figure()
    repeats = [precision_recall(p, validation.target.labels) for p in validation.probabilities["whole"]]
    precision, recall = np.mean(repeats, axis=0)
    axes.plot(GRID, precision, color=BLUE, label="precision")
    axes.plot(GRID, recall, "--", color=ORANGE, label="recall")
    axes.set(xlabel="threshold", xlim=(0, 1), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")
    axes.legend()
    half = len(GRID) // 2
    at_half = f"At 0.5 the precision is {precision[half]:.0%} and the recall {recall[half]:.0%}."
    return svg(figure, f"{validation.target.name}: precision and recall by threshold. {at_half}")


@styled
def lift_chart(validation: CrossValidation) -> str:
    figure, axes = new_figure()
    repeats = [lift(p, validation.target.labels) for p in validation.probabilities["whole"]]
    lifts, gain = np.mean(repeats, axis=0)
    deciles = np.arange(1, 11)
    axes.bar_label(axes.bar(deciles, lifts, 0.75, color=BLUE), fmt="%.1f", padding=2)
    axes.axhline(1, color=GREY, linewidth=0.8, alpha=0.5, zorder=0)
    axes.set_xticks(deciles, [f"{decile}\n{100 * share:.0f}" for decile, share in zip(deciles, gain, strict=True)])
    axes.set(xlabel="decile; below, cumulative gain in % of all yes", ylabel="lift")
    axes.tick_params(length=0)
    gains = f"The first decile of the customers holds {gain[0]:.0%} of all yes, the first three {gain[2]:.0%}."
    return svg(figure, f"{validation.target.name}: lift by decile. {gains}")


@styled
def importance_chart(name: str, importance: Mapping[str, float]) -> str:
    """Mean |SHAP| by fact, largest first."""
    figure, axes = new_figure(0.6 + 0.2 * len(importance))
    columns = axes.barh([*importance], [*importance.values()], 0.7, color=BLUE)
    axes.bar_label(columns, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.01)
    axes.set(xlabel="mean |SHAP|, log-odds", xticks=[])
    axes.tick_params(length=0)
    axes.spines.bottom.set_visible(False)
    return svg(figure, f"{name}: importance of facts. The most important are {', '.join([*importance][:3])}.")


@styled
def time_chart(evaluation: TimeEvaluation) -> str:
    figure, axes = new_figure()
    lines = {
        "observed": (evaluation.labels, "black", "-"),
        "predicted, recalibrated": (evaluation.probabilities["time"], BLUE, "--"),
        "predicted, calibrated once": (evaluation.probabilities["time_fixed"], ORANGE, ":"),
    }
    ends = []
    for title, (values, colour, line) in lines.items():
        share = block_means(values, BLOCK_SIZE)
        axes.plot(np.arange(len(share)) * BLOCK_SIZE, share, line, color=colour, label=title)
        ends.append(f"{title} from {share[0]:.0%} to {share[-1]:.0%}")
    axes.set(xlabel=f"calls in order of time, in blocks of {BLOCK_SIZE}", ylabel="share of yes", ylim=(0, None))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")
    axes.legend()
    return svg(figure, f"{evaluation.name}: share of yes, first block to last: {'; '.join(ends)}.")

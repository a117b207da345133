"""The charts of the report on the predictors."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from training.report.charts import BLUE, GREEN, GREY, ORANGE, PERCENT, TALL_HEIGHT, WIDTH, new_figure, styled, svg
from training.scorer.curves import POINTS, by_block, lift, precision_recall, reliability, roc
from training.scorer.evaluation import Evaluation, InTime
from training.scorer.logistic_recalibration import BLOCK_SIZE
from training.scorer.metrics import BINS

SERIES = {
    "whole": ("this model", BLUE, "-"),
    "logistic": ("logistic regression", ORANGE, "--"),
    "sklearn_xgboost": ("calibrated XGBoost", GREEN, ":"),
}


@styled
def roc_chart(evaluation: Evaluation) -> str:
    figure, axes = new_figure(TALL_HEIGHT)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    for name, (title, colour, line) in SERIES.items():
        pairs = zip(evaluation.probabilities[name], evaluation.folds, strict=True)
        curves = np.array([roc(p[test], evaluation.target.labels[test]) for p, tests in pairs for test in tests])
        mean, spread = curves.mean(axis=0), curves.std(axis=0, ddof=1)
        axes.plot([0, *POINTS], [0, *mean], line, color=colour, label=title)
        if name == "whole":
            axes.fill_between(POINTS, mean - spread, (mean + spread).clip(max=1), color=colour, alpha=0.25, linewidth=0)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right")
    return svg(figure, f"{evaluation.target.name}: ROC curves of this model and of two peers.")


@styled
def reliability_chart(evaluation: Evaluation) -> str:
    figure = Figure((WIDTH, TALL_HEIGHT), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    found = {name: reliability(evaluation.probabilities[name][0], evaluation.target.labels) for name in SERIES}
    for name, (title, colour, line) in SERIES.items():
        x, y = [each.predicted for each in found[name]], [each.observed for each in found[name]]
        axes.plot(x, y, line, color=colour, linewidth=1, label=title, zorder=3 if name == "whole" else 2)
    ours = found["whole"]
    reach = [[each.observed - each.low for each in ours], [each.high - each.observed for each in ours]]
    axes.errorbar(
        [each.predicted for each in ours], [each.observed for each in ours], reach, fmt="o", markersize=4, color=BLUE
    )
    columns = below.bar(
        [(each.number + 0.5) / BINS for each in ours], [each.customers for each in ours], 0.8 / BINS, color=BLUE
    )
    below.bar_label(columns, fmt="{:,.0f}", fontsize=8, rotation=90, padding=2)
    below.margins(y=0.7)
    below.spines.left.set_visible(False)
    axes.set(ylabel="observed share", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    below.set(xlabel="predicted probability", ylabel="customers", yticks=[])
    return svg(figure, f"{evaluation.target.name}: reliability diagram; its bins are in the table below.")


@styled
def threshold_chart(evaluation: Evaluation) -> str:
    figure, axes = new_figure()
    each = [precision_recall(p, evaluation.target.labels) for p in evaluation.probabilities["whole"]]
    precision, recall = np.mean(each, axis=0)
    axes.plot(POINTS, precision, color=BLUE, label="precision")
    axes.plot(POINTS, recall, "--", color=ORANGE, label="recall")
    axes.set(xlabel="threshold", xlim=(0, 1), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")
    axes.legend()
    half = len(POINTS) // 2
    at_half = f"At 0.5 precision is {precision[half]:.0%} and recall {recall[half]:.0%}."
    return svg(figure, f"{evaluation.target.name}: precision and recall by threshold. {at_half}")


@styled
def lift_chart(evaluation: Evaluation) -> str:
    figure, axes = new_figure()
    each = [lift(p, evaluation.target.labels) for p in evaluation.probabilities["whole"]]
    lifts, gained = np.mean(each, axis=0)
    tenths = np.arange(1, 11)
    axes.bar_label(axes.bar(tenths, lifts, 0.75, color=BLUE), fmt="%.1f", padding=2)
    axes.axhline(1, color=GREY, linewidth=0.8, alpha=0.5, zorder=0)
    axes.set_xticks(tenths, [f"{tenth}\n{100 * share:.0f}" for tenth, share in zip(tenths, gained, strict=True)])
    axes.set(xlabel="tenth; below, % of all yes gained so far", ylabel="lift")
    axes.tick_params(length=0)
    three = f"The first tenth of the customers holds {gained[0]:.0%} of all yes, the first three {gained[2]:.0%}."
    return svg(figure, f"{evaluation.target.name}: lift by tenth. {three}")


@styled
def importance_chart(name: str, strengths: Mapping[str, float]) -> str:
    """`strengths` by fact, strongest first."""
    figure, axes = new_figure(0.6 + 0.2 * len(strengths))
    columns = axes.barh([*strengths], [*strengths.values()], 0.7, color=BLUE)
    axes.bar_label(columns, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.01)
    axes.set(xlabel="mean |SHAP|, log-odds", xticks=[])
    axes.tick_params(length=0)
    axes.spines.bottom.set_visible(False)
    return svg(figure, f"{name}: importance of facts. The strongest are {', '.join([*strengths][:3])}.")


@styled
def time_chart(run: InTime) -> str:
    figure, axes = new_figure()
    lines = {
        "what happened": (run.labels, "black", "-"),
        "predicted, recalibrated": (run.probabilities["time"], BLUE, "--"),
        "predicted, fixed": (run.probabilities["time_fixed"], ORANGE, ":"),
    }
    ends = []
    for title, (values, colour, line) in lines.items():
        share = by_block(values, BLOCK_SIZE)
        axes.plot(np.arange(len(share)) * BLOCK_SIZE, share, line, color=colour, label=title)
        ends.append(f"{title} from {share[0]:.0%} to {share[-1]:.0%}")
    axes.set(xlabel=f"calls in order of time, in blocks of {BLOCK_SIZE}", ylabel="share of yes", ylim=(0, None))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")
    axes.legend()
    return svg(figure, f"{run.name}: share of yes, first block to last: {'; '.join(ends)}.")

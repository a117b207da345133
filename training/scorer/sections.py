"""What the report says of each model: charts, and tables of what was measured."""

from collections.abc import Mapping, Sequence

from training.report.page import bullet_list, collapsible, figures, heading, paragraph, table
from training.scorer import charts
from training.scorer.charts import SERIES
from training.scorer.curves import by_block, reliability
from training.scorer.drift_tests import DRIFT_PSI, WATCH_PSI
from training.scorer.evaluation import Evaluation, InTime, Metrics, Study
from training.scorer.logistic_recalibration import BLOCK_SIZE, WINDOW_SIZE
from training.scorer.metrics import BINS
from training.scorer.targets import Target
from training.statistics import Estimate

GLUE = "\N{NO-BREAK SPACE}"
"""Keeps an interval on one line."""
TITLES = {
    "risk": "Risk: has the customer left?",
    "accept": "Acceptance, from all that was known before the call",
    "accept.serving": "Acceptance, as served",
}
SAID = {
    "risk": "customers of a telephone company. This model is served.",
    "accept": "sales calls of a bank: did they say yes? With the calendar, the campaign and the economy of the time, "
    "which no event carries. It shows how far the data reach; nobody is scored by it.",
    "accept.serving": "sales calls of a bank: did they say yes? From what an event can carry. This model is served.",
}
CHARTS = {
    charts.roc_chart: "ROC: the mean of the curves of all folds, at equal false positive rates (Fawcett 2006). The "
    "band is one standard deviation between folds, of this model.",
    charts.reliability_chart: f"Reliability, in {BINS} bins of equal width, with 95 % intervals (Wilson 1927); below, "
    "the customers in each bin of this model. Lines jump where a bin holds few. Of the first repeat, so that each "
    "customer counts once.",
    charts.threshold_chart: "Precision and recall where all at or above a threshold are picked. Mean over the repeats.",
    charts.lift_chart: "Lift: the share of yes in each tenth of the customers, most probable first, over that of all. "
    "Mean over the repeats.",
}
IMPORTANCE = (
    "Importance: how far each fact moves the log-odds, on average (mean |SHAP|). It tells what the model leans on, not "
    "what would change a customer's mind."
)
IN_TIME = {
    "time": "recalibrated as outcomes come in",
    "time_fixed": "learnt and calibrated once, on all before",
    "time_rate": "the recent share of yes alone, the same for everybody",
}


def shown(metrics: Metrics, name: str) -> str:
    """With its interval, if it is an estimate; nothing where it was not measured."""
    if name not in metrics:
        return ""
    mean, low, high = metrics[name]
    return f"{mean:.4f}" + (f" ({low:.4f}{GLUE}to{GLUE}{high:.4f})" if low < high else "")


METRICS = {"auc": "AUC", "ece": "ECE", "fold_ece": "ECE in a fold", "fold_ece_by_chance": "by chance"}


def section(evaluation: Evaluation, study: Study, metrics: Metrics) -> str:
    """All about one model."""
    target = evaluation.target
    drawn = [(chart(evaluation), caption) for chart, caption in CHARTS.items()]
    importance = charts.importance_chart(target.name, study.importance[target.name])
    bins = [
        [
            f"{each.number / BINS:.2f} to {(each.number + 1) / BINS:.2f}",
            f"{each.customers:,}",
            f"{each.predicted:.4f}",
            shown({"observed": Estimate(each.observed, each.low, each.high)}, "observed"),
        ]
        for each in reliability(evaluation.probabilities["whole"][0], target.labels)
    ]
    return (
        heading(TITLES[target.name])
        + paragraph(
            f"{len(target.labels):,} {SAID[target.name]} Share of yes: {shown(metrics, f'{target.name}.base_rate')}."
        )
        + figures([*drawn, (importance, IMPORTANCE)])
        + collapsible(
            "The bins of the reliability diagram as a table",
            table("This model, first repeat", ["bin", "customers", "predicted", "observed"], bins),
        )
        + less_known(evaluation, metrics)
        + (moved(study.shifts[target.name]) if target.name in study.shifts else "")
    )


def less_known(evaluation: Evaluation, metrics: Metrics) -> str:
    """The views of the customers, where there are any."""
    target = evaluation.target
    views = [name for name in evaluation.probabilities if name not in SERIES]
    rows = [
        [what_is_known(target, view), *(shown(metrics, f"{target.name}.{view}.{metric}") for metric in METRICS)]
        for view in views
    ]
    head = ["known", *METRICS.values()]
    return table("The same model where less is known of a customer", head, rows) if views else ""


def what_is_known(target: Target, view: str) -> str:
    if view == "masked":
        return "Random facts are missing: of each customer a share drawn evenly between none and all."
    if known := target.views[view]:
        return f"Only {', '.join(known)}."
    return "Nothing but the id: all get nearly the same probability, so there is no ranking to measure."


def moved(shifts: Mapping[str, Mapping[str, float]]) -> str:
    """PSI of each fact, the most moved first."""
    largest = {fact: max(split[fact] for split in shifts.values()) for fact in next(iter(shifts.values()))}
    rows = [
        [fact, *(f"{split[fact]:.4f}" for split in shifts.values()), moved_in_words(psi)]
        for fact, psi in sorted(largest.items(), key=lambda item: -item[1])
    ]
    return table(
        f"PSI of each fact, against the training split: from {WATCH_PSI} a fact is watched, from {DRIFT_PSI} it has "
        "shifted",
        ["fact", *shifts, "verdict"],
        rows,
    )


def moved_in_words(psi: float) -> str:
    return "shifted" if psi >= DRIFT_PSI else "watch" if psi >= WATCH_PSI else "steady"


def later(runs: Sequence[InTime], metrics: Metrics) -> str:
    """The last fifth of the calls, in order of time."""
    rows = [
        [TITLES[run.name], said, *(shown(metrics, f"{run.name}.{name}_{metric}") for metric in ("auc", "ece"))]
        for run in runs
        for name, said in IN_TIME.items()
    ]
    observed = by_block(runs[0].labels, BLOCK_SIZE)
    return (
        heading("Later in time")
        + paragraph(
            "Trained on the first four fifths of the bank's calls, tested on the last. There the share of yes in a "
            f"block of {BLOCK_SIZE} calls lies between {observed.min():.0%} and {observed.max():.0%}. Recalibration "
            "fits, before each block, a line through the log-odds (Cox 1958) to the latest "
            f"{WINDOW_SIZE:,} outcomes, all taken to be known by then."
        )
        + paragraph(
            "The rate alone is the honest yardstick: where the share of yes moves, much of the AUC comes from knowing "
            "it. A rate that is the same for all customers of a block reaches an AUC of "
            f"{metrics[f'{runs[0].name}.time_rate_auc'].mean:.4f}."
        )
        + figures((charts.time_chart(run), f"{TITLES[run.name]}: share of yes by block.") for run in runs)
        + table("The last fifth of the calls", ["model", "what speaks", "AUC", "ECE"], rows)
        + bullet_list(
            f"{TITLES[run.name]}: recalibrated, its AUC is higher than the rate's alone by "
            f"{shown(metrics, f'{run.name}.time_gain_auc')}."
            for run in runs
        )
    )

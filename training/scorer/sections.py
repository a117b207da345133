"""Sections of the report: charts and tables of each model, and the evaluation in order of time."""

from collections.abc import Mapping, Sequence

from training.report.page import bullet_list, collapsible, figures, format_estimate, heading, paragraph, table
from training.scorer import charts
from training.scorer.charts import SERIES
from training.scorer.curves import block_means, reliability
from training.scorer.drift_tests import DRIFT_PSI, WATCH_PSI
from training.scorer.evaluation import CrossValidation, EvaluationRun, Metrics, TimeEvaluation
from training.scorer.logistic_recalibration import BLOCK_SIZE, WINDOW_SIZE
from training.scorer.metrics import BINS
from training.scorer.targets import Target

NUMBER_FORMAT = ".4f"
TITLES = {
    "risk": "Risk: has the customer left?",
    "accept": "Acceptance, from all that was known before the call",
    "accept.serving": "Acceptance, as served",
}
DESCRIPTIONS = {
    "risk": "customers of a telephone company. This model is served.",
    "accept": "sales calls of a bank: did the customer say yes? From all that was known, with the calendar, the "
    "campaign and the economy of the time, which no event carries. It shows the best that these data allow, and is not "
    "served.",
    "accept.serving": "sales calls of a bank: did the customer say yes? From what an event can carry. This model is "
    "served.",
}
CHARTS = {
    charts.roc_chart: "ROC: the mean of all folds' curves at equal false positive rates (Fawcett 2006). The band is "
    "one standard deviation between the folds of this model.",
    charts.reliability_chart: f"Reliability, in {BINS} bins of equal width, with 95 % intervals (Wilson 1927); below, "
    "this model's customers in each bin. Lines jump where a bin holds few. From the first repeat, so that each "
    "customer counts once.",
    charts.threshold_chart: "Precision and recall where all customers at or above a threshold are selected. Mean over "
    "the repeats.",
    charts.lift_chart: "Lift: the share of yes in each tenth of the customers, most probable first, over that of all. "
    "Mean over the repeats.",
}
IMPORTANCE_CAPTION = (
    "Importance: how far each fact moves the log-odds, on average (mean |SHAP|). It shows what the model relies on, "
    "not what would change a customer's mind."
)
CALIBRATIONS = {
    "time": "recalibrated as outcomes come in",
    "time_fixed": "trained and calibrated once, on all before",
    "time_rate": "the recent share of yes alone, the same for all customers",
}
METRIC_TITLES = {"auc": "AUC", "ece": "ECE", "fold_ece": "ECE within a fold", "fold_ece_by_chance": "by chance"}


def format_metric(metrics: Metrics, name: str) -> str:
    """The metric with its interval, if it has one; empty where it was not measured."""
    return format_estimate(metrics[name], NUMBER_FORMAT) if name in metrics else ""


def model_section(validation: CrossValidation, run: EvaluationRun, metrics: Metrics) -> str:
    """Charts and tables of one model."""
    target = validation.target
    drawn = [(chart(validation), caption) for chart, caption in CHARTS.items()]
    importance = charts.importance_chart(target.name, run.importance[target.name])
    base_rate = format_metric(metrics, f"{target.name}.base_rate")
    return (
        heading(TITLES[target.name])
        + paragraph(f"{len(target.labels):,} {DESCRIPTIONS[target.name]} Share of yes: {base_rate}.")
        + figures([*drawn, (importance, IMPORTANCE_CAPTION)])
        + collapsible("The bins of the reliability diagram as a table", reliability_table(validation))
        + known_facts_table(validation, metrics)
        + (shifts_table(run.shifts[target.name]) if target.name in run.shifts else "")
    )


def reliability_table(validation: CrossValidation) -> str:
    rows = [
        [
            f"{reliability_bin.number / BINS:.2f} to {(reliability_bin.number + 1) / BINS:.2f}",
            f"{reliability_bin.customers:,}",
            f"{reliability_bin.predicted:.4f}",
            format_estimate(reliability_bin.observed, NUMBER_FORMAT),
        ]
        for reliability_bin in reliability(validation.probabilities["whole"][0], validation.target.labels)
    ]
    return table("This model, first repeat", ["bin", "customers", "predicted", "observed"], rows)


def known_facts_table(validation: CrossValidation, metrics: Metrics) -> str:
    """The metrics if fewer facts are known; empty for a model without this evaluation."""
    target = validation.target
    names = [name for name in validation.probabilities if name not in SERIES]
    rows = [
        [
            known_facts_description(target, name),
            *(format_metric(metrics, f"{target.name}.{name}.{metric}") for metric in METRIC_TITLES),
        ]
        for name in names
    ]
    header = ["known facts", *METRIC_TITLES.values()]
    return table("The same model if fewer facts of a customer are known", header, rows) if names else ""


def known_facts_description(target: Target, name: str) -> str:
    if name == "masked":
        return "Random facts are missing: of each customer a share that is uniform between none and all."
    if known := target.known_fact_sets[name]:
        return f"Only {', '.join(known)}."
    return "None but the id: all customers have nearly the same probability, so there is no ranking to measure."


def shifts_table(shifts: Mapping[str, Mapping[str, float]]) -> str:
    """PSI of each fact, largest first."""
    largest = {fact: max(split[fact] for split in shifts.values()) for fact in next(iter(shifts.values()))}
    rows = [
        [fact, *(f"{split[fact]:.4f}" for split in shifts.values()), shift_size(psi)]
        for fact, psi in sorted(largest.items(), key=lambda item: -item[1])
    ]
    return table(
        f"PSI of each fact, against the training split: from {WATCH_PSI} on a fact is watched, from {DRIFT_PSI} on it "
        "has shifted",
        ["fact", *shifts, "verdict"],
        rows,
    )


def shift_size(psi: float) -> str:
    return "shifted" if psi >= DRIFT_PSI else "watch" if psi >= WATCH_PSI else "steady"


def time_section(evaluations: Sequence[TimeEvaluation], metrics: Metrics) -> str:
    """The last fifth of the calls, in order of time."""
    rows = [
        [
            TITLES[evaluation.name],
            description,
            *(format_metric(metrics, f"{evaluation.name}.{name}_{metric}") for metric in ("auc", "ece")),
        ]
        for evaluation in evaluations
        for name, description in CALIBRATIONS.items()
    ]
    shares = block_means(evaluations[0].labels, BLOCK_SIZE)
    return (
        heading("Later in time")
        + paragraph(
            "Trained on the first four fifths of the bank's calls, tested on the last. There the share of yes in a "
            f"block of {BLOCK_SIZE} calls lies between {shares.min():.0%} and {shares.max():.0%}. Recalibration fits, "
            f"before each block, a line through the log-odds (Cox 1958) to the latest {WINDOW_SIZE:,} outcomes, all of "
            "which are taken to be known by then."
        )
        + paragraph(
            "The recent share of yes alone is the reference: as it changes, much of the AUC comes from knowing it. "
            " A share that is the same for all customers of a block reaches an AUC of "
            f"{metrics[f'{evaluations[0].name}.time_rate_auc'].mean:.4f}."
        )
        + figures(
            (charts.time_chart(evaluation), f"{TITLES[evaluation.name]}: share of yes by block.")
            for evaluation in evaluations
        )
        + table("The last fifth of the calls", ["model", "calibration", "AUC", "ECE"], rows)
        + bullet_list(
            f"{TITLES[evaluation.name]}: recalibrated, its AUC is higher than that of the share alone by "
            f"{format_metric(metrics, f'{evaluation.name}.time_gain_auc')}."
            for evaluation in evaluations
        )
    )

import json
import re
from pathlib import Path

import numpy as np
import pytest

from services.scorer.features import ACCEPT_FEATURES, RISK_FEATURES
from training.scorer import report
from training.scorer.charts import SERIES, roc_chart
from training.scorer.curves import GRID, block_means, lift, precision_recall, reliability, roc
from training.scorer.evaluation import CrossValidation, EvaluationRun, Metrics, TimeEvaluation
from training.scorer.report import GOALS, status
from training.scorer.targets import ACCEPT_RECIPE, DEMO_FACTS, Target
from training.statistics import Estimate

pytestmark = pytest.mark.slow

SIZE = 300


def random_metrics(rng: np.random.Generator, *names: str) -> Metrics:
    """With more digits than are shown."""
    metrics = {}
    for name in names:
        low, mean, high = np.sort(rng.random(3)).tolist()
        metrics[name] = Estimate(mean, low, high)
    return metrics


def cross_validation(
    rng: np.random.Generator, name: str, features: tuple[str, ...], **known_fact_sets: tuple[str, ...]
) -> CrossValidation:
    p = rng.beta(1, 3, (2, SIZE))
    target = Target(
        name=name,
        features=features,
        rows=np.zeros((SIZE, len(features)), np.float32),
        labels=(rng.random(SIZE) < p.mean(axis=0)).astype(int),
        recipe=ACCEPT_RECIPE,
        monotone={},
        known_fact_sets=known_fact_sets,
    )
    folds = [np.array_split(rng.permutation(SIZE), 5) for _ in p]
    predictions = [*SERIES, *(["masked"] if known_fact_sets else []), *known_fact_sets]
    prefixes = [name if prediction == "whole" else f"{name}.{prediction}" for prediction in predictions]
    metrics = random_metrics(rng, *(f"{prefix}.auc" for prefix in prefixes if "id_only" not in prefix))
    metrics |= random_metrics(rng, *(f"{prefix}.{ece}" for prefix in prefixes for ece in ("ece", "fold_ece")))
    model_prefixes = [prefix for prefix in prefixes if prefix.rpartition(".")[2] not in SERIES]
    numbers = [f"{name}.base_rate", *(f"{prefix}.fold_ece_by_chance" for prefix in model_prefixes)]
    exact = {number: Estimate(*[float(rng.random())] * 3) for number in numbers}
    return CrossValidation(target, folds, dict.fromkeys(predictions, p), metrics | exact)


def time_evaluation(rng: np.random.Generator, name: str) -> TimeEvaluation:
    predictions = {calibration: rng.beta(1, 3, SIZE) for calibration in ("time", "time_fixed", "time_rate")}
    metrics = random_metrics(rng, f"{name}.time_gain_auc")
    metrics |= random_metrics(rng, *(f"{name}.{key}_{metric}" for key in predictions for metric in ("auc", "ece")))
    return TimeEvaluation(name, rng.integers(2, size=SIZE), predictions, metrics)


@pytest.fixture(scope="module")
def run() -> EvaluationRun:
    rng = np.random.default_rng(7)
    validations = [
        cross_validation(rng, "risk", RISK_FEATURES, demo=DEMO_FACTS, id_only=()),
        cross_validation(rng, "accept.serving", ACCEPT_FEATURES, id_only=()),
        cross_validation(rng, "accept", ACCEPT_FEATURES),
    ]
    return EvaluationRun(
        cross_validations=validations,
        time_evaluations=[time_evaluation(rng, "accept.serving"), time_evaluation(rng, "accept")],
        importance={validation.target.name: {"contract": 0.9, "a <b>": 0.2} for validation in validations},
        shifts={
            "risk": {
                "valid": {"partner": 0.0123, "tenure": 0.2501, "contract": 0.05, "a <b>": 0.0},
                "test": {"partner": 0.0042, "tenure": 0.0011, "contract": 0.1, "a <b>": 0.0},
            }
        },
    )


@pytest.fixture(scope="module")
def folder(run: EvaluationRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "reports"
    report.write_report(run, folder, {"telco.csv": "16320c9c", "a <b>": "74adfc57"})
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "predictors.html").read_text(encoding="utf-8")


def test_a_roc_curve_equals_the_one_worked_out_by_hand() -> None:
    rates = roc(np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 0]))
    assert len(rates) == len(GRID) <= 200
    assert (rates[GRID < 0.5] == 0.5).all()
    assert (rates[GRID > 0.5] == 1).all()


def test_the_bins_of_the_reliability_diagram_equal_those_worked_out_by_hand() -> None:
    first, second, last = reliability(np.array([0.02, 0.04, 0.5, 1.0]), np.array([0, 1, 0, 1]))
    assert (first.number, first.customers, first.observed.mean) == (0, 2, 0.5)
    assert first.predicted == pytest.approx(0.03)
    assert first.observed[1:] == pytest.approx((0.0945, 0.9055), abs=1e-4)  # z²/n = 1.92, by Wilson's formula
    assert (second.number, second.customers, second.observed.mean) == (7, 1, 0)
    assert (last.number, last.customers, last.observed.mean) == (14, 1, 1)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("customers", range(1, 200, 7))
def test_the_interval_of_a_bin_with_one_class_only_ends_at_its_share(customers: int, label: int) -> None:
    [reliability_bin] = reliability(np.full(customers, 0.5), np.full(customers, label))
    share, low, high = reliability_bin.observed
    assert share == label
    assert 0 <= low <= share <= high <= 1


def test_every_customer_is_in_one_bin_of_the_reliability_diagram() -> None:
    p = np.random.default_rng(0).beta(1, 3, SIZE)
    assert sum(reliability_bin.customers for reliability_bin in reliability(p, np.arange(SIZE) % 2)) == SIZE


def test_precision_and_recall_equal_those_worked_out_by_hand_and_precision_of_nobody_is_nan() -> None:
    precision, recall = precision_recall(np.array([0.9, 0.5, 0.5, 0.2]), np.array([1, 1, 0, 0]))
    at = {threshold: int(np.argmin(abs(GRID - threshold))) for threshold in (0, 0.5, 0.7, 0.95)}
    assert [precision[at[t]] for t in (0, 0.5, 0.7)] == pytest.approx([1 / 2, 2 / 3, 1])
    assert [recall[at[t]] for t in (0, 0.5, 0.7, 0.95)] == pytest.approx([1, 1, 1 / 2, 0])
    assert np.isnan(precision[at[0.95]])


def test_lift_and_cumulative_gain_equal_those_worked_out_by_hand() -> None:
    labels = np.array([1, 1, 1, *[0] * 16, 1])
    lifts, gain = lift(np.linspace(0.9, 0.1, 20), labels)
    assert lifts == pytest.approx([5, 2.5, *[0] * 7, 2.5])
    assert gain == pytest.approx([0.5, *[0.75] * 8, 1])


def test_the_last_block_may_be_smaller() -> None:
    assert block_means(np.array([1, 2, 3, 4, 5]), 2).tolist() == [1.5, 3.5, 5]


def test_the_json_report_has_every_metric_rounded_and_no_other(run: EvaluationRun, folder: Path) -> None:
    written = json.loads((folder / "predictors.json").read_text(encoding="utf-8"))
    assert written.keys() == run.metrics.keys()
    assert written.keys() >= {"risk.auc", "risk.ece", "accept.auc", "accept.ece", "accept.time_auc", "accept.time_ece"}
    for name, (mean, low, high) in run.metrics.items():
        assert written[name] == {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4)}


def test_the_page_shows_every_metric_with_its_interval(run: EvaluationRun, page: str) -> None:
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    for name, (mean, low, high) in run.metrics.items():
        interval = f" ({low:.4f} to {high:.4f})" if low < high else ""
        assert f"{mean:.4f}{interval}" in text, name


def test_the_page_needs_no_other_file_and_has_no_script(page: str) -> None:
    assert len(page) < 1_000_000
    assert not re.search(r"https?:|<script|<link|<img|\ssrc=|@import|url\((?!#)", page)


def test_every_chart_has_a_label_and_ids_are_unique(page: str) -> None:
    charts = re.findall(r"<svg[^>]*>", page)
    assert len(charts) == 3 * 5 + 2
    assert all('role="img"' in chart and re.search(r'aria-label="[^"]{20,}"', chart) for chart in charts)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_charts_take_the_colour_of_the_surrounding_text(page: str) -> None:
    assert re.search(r"stroke: currentColor[;\"]", page)
    assert "#000000" not in page


def test_names_are_escaped(page: str) -> None:
    assert page.count("a &lt;b&gt;") == 3 * 2 + 1 + 1  # in charts and their labels, in the table of shifts, in the data
    assert "<b>" not in page


def test_facts_are_ordered_by_their_shift_and_classified(page: str) -> None:
    rows = re.findall(r'<th scope="row">(\w+)</th><td>0.\d{4}</td><td>0.\d{4}</td><td>(\w+)</td>', page)
    assert rows == [("tenure", "shifted"), ("contract", "watch"), ("partner", "steady")]


def test_the_page_states_its_limits_and_methods(page: str) -> None:
    assert "No offer was randomised in these data" in page
    assert "5 folds × 2, stratified and shuffled, seeds 42, 43." in page
    assert "telco.csv, sha256 16320c9c" in page


def test_the_page_counts_the_goals_and_names_those_that_were_missed(run: EvaluationRun) -> None:
    good_auc, good_ece = Estimate(0.9, 0.9, 0.9), Estimate(0.001, 0, 0.002)
    reached = {name: good_auc if "auc" in name else good_ece for name in run.metrics}
    assert "8 of 8 goals are reached.</p>" in report.summary(reached)
    missed = reached | {"risk.ece": Estimate(0.0201, 0.01, 0.03)}
    assert "7 of 8 goals are reached. Missed: risk (ECE)." in report.summary(missed)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("risk.auc", 0.85, "reached"),
        ("risk.auc", 0.8499, "missed"),
        ("risk.auc", 0.7799, "worse than the floor"),
        ("risk.ece", 0.02, "reached"),
        ("risk.ece", 0.0501, "worse than the floor"),
        ("accept.time_auc", 0.735, "missed"),
        ("accept.time_ece", 0.0499, "reached"),
        ("accept.serving.auc", 0.7, "within the floor; no goal"),
        ("accept.serving.ece", 0.0501, "worse than the floor"),
    ],
)
def test_the_status_of_a_goal_is_given_in_words(name: str, value: float, words: str) -> None:
    assert status(value, GOALS[name]) == words


def test_the_same_run_draws_the_same_chart(run: EvaluationRun) -> None:
    first, again = (roc_chart(run.cross_validations[0]) for _ in range(2))
    assert first == again

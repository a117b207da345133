import json
import re
from pathlib import Path

import numpy as np
import pytest

from services.scorer.features import ACCEPT_FEATURES, RISK_FEATURES
from training.scorer import report
from training.scorer.charts import SERIES, roc_chart
from training.scorer.curves import POINTS, by_block, lift, precision_recall, reliability, roc
from training.scorer.evaluation import Evaluation, InTime, Metrics, Study
from training.scorer.report import AIMS, verdict
from training.scorer.targets import ACCEPT_RECIPE, DEMO, Target
from training.statistics import Estimate

SIZE = 300


def made_up(rng: np.random.Generator, *names: str) -> Metrics:
    """Any numbers, of more digits than are shown."""
    found = {}
    for name in names:
        low, mean, high = np.sort(rng.random(3)).tolist()
        found[name] = Estimate(mean, low, high)
    return found


def evaluation(rng: np.random.Generator, name: str, features: tuple[str, ...], **views: tuple[str, ...]) -> Evaluation:
    p = rng.beta(1, 3, (2, SIZE))
    target = Target(
        name=name,
        features=features,
        rows=np.zeros((SIZE, len(features)), np.float32),
        labels=(rng.random(SIZE) < p.mean(axis=0)).astype(int),
        recipe=ACCEPT_RECIPE,
        monotone={},
        views=views,
    )
    folds = [np.array_split(rng.permutation(SIZE), 5) for _ in p]
    seen = [*SERIES, *(["masked"] if views else []), *views]
    of = [name if view == "whole" else f"{name}.{view}" for view in seen]
    metrics = made_up(rng, *(f"{each}.auc" for each in of if "id_only" not in each), *(f"{each}.ece" for each in of))
    metrics |= made_up(rng, *(f"{each}.fold_ece" for each in of))
    ours = [each for each in of if each.rpartition(".")[2] not in SERIES]
    numbers = [f"{name}.base_rate", *(f"{each}.fold_ece_by_chance" for each in ours)]
    alone = {each: Estimate(*[float(rng.random())] * 3) for each in numbers}
    return Evaluation(target, folds, dict.fromkeys(seen, p), metrics | alone)


def run(rng: np.random.Generator, name: str) -> InTime:
    said = {each: rng.beta(1, 3, SIZE) for each in ("time", "time_fixed", "time_rate")}
    metrics = made_up(rng, f"{name}.time_gain_auc")
    metrics |= made_up(rng, *(f"{name}.{each}_{metric}" for each in said for metric in ("auc", "ece")))
    return InTime(name, rng.integers(2, size=SIZE), said, metrics)


@pytest.fixture(scope="module")
def study() -> Study:
    rng = np.random.default_rng(7)
    evaluations = [
        evaluation(rng, "risk", RISK_FEATURES, demo=DEMO, id_only=()),
        evaluation(rng, "accept.serving", ACCEPT_FEATURES, id_only=()),
        evaluation(rng, "accept", ACCEPT_FEATURES),
    ]
    return Study(
        evaluations=evaluations,
        in_time=[run(rng, "accept.serving"), run(rng, "accept")],
        importance={each.target.name: {"contract": 0.9, "a <b>": 0.2} for each in evaluations},
        shifts={
            "risk": {
                "valid": {"partner": 0.0123, "tenure": 0.2501, "contract": 0.05, "a <b>": 0.0},
                "test": {"partner": 0.0042, "tenure": 0.0011, "contract": 0.1, "a <b>": 0.0},
            }
        },
    )


@pytest.fixture(scope="module")
def folder(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "reports"
    report.write(study, folder, {"telco.csv": "16320c9c", "a <b>": "74adfc57"})
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "predictors.html").read_text(encoding="utf-8")


def test_a_roc_curve_is_as_worked_by_hand() -> None:
    rates = roc(np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 0]))
    assert len(rates) == len(POINTS) <= 200
    assert (rates[POINTS < 0.5] == 0.5).all()
    assert (rates[POINTS > 0.5] == 1).all()


def test_the_bins_of_the_reliability_diagram_are_as_worked_by_hand() -> None:
    first, second, last = reliability(np.array([0.02, 0.04, 0.5, 1.0]), np.array([0, 1, 0, 1]))
    assert (first.number, first.customers, first.observed) == (0, 2, 0.5)
    assert first.predicted == pytest.approx(0.03)
    assert (first.low, first.high) == pytest.approx((0.0945, 0.9055), abs=1e-4)  # z²/n = 1.92, by Wilson's formula
    assert (second.number, second.customers, second.observed) == (7, 1, 0)
    assert (last.number, last.customers, last.observed) == (14, 1, 1)


def test_the_bins_hold_every_customer_once() -> None:
    p = np.random.default_rng(0).beta(1, 3, SIZE)
    assert sum(each.customers for each in reliability(p, np.arange(SIZE) % 2)) == SIZE


def test_precision_and_recall_are_as_worked_by_hand_and_precision_of_nobody_is_no_number() -> None:
    precision, recall = precision_recall(np.array([0.9, 0.5, 0.5, 0.2]), np.array([1, 1, 0, 0]))
    at = {threshold: int(np.argmin(abs(POINTS - threshold))) for threshold in (0, 0.5, 0.7, 0.95)}
    assert [precision[at[t]] for t in (0, 0.5, 0.7)] == pytest.approx([1 / 2, 2 / 3, 1])
    assert [recall[at[t]] for t in (0, 0.5, 0.7, 0.95)] == pytest.approx([1, 1, 1 / 2, 0])
    assert np.isnan(precision[at[0.95]])


def test_lift_and_gain_are_as_worked_by_hand() -> None:
    labels = np.array([1, 1, 1, *[0] * 16, 1])
    lifts, gained = lift(np.linspace(0.9, 0.1, 20), labels)
    assert lifts == pytest.approx([5, 2.5, *[0] * 7, 2.5])
    assert gained == pytest.approx([0.5, *[0.75] * 8, 1])


def test_the_last_block_may_be_smaller() -> None:
    assert by_block(np.array([1, 2, 3, 4, 5]), 2).tolist() == [1.5, 3.5, 5]


def test_machines_read_every_metric_as_rounded_and_no_other(study: Study, folder: Path) -> None:
    read = json.loads((folder / "predictors.json").read_text(encoding="utf-8"))
    assert read.keys() == study.metrics.keys()
    assert read.keys() >= {"risk.auc", "risk.ece", "accept.auc", "accept.ece", "accept.time_auc", "accept.time_ece"}
    for name, (mean, low, high) in study.metrics.items():
        assert read[name] == {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4)}


def test_the_page_shows_every_metric_with_its_interval(study: Study, page: str) -> None:
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    for name, (mean, low, high) in study.metrics.items():
        interval = f" ({low:.4f} to {high:.4f})" if low < high else ""
        assert f"{mean:.4f}{interval}" in text, name


def test_the_page_needs_no_other_file_and_runs_nothing(page: str) -> None:
    assert len(page) < 1_000_000
    assert not re.search(r"https?:|<script|<link|<img|\ssrc=|@import|url\((?!#)", page)


def test_every_chart_says_what_it_shows_and_no_two_share_an_id(page: str) -> None:
    charts = re.findall(r"<svg[^>]*>", page)
    assert len(charts) == 3 * 5 + 2
    assert all('role="img"' in chart and re.search(r'aria-label="[^"]{20,}"', chart) for chart in charts)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_charts_take_the_colour_of_the_text_around_them(page: str) -> None:
    assert re.search(r"stroke: currentColor[;\"]", page)
    assert "#000000" not in page


def test_names_are_escaped(page: str) -> None:
    assert (
        page.count("a &lt;b&gt;") == 3 * 2 + 1 + 1
    )  # in charts and what they show, among facts that moved, among data
    assert "<b>" not in page


def test_facts_that_moved_most_come_first_and_are_called_so(page: str) -> None:
    rows = re.findall(r'<th scope="row">(\w+)</th><td>0.\d{4}</td><td>0.\d{4}</td><td>(\w+)</td>', page)
    assert rows == [("tenure", "shifted"), ("contract", "watch"), ("partner", "steady")]


def test_the_page_says_what_the_data_cannot_show_and_how_it_was_made(page: str) -> None:
    assert "No offer was randomised in these data" in page
    assert "5 folds × 2, stratified and shuffled, seeds 42, 43." in page
    assert "telco.csv, sha256 16320c9c" in page


def test_the_page_counts_and_names_the_aims_that_were_missed(study: Study) -> None:
    reached = {name: Estimate(0.9, 0.9, 0.9) if "auc" in name else Estimate(0.001, 0, 0.002) for name in study.metrics}
    assert "8 of 8 aims are reached.</p>" in report.summary(reached)
    missed = reached | {"risk.ece": Estimate(0.0201, 0.01, 0.03)}
    assert "7 of 8 aims are reached. Not reached: risk (ECE)." in report.summary(missed)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("risk.auc", 0.85, "reached"),
        ("risk.auc", 0.8499, "missed"),
        ("risk.auc", 0.7799, "worse than the floor"),
        ("risk.ece", 0.02, "reached"),
        ("risk.ece", 0.0501, "worse than the floor"),
        ("accept.time_auc", 0.735, "missed"),
        ("accept.time_ece", 0.0499, "reached"),
        ("accept.serving.auc", 0.7, "floor kept; no aim"),
        ("accept.serving.ece", 0.0501, "worse than the floor"),
    ],
)
def test_an_aim_is_reached_or_missed_in_words(name: str, value: float, said: str) -> None:
    assert verdict(value, AIMS[name]) == said


def test_the_same_study_draws_the_same_chart(study: Study) -> None:
    first, again = (roc_chart(study.evaluations[0]) for _ in range(2))
    assert first == again

"""The whole evaluation, with a few customers and an untrained network."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.policy.policies.network import Network
from tests.policy.networks import artifact
from training.policy.customers import Population, to_customers
from training.policy.evaluation import report
from training.policy.evaluation.assess import Evaluation, EvaluationSize, assess, policy_metrics
from training.policy.evaluation.benchmark import BUDGETS, BenchmarkResult
from training.policy.evaluation.report import Aim, aims
from training.policy.evaluation.sections import (
    ASSUMPTION_DESCRIPTIONS,
    NOT_MEASURED,
    POLICY_DESCRIPTIONS,
    Measurements,
    decisions_section,
)
from training.policy.evaluation.sensitivity import ALTERNATIVES
from training.policy.simulation.campaign import CampaignResult

pytestmark = pytest.mark.slow

NAMES = ("index", "index, fixed price", "never", "random_legal", "top_risk", "threshold", "myopic", "one_step")
SMALL = EvaluationSize(copies=2, seeds=(1, 2), service_copies={0.3: 1}, sensitivity_copies=1, sensitivity_seeds=(4, 5))


def make_people(number: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    accept = np.sort(rng.uniform(0, 0.6, (number, 4)))
    facts = {"customer_id": [f"c<{i}>" for i in range(number)], "churn_risk": rng.uniform(0.05, 0.9, number)}
    levels = {f"accept_prob_{level}": accept[:, level] for level in range(4)}
    return pd.DataFrame({**facts, **levels, "monthly_charges": rng.uniform(20, 120, number)})


def make_run(seed: int, share: float) -> dict[str, Any]:
    points = [[float(t), 1000 * t, 0.1 * t, 0.0, [1.0, 0.5], [1.0, 1.0]] for t in range(5)]
    shares = {str(budget): share for budget in BUDGETS}
    return {"seed": seed, "seconds": 4.0, "steps": 4000, "shares": shares, "points": points}


def measured(scratch: float = 0.93, **benchmarks: Any) -> Measurements:
    training = {
        "scratch": [make_run(0, scratch), make_run(1, scratch), make_run(2, 0.1)],
        "warm": [make_run(0, 0.96)],
        "gradient_ascent": [make_run(0, 0.9)],
        "unmasked": [make_run(0, 0.9)],
        "budgets": [0.1, 0.6],
        "bound_gain": 0.5,
        "chosen": {"kind": "warm", "seed": 0},
    }
    return Measurements(training, {"train_steps_per_second": 12_345.0}, benchmarks)


PEOPLE = make_people(40, 1)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    network = Network.load(artifact(tmp_path_factory.mktemp("artifacts") / "policy"))
    population = Population(to_customers(make_people(90, 2)), to_customers(PEOPLE), PEOPLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.policy.evaluation.benchmark.PRICE_GRID", np.array([0.8, 1, 1.25]))
        patch.setattr("training.policy.evaluation.benchmark.THRESHOLDS", (1, 4))
        patch.setattr("training.policy.evaluation.sensitivity.ALTERNATIVES", {"effect": (0.25,)})
        return assess(population, make_people(40, 3), PEOPLE.assign(accept_prob_0=0.0), network, SMALL)


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "reports"
    report.write(evaluation, PEOPLE, measured(), folder)
    return folder


@pytest.fixture(scope="module")
def figures(folder: Path) -> dict[str, Any]:
    """The content of policy.json."""
    figures: dict[str, Any] = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    return figures


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "policy.html").read_text(encoding="utf-8")


def test_the_metrics_of_a_policy_are_as_worked_by_hand() -> None:
    campaigns = [
        CampaignResult(
            incremental_value=value,
            spend=40.0,
            revenue=900.0,
            budget=50.0,
            customers_contacted=3,
            refused=2,
            contacts=np.array([2, 0, 0, 2]),
        )
        for value in (10.0, 30.0)
    ]

    metrics = policy_metrics(BenchmarkResult(campaigns, bound=40.0), customers=12, all_bills=1000.0)

    assert {name: value.mean for name, value in metrics.items()} == pytest.approx(
        {
            "share_of_bound": 0.5,
            "utilisation": 0.8,
            "nrr": 0.86,
            "roi": 20 / 40.2,  # four contacts at 0.05
            "contact_rate": 0.25,
            **{"contacts_0": 2, "contacts_1": 0, "contacts_2": 0, "contacts_3": 2},
            "refused": 2,
            "violations": 0,
        }
    )
    assert metrics["share_of_bound"].low < 0.25 < 0.75 < metrics["share_of_bound"].high


def test_a_policy_that_spends_nothing_has_no_roi() -> None:
    idle = [CampaignResult(budget=1.0, revenue=1.0)] * 2

    assert "roi" not in policy_metrics(BenchmarkResult(idle, 1.0), 1, 1.0)


def test_the_json_has_the_share_of_the_bound_of_every_policy_at_every_budget(
    evaluation: Evaluation, figures: dict[str, Any]
) -> None:
    assert tuple(figures["baselines"]) == NAMES
    by_policy = [figures["share_of_bound"], *(baseline["share_of_bound"] for baseline in figures["baselines"].values())]
    for policy, shares in zip(("ppo", *NAMES), by_policy, strict=True):
        assert list(shares) == ["0.1", "0.3", "0.6"]
        for budget, share in shares.items():
            assert share["low"] <= share["mean"] <= share["high"]
            assert share["mean"] == round(evaluation.results[float(budget)][policy].share_of_bound.mean, 4)


def test_the_served_policies_neither_overspend_nor_break_a_rule(figures: dict[str, Any]) -> None:
    assert (figures["violations"], figures["max_spend_over_budget"]) == (0, 0)


def test_violations_and_overspend_are_reported_and_miss_their_aims(evaluation: Evaluation) -> None:
    run = evaluation.service_runs[0.3]
    broken = run._replace(violations={**run.violations, "cooldown": 2}, peak_used=run.budget + 1.5)
    bad = evaluation._replace(service_runs={0.3: broken})

    assert (report.violations(bad), report.overspend(bad)) == (2, 1.5)
    missed = {aim.name for aim in aims(bad, measured()) if not aim.met}
    assert {"violations", "spend above the budget"} <= missed


def test_training_speeds_are_those_of_the_comparison_and_null_where_it_was_not_run(
    evaluation: Evaluation, figures: dict[str, Any]
) -> None:
    assert (figures["train_steps_per_second"], figures["sb3_steps_per_second"]) == (12_345, None)

    compared = report.as_json(evaluation, measured(train_steps_per_second=60_000.0, sb3_steps_per_second=5_000.0))

    assert (compared["train_steps_per_second"], compared["sb3_steps_per_second"]) == (60_000, 5_000)


def at_price(**shares: float) -> dict[str, Any]:
    return {"optimum": {}, **{name: {"share_of_optimum": {"mean": share}} for name, share in shares.items()}}


def test_aims_beside_other_libraries_are_evaluated_and_missed_where_those_were_not_run(evaluation: Evaluation) -> None:
    learnt = {"price 1": at_price(ours=0.9, sb3=0.5, fsrl_ppo_lagrangian=0.7)}
    learnt |= {"price 2": at_price(ours=0.8, sb3=0.85, fsrl_ppo_lagrangian=0.1)}
    with_benchmarks = measured(over_sb3=3.5, over_sb3_defaults=9.0, learnt=learnt)

    without, compared = ([*aims(evaluation, measurements)][-4:] for measurements in (measured(), with_benchmarks))

    assert [(aim.reached, aim.verdict, aim.met) for aim in without] == [(None, "not measured", False)] * 4
    assert [aim.reached for aim in compared] == pytest.approx([3.5, 9.0, -0.05, 0.2])
    assert [aim.verdict for aim in compared] == ["reached", "missed", "missed", "reached"]
    assert "not measured" in report.summary_section(evaluation, measured())
    del learnt["price 2"]["fsrl_ppo_lagrangian"]
    assert [*aims(evaluation, with_benchmarks)][-1].verdict == "not measured"


def test_the_page_describes_every_policy_and_every_assumption(evaluation: Evaluation, page: str) -> None:
    assert all(
        f"<li>{policy}: {POLICY_DESCRIPTIONS[policy]}</li>" in page.replace("&#x27;", "'") for policy in ("ppo", *NAMES)
    )
    assert {result.name for result in evaluation.sensitivity} <= {"as assumed", *ASSUMPTION_DESCRIPTIONS}
    assert ALTERNATIVES.keys() <= ASSUMPTION_DESCRIPTIONS.keys()


def test_the_page_says_which_training_runs_were_shorter(page: str) -> None:
    assert "gradient_ascent and unmasked: one seed, a third of the updates" in page


def test_the_page_says_that_a_run_did_not_record_the_diagnostics_of_ppo(page: str) -> None:
    assert "This run did not record PPO&#x27;s diagnostics" in page


def test_copies_of_a_customer_with_other_bank_facts_count_as_one_customer() -> None:
    decision = {"monthly_charges": 50.0, "ppo": "no contact", "index": "no contact", "why": "."}
    decisions = pd.DataFrame([{"customer_id": name, **decision} for name in ("a", "b", "a", "b")])

    section = decisions_section(decisions)

    assert "The 4 decisions are in policy_decisions.csv. They are about 2 Telco customers" in section


def test_differences_to_the_best_baseline_are_paired_by_campaign(evaluation: Evaluation) -> None:
    for budget, differences in evaluation.differences.items():
        shares = {policy: result.shares_of_bound for policy, result in evaluation.results[budget].items()}
        best = max(NAMES[2:], key=lambda policy: shares[policy].mean())
        assert evaluation.best_baselines[budget] == best
        assert differences["index"].mean == pytest.approx((shares["index"] - shares[best]).mean())


def test_the_page_counts_and_names_the_aims_that_were_missed(evaluation: Evaluation, page: str) -> None:
    all_aims = [*aims(evaluation, measured())]
    missed = [aim.name for aim in all_aims if not aim.met]
    count = f"{len(all_aims) - len(missed)} of {len(all_aims)} aims are reached."
    assert f"<p>{count} Not reached: {'; '.join(missed)}.</p>" in page
    assert not [name for name in missed if name.startswith(("scratch", "warm"))]  # the median, not the worst

    below = [aim.name for aim in aims(evaluation, measured(scratch=0.91)) if not aim.met]
    assert len([name for name in below if name.startswith("scratch")]) == 3


@pytest.mark.parametrize(
    ("aim", "verdict"),
    [
        (Aim("a", 0.92, 0.92, 0.8), "reached"),
        (Aim("a", 0.9199, 0.92, 0.8), "missed"),
        (Aim("a", 0.7999, 0.92, 0.8), "worse than the floor"),
        (Aim("a", 0, 0, at_most=True), "reached"),
        (Aim("a", 1, 0, at_most=True), "missed"),
    ],
)
def test_an_aim_has_a_verdict(aim: Aim, verdict: str) -> None:
    assert aim.verdict == verdict


def test_the_page_needs_no_other_file_and_its_text_is_escaped(page: str) -> None:
    assert len(page) < 1_000_000
    assert not re.search(r"https?:|<script|<link|<img|\ssrc=|@import|url\((?!#)", page)
    assert "c&lt;" in page
    assert "c<0" not in page


def test_every_chart_has_a_label_and_no_two_share_an_id(page: str) -> None:
    charts = re.findall(r"<svg[^>]*>", page)
    assert len(charts) == 1 + 4 + len(SMALL.service_copies) + 2
    assert all(re.search(r'aria-label="[^"]{20,}"', chart) for chart in charts)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_says_what_was_not_measured(page: str) -> None:
    assert NOT_MEASURED in page


def test_every_customer_has_a_decision_and_an_explanation(folder: Path) -> None:
    rows = pd.read_csv(folder / "policy_decisions.csv")

    assert rows["customer_id"].tolist() == PEOPLE["customer_id"].tolist()
    assert rows["why"].str.endswith(".").all()


def test_the_sensitivity_table_has_a_row_for_each_changed_assumption(
    evaluation: Evaluation, figures: dict[str, Any]
) -> None:
    results = evaluation.sensitivity
    assert [row["name"] for row in figures["sensitivity"]] == [result.name for result in results]
    assert (results[0].name, results[0].agreement) == ("as assumed", 1)
    assert {result.name for result in results} > {"effect", "lent bank facts", "true hazard"}

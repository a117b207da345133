"""The whole evaluation, of a few customers and a network that nobody trained."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.policy.policies.network import Network
from tests.policy.networks import artifact
from training.policy.customers import Population, customers
from training.policy.evaluation import report
from training.policy.evaluation.assess import Evaluation, Size, evaluated, metrics
from training.policy.evaluation.benchmark import BUDGETS, BenchmarkResult
from training.policy.evaluation.report import Aim, aims
from training.policy.evaluation.sections import UNMEASURED, Record, sampled
from training.policy.simulation.campaign import CampaignResult

NAMES = ("index", "index, fixed price", "never", "random_legal", "top_risk", "threshold", "myopic", "one_step")
SMALL = Size(copies=2, seeds=(1, 2), lived={0.3: 1}, moved_copies=1, moved_seeds=(4, 5))


def people(number: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    accept = np.sort(rng.uniform(0, 0.6, (number, 4)))
    facts = {"customer_id": [f"c<{i}>" for i in range(number)], "churn_risk": rng.uniform(0.05, 0.9, number)}
    levels = {f"accept_prob_{level}": accept[:, level] for level in range(4)}
    return pd.DataFrame({**facts, **levels, "monthly_charges": rng.uniform(20, 120, number)})


def run(seed: int, share: float) -> dict[str, Any]:
    points = [[float(t), 1000 * t, 0.1 * t, 0.0, [1.0, 0.5], [1.0, 1.0]] for t in range(5)]
    shares = {str(budget): share for budget in BUDGETS}
    return {"seed": seed, "seconds": 4.0, "steps": 4000, "shares": shares, "points": points}


def record(scratch: float = 0.93, **rivals: Any) -> Record:
    training = {
        "scratch": [run(0, scratch), run(1, scratch), run(2, 0.1)],
        "warm": [run(0, 0.96)],
        "gradient_ascent": [run(0, 0.9)],
        "unmasked": [run(0, 0.9)],
        "budgets": [0.1, 0.6],
        "bound_gain": 0.5,
        "chosen": {"kind": "warm", "seed": 0},
    }
    return Record(training, {"train_steps_per_second": 12_345.0}, rivals)


WHO = people(40, 1)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    network = Network.load(artifact(tmp_path_factory.mktemp("artifacts") / "policy"))
    population = Population(customers(people(90, 2)), customers(WHO), WHO)
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr("training.policy.evaluation.benchmark.PRICE_GRID", np.array([0.8, 1, 1.25]))
        fewer.setattr("training.policy.evaluation.benchmark.THRESHOLDS", (1, 4))
        fewer.setattr("training.policy.evaluation.sensitivity.WORLDS", {"effect": (0.25,)})
        return evaluated(population, people(40, 3), WHO.assign(accept_prob_0=0.0), network, SMALL)


@pytest.fixture(scope="module")
def folder(found: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "reports"
    report.write(found, WHO, record(), folder)
    return folder


@pytest.fixture(scope="module")
def machines(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "policy.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "policy.html").read_text(encoding="utf-8")


def test_what_a_policy_comes_to_is_as_worked_by_hand() -> None:
    quarter = {
        "revenue": 900.0,
        "budget": 50.0,
        "customers_contacted": 3,
        "refused": 2,
        "contacts": np.array([2, 0, 0, 2]),
    }
    accounts = [CampaignResult(incremental_value=gain, spend=40.0, **quarter) for gain in (10.0, 30.0)]

    by = metrics(BenchmarkResult(accounts, bound=40.0), customers=12, bills=1000.0)

    assert {name: value.mean for name, value in by.items()} == pytest.approx(
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
    assert by["share_of_bound"].low < 0.25 < 0.75 < by["share_of_bound"].high


def test_who_spends_nothing_has_no_roi() -> None:
    idle = [CampaignResult(budget=1.0, revenue=1.0)] * 2

    assert "roi" not in metrics(BenchmarkResult(idle, 1.0), 1, 1.0)


def test_machines_read_the_share_of_the_bound_of_every_policy_at_every_budget(
    found: Evaluation, machines: dict[str, Any]
) -> None:
    assert tuple(machines["baselines"]) == NAMES
    each = [machines["share_of_bound"], *(by["share_of_bound"] for by in machines["baselines"].values())]
    for name, shares in zip(("ppo", *NAMES), each, strict=True):
        assert list(shares) == ["0.1", "0.3", "0.6"]
        for budget, share in shares.items():
            assert share["low"] <= share["mean"] <= share["high"]
            assert share["mean"] == round(found.judged[float(budget)][name].share_of_bound.mean, 4)


def test_nothing_spends_above_the_budget_or_breaks_a_rule(machines: dict[str, Any]) -> None:
    assert (machines["violations"], machines["max_spend_over_budget"]) == (0, 0)


def test_a_rule_that_was_broken_and_money_spent_above_the_budget_are_told(found: Evaluation) -> None:
    lived = found.lived[0.3]
    broken = lived._replace(violations={**lived.violations, "cooldown": 2}, peak_committed=lived.budget + 1.5)
    bad = found._replace(lived={0.3: broken})

    assert (report.violations(bad), report.over_budget(bad)) == (2, 1.5)
    missed = {aim.name for aim in aims(bad, record()) if not aim.met}
    assert {"violations", "spend above the budget"} <= missed


def test_steps_a_second_are_those_side_by_side_and_what_was_not_measured_is_null(
    found: Evaluation, machines: dict[str, Any]
) -> None:
    assert (machines["train_steps_per_second"], machines["sb3_steps_per_second"]) == (12_345, None)

    compared = report.machines(found, record(train_steps_per_second=60_000.0, sb3_steps_per_second=5_000.0))

    assert (compared["train_steps_per_second"], compared["sb3_steps_per_second"]) == (60_000, 5_000)


def at(**shares: float) -> dict[str, Any]:
    return {"optimum": {}, **{name: {"share_of_optimum": {"mean": share}} for name, share in shares.items()}}


def test_what_is_aimed_at_beside_the_rivals_is_counted_and_missed_where_it_was_not_measured(found: Evaluation) -> None:
    learnt = {"price 1": at(ours=0.9, sb3=0.5, fsrl_ppo_lagrangian=0.7)}
    learnt |= {"price 2": at(ours=0.8, sb3=0.85, fsrl_ppo_lagrangian=0.1)}
    beside = record(over_sb3=3.5, over_sb3_defaults=9.0, learnt=learnt)

    alone, measured = ([*aims(found, each)][-4:] for each in (record(), beside))

    assert [(aim.reached, aim.verdict, aim.met) for aim in alone] == [(None, "not measured", False)] * 4
    assert [aim.reached for aim in measured] == pytest.approx([3.5, 9.0, -0.05, 0.2])
    assert [aim.verdict for aim in measured] == ["reached", "missed", "missed", "reached"]
    assert "not measured" in report.summary(found, record())
    del learnt["price 2"]["fsrl_ppo_lagrangian"]
    assert [*aims(found, beside)][-1].verdict == "not measured"


def test_runs_that_were_shorter_are_told(page: str) -> None:
    assert "gradient_ascent and unmasked: one seed, a third of the updates" in page


def test_a_customer_who_was_lent_other_facts_is_no_other_customer() -> None:
    each = {"monthly_charges": 50.0, "ppo": "no contact", "index": "no contact", "why": "."}
    twice = pd.DataFrame([{"customer_id": name, **each} for name in ("a", "b", "a", "b")])

    assert "The 4 decisions are in policy_decisions.csv. They are about 2 Telco customers" in sampled(twice)


def test_the_difference_to_the_best_baseline_is_of_the_same_quarters(found: Evaluation) -> None:
    for budget, by in found.differences.items():
        shares = {name: judged.shares_of_bound for name, judged in found.judged[budget].items()}
        best = max(NAMES[2:], key=lambda name: shares[name].mean())
        assert found.best[budget] == best
        assert by["index"].mean == pytest.approx((shares["index"] - shares[best]).mean())


def test_the_page_counts_and_names_the_aims_that_were_missed(found: Evaluation, page: str) -> None:
    every = [*aims(found, record())]
    missed = [aim.name for aim in every if not aim.met]
    said = f"{len(every) - len(missed)} of {len(every)} aims are reached."
    assert f"<p>{said} Not reached: {'; '.join(missed)}.</p>" in page
    assert not [name for name in missed if name.startswith(("scratch", "warm"))]  # the median, not the worst

    lower = [aim.name for aim in aims(found, record(scratch=0.91)) if not aim.met]
    assert len([name for name in lower if name.startswith("scratch")]) == 3


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        (Aim("a", 0.92, 0.92, 0.8), "reached"),
        (Aim("a", 0.9199, 0.92, 0.8), "missed"),
        (Aim("a", 0.7999, 0.92, 0.8), "worse than the floor"),
        (Aim("a", 0, 0, most=True), "reached"),
        (Aim("a", 1, 0, most=True), "missed"),
    ],
)
def test_an_aim_is_reached_or_missed_in_words(aim: Aim, said: str) -> None:
    assert aim.verdict == said


def test_the_page_needs_no_other_file_and_its_text_is_escaped(page: str) -> None:
    assert len(page) < 1_000_000
    assert not re.search(r"https?:|<script|<link|<img|\ssrc=|@import|url\((?!#)", page)
    assert "c&lt;" in page
    assert "c<0" not in page


def test_every_chart_says_what_it_shows_and_no_two_share_an_id(page: str) -> None:
    charts = re.findall(r"<svg[^>]*>", page)
    assert len(charts) == 1 + 4 + len(SMALL.lived) + 2
    assert all(re.search(r'aria-label="[^"]{20,}"', chart) for chart in charts)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_what_was_not_measured_is_said(page: str) -> None:
    assert UNMEASURED in page


def test_every_customer_has_a_decision_and_a_reason(folder: Path) -> None:
    rows = pd.read_csv(folder / "policy_decisions.csv")

    assert rows["customer_id"].tolist() == WHO["customer_id"].tolist()
    assert rows["why"].str.endswith(".").all()


def test_the_sensitivity_table_moves_one_assumption_a_row(found: Evaluation, machines: dict[str, Any]) -> None:
    assert [each["name"] for each in machines["sensitivity"]] == [each.name for each in found.moved]
    assert (found.moved[0].name, found.moved[0].same) == ("as assumed", 1)
    assert {each.name for each in found.moved} > {"effect", "lent bank facts", "true hazard"}

"""The report on the policies: policy.html for people, policy.json for programs, and a table of all decisions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from training.policy.evaluation.assess import SERVED, Evaluation
from training.policy.evaluation.benchmark import BUDGETS
from training.policy.evaluation.explain import decision_table
from training.policy.evaluation.sections import (
    Measurements,
    baselines_section,
    decisions_section,
    sensitivity_section,
    service_section,
    speed_section,
    targeting_section,
    training_section,
)
from training.policy.evaluation.sensitivity import SensitivityResult
from training.policy.simulation.campaign import CampaignResult
from training.report.page import document, paragraph, table
from training.statistics import Estimate

LIBRARY_TITLES = {"sb3": "SB3", "fsrl_ppo_lagrangian": "FSRL"}
"""Other PPO implementations, by their keys in rivals.json."""


class Aim(NamedTuple):
    name: str
    reached: float | None
    """The measured value; None if it was not measured."""
    aim: float
    """The lowest value that reaches the aim."""
    floor: float | None = None
    """A value below this is a failure."""
    at_most: bool = False
    """`aim` is the highest value that reaches it, instead of the lowest."""

    @property
    def met(self) -> bool:
        if self.reached is None:
            return False
        return self.reached <= self.aim if self.at_most else self.reached >= self.aim

    @property
    def verdict(self) -> str:
        if self.reached is None:
            return "not measured"
        if self.floor is not None and self.reached < self.floor:
            return "worse than the floor"
        return "reached" if self.met else "missed"


def aims(evaluation: Evaluation, measurements: Measurements) -> Iterator[Aim]:
    """The aims; their names are in policy.json."""
    for kind, aim, floor in (("scratch", 0.92, 0.80), ("warm", 0.95, None)):
        for budget in BUDGETS:
            shares = [run["shares"][str(budget)] for run in measurements.training[kind]]
            yield Aim(f"{kind}, median of {len(shares)} seeds, at {budget:.0%}", float(np.median(shares)), aim, floor)
    for budget in BUDGETS:
        index = evaluation.results[budget]["index"]
        yield Aim(f"index, price solved again, at {budget:.0%}", index.share_of_bound.mean, 0.98)
    yield Aim("violations", violations(evaluation), 0, at_most=True)
    yield Aim("spend above the budget", overspend(evaluation), 0, at_most=True)
    for budget, run in evaluation.service_runs.items():
        yield Aim(f"utilisation through the service, at {budget:.0%}", run.utilisation, 0.98)
    for budget, differences in evaluation.differences.items():
        for policy, difference in differences.items():
            name = f"{policy} above the best baseline, at {budget:.0%}: low end of the difference"
            yield Aim(name, difference.low, 0)
    yield Aim("steps a second, over SB3 at equal settings", measurements.benchmarks.get("over_sb3"), 3)
    yield Aim("steps a second, over SB3 with its defaults", measurements.benchmarks.get("over_sb3_defaults"), 10)
    for library, title in LIBRARY_TITLES.items():
        name = f"share of the optimum at equal steps, less that of {title}, at worst"
        yield Aim(name, smallest_lead(measurements, library), 0)


def smallest_lead(measurements: Measurements, library: str) -> float | None:
    """Share of the optimum of this project's PPO less that of a library: means over seeds, at the worst price.

    None if not both were trained.
    """
    by_price = measurements.benchmarks.get("learnt", {}).values()
    if not by_price or any(not {"ours", library} <= learners.keys() for learners in by_price):
        return None
    project, others = (
        [learners[name]["share_of_optimum"]["mean"] for learners in by_price] for name in ("ours", library)
    )
    return min(share - other for share, other in zip(project, others, strict=True))


def violations(evaluation: Evaluation) -> int:
    """Number of violations of the gate's rules and of the budget by the served policies."""
    through_service = sum(sum(run.violations.values()) for run in evaluation.service_runs.values())
    return through_service + sum(campaign.violations for campaign in _served_campaigns(evaluation))


def overspend(evaluation: Evaluation) -> float:
    """Largest excess of reserved and spent money over a budget, by any served policy; 0 if there was none."""
    excess = [campaign.peak_used - campaign.budget for campaign in _served_campaigns(evaluation)]
    excess += [run.peak_used - run.budget for run in evaluation.service_runs.values()]
    return max(0.0, round(max(excess), 2))


def _served_campaigns(evaluation: Evaluation) -> list[CampaignResult]:
    return [
        campaign
        for by_policy in evaluation.results.values()
        for policy in SERVED
        for campaign in by_policy[policy].campaigns
    ]


def write(evaluation: Evaluation, people: pd.DataFrame, measurements: Measurements, folder: Path) -> None:
    """Write policy.html, policy.json and policy_decisions.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    decisions = decision_table(evaluation.first_day, people)
    decisions.to_csv(folder / "policy_decisions.csv", index=False)
    figures = json.dumps(as_json(evaluation, measurements), indent=2) + "\n"
    (folder / "policy.json").write_text(figures, encoding="utf-8")
    page = document(
        "Evaluation of the retention policies",
        summary_section(evaluation, measurements),
        baselines_section(evaluation),
        training_section(measurements),
        service_section(evaluation),
        targeting_section(evaluation),
        decisions_section(decisions),
        sensitivity_section(evaluation.sensitivity),
        speed_section(measurements),
    )
    (folder / "policy.html").write_text(page, encoding="utf-8")


def as_json(evaluation: Evaluation, measurements: Measurements) -> dict[str, Any]:
    """The content of policy.json."""

    def by_budget(policy: str) -> dict[str, Any]:
        return {
            str(budget): {metric: rounded(value) for metric, value in by_policy[policy].items()}
            for budget, by_policy in evaluation.metrics.items()
        }

    others = [policy for policy in next(iter(evaluation.metrics.values())) if policy != "ppo"]
    trained, benchmarks = measurements.metrics, measurements.benchmarks
    return {
        "share_of_bound": share_of_bound(evaluation, "ppo"),
        "baselines": {policy: {"share_of_bound": share_of_bound(evaluation, policy)} for policy in others},
        "violations": violations(evaluation),
        "max_spend_over_budget": overspend(evaluation),
        "train_steps_per_second": benchmarks.get("train_steps_per_second", trained["train_steps_per_second"]),
        "sb3_steps_per_second": benchmarks.get("sb3_steps_per_second"),
        "utilisation": {str(budget): round(run.utilisation, 4) for budget, run in evaluation.service_runs.items()},
        "share_of_bound_through_the_service": {
            str(budget): round(evaluation.service_share_of_bound(budget), 4) for budget in evaluation.service_runs
        },
        "above_best_baseline": {
            str(budget): {
                "baseline": evaluation.best_baselines[budget],
                **{policy: rounded(difference) for policy, difference in differences.items()},
            }
            for budget, differences in evaluation.differences.items()
        },
        "aims": [aim_as_json(aim) for aim in aims(evaluation, measurements)],
        "policies": {policy: by_budget(policy) for policy in ["ppo", *others]},
        "sensitivity": [sensitivity_as_json(result) for result in evaluation.sensitivity],
    }


def aim_as_json(aim: Aim) -> dict[str, Any]:
    return {
        "name": aim.name,
        "reached": aim.reached,
        "aim": aim.aim,
        "floor": aim.floor,
        "most": aim.at_most,
        "verdict": aim.verdict,
    }


def sensitivity_as_json(result: SensitivityResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "value": result.value,
        "price": result.price,
        "contacted": result.contact_rate,
        "discount": result.mean_discount,
        "same": result.agreement,
        "share": rounded(result.share_of_bound),
    }


def share_of_bound(evaluation: Evaluation, policy: str) -> dict[str, Any]:
    return {
        str(budget): rounded(by_policy[policy]["share_of_bound"]) for budget, by_policy in evaluation.metrics.items()
    }


def rounded(estimate: Estimate) -> dict[str, float]:
    return {name: round(number, 4) for name, number in estimate._asdict().items()}


def summary_section(evaluation: Evaluation, measurements: Measurements) -> str:
    all_aims = [*aims(evaluation, measurements)]
    missed = [aim.name for aim in all_aims if not aim.met]
    count = f"{len(all_aims) - len(missed)} of {len(all_aims)} aims are reached."
    rows = [
        [
            aim.name,
            "" if aim.reached is None else f"{aim.reached:.4g}",
            aim.verdict,
            f"{'≤' if aim.at_most else '≥'} {aim.aim:g}",
            "" if aim.floor is None else f"≥ {aim.floor:g}",
        ]
        for aim in all_aims
    ]
    return (
        paragraph(count + (f" Not reached: {'; '.join(missed)}." if missed else ""))
        + paragraph(
            "Policies are measured by their share of the bound: the incremental value over contacting nobody that no "
            "policy can exceed within the budget (the Lagrangian dual over all customers, solved exactly). A budget "
            "of 30% is 30% of what the optimal policy would spend without a budget."
        )
        + paragraph(
            "All results are simulated. What a contact changes is assumed: services/policy/response/model.py gives "
            "each effect with its reason. The Telco data have no acceptance, so each Telco customer has the facts of "
            "a random bank customer. The sensitivity table shows what a wrong assumption would change."
        )
        + table("Aims and results", ["measure", "result", "verdict", "aim", "floor"], rows)
    )

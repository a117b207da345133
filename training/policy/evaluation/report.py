"""The report on the policies: a page for people, a file for machines, and each customer's decision with its reason."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from training.policy.evaluation.assess import SERVED, Evaluation
from training.policy.evaluation.benchmark import BUDGETS
from training.policy.evaluation.explain import decisions
from training.policy.evaluation.sections import Record, compared, foot, otherwise, paced, sampled, targeted, trained
from training.report.page import document, paragraph, table
from training.statistics import Estimate

RIVALS = {"sb3": "SB3", "fsrl_ppo_lagrangian": "FSRL"}
"""By their names in rivals.json."""


class Aim(NamedTuple):
    name: str
    reached: float | None
    """None was not measured."""
    aim: float
    floor: float | None = None
    most: bool = False
    """It is not to be exceeded."""

    @property
    def met(self) -> bool:
        if self.reached is None:
            return False
        return self.reached <= self.aim if self.most else self.reached >= self.aim

    @property
    def verdict(self) -> str:
        if self.reached is None:
            return "not measured"
        if self.floor is not None and self.reached < self.floor:
            return "worse than the floor"
        return "reached" if self.met else "missed"


def aims(found: Evaluation, record: Record) -> Iterator[Aim]:
    for run, aim, floor in (("scratch", 0.92, 0.80), ("warm", 0.95, None)):
        for budget in BUDGETS:
            shares = [each["shares"][str(budget)] for each in record.training[run]]
            yield Aim(f"{run}, median of {len(shares)} seeds, at {budget:.0%}", float(np.median(shares)), aim, floor)
    for budget in BUDGETS:
        yield Aim(
            f"index, price solved again, at {budget:.0%}", found.judged[budget]["index"].share_of_bound.mean, 0.98
        )
    yield Aim("violations", violations(found), 0, most=True)
    yield Aim("spend above the budget", over_budget(found), 0, most=True)
    for budget, lived in found.lived.items():
        yield Aim(f"utilisation through the service, at {budget:.0%}", lived.utilisation, 0.98)
    for budget, by_policy in found.differences.items():
        for name, difference in by_policy.items():  # its interval, too
            yield Aim(f"{name} above the best baseline, at {budget:.0%}: low end of the difference", difference.low, 0)
    yield Aim("steps a second, over SB3 at equal settings", record.rivals.get("over_sb3"), 3)
    yield Aim("steps a second, over SB3 with its defaults", record.rivals.get("over_sb3_defaults"), 10)
    for rival, title in RIVALS.items():
        yield Aim(f"share of the optimum at equal steps, less that of {title}, at worst", lead(record, rival), 0)


def lead(record: Record, rival: str) -> float | None:
    """Ours less theirs, of means over seeds, at the price where it is least; None where not both have learnt."""
    learnt = record.rivals.get("learnt", {}).values()
    if not learnt or any(not {"ours", rival} <= at.keys() for at in learnt):
        return None
    ours, theirs = ([at[name]["share_of_optimum"]["mean"] for at in learnt] for name in ("ours", rival))
    return min(mine - other for mine, other in zip(ours, theirs, strict=True))


def violations(found: Evaluation) -> int:
    """Of the gate's rules and the budget, by what is served."""
    judged = sum(a.violations for by in found.judged.values() for name in SERVED for a in by[name].accounts)
    return judged + sum(sum(lived.violations.values()) for lived in found.lived.values())


def over_budget(found: Evaluation) -> float:
    """Money, at most: promised and spent above the budget, by what is served."""
    accounts = [a for by in found.judged.values() for name in SERVED for a in by[name].accounts]
    over = [a.peak_committed - a.budget for a in accounts] + [
        lived.peak_committed - lived.budget for lived in found.lived.values()
    ]
    return max(0.0, round(max(over), 2))


def write(found: Evaluation, people: pd.DataFrame, record: Record, folder: Path) -> None:
    """policy.html, policy.json and policy_decisions.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    explained = decisions(found.day, people)
    explained.to_csv(folder / "policy_decisions.csv", index=False)
    (folder / "policy.json").write_text(json.dumps(machines(found, record), indent=2) + "\n", encoding="utf-8")
    parts = [summary(found, record), compared(found), trained(record), paced(found)]
    parts += [targeted(found), sampled(explained), otherwise(found.moved), foot(record)]
    page = document("How good the policies are", *parts)
    (folder / "policy.html").write_text(page, encoding="utf-8")


def machines(found: Evaluation, record: Record) -> dict[str, Any]:
    def by_budget(name: str) -> dict[str, Any]:
        return {
            str(budget): {metric: rounded(value) for metric, value in policies[name].items()}
            for budget, policies in found.metrics.items()
        }

    names = [name for name in next(iter(found.metrics.values())) if name != "ppo"]
    return {
        "share_of_bound": share_of_bound(found, "ppo"),
        "baselines": {name: {"share_of_bound": share_of_bound(found, name)} for name in names},
        "violations": violations(found),
        "max_spend_over_budget": over_budget(found),
        "train_steps_per_second": record.rivals.get("train_steps_per_second", record.metrics["train_steps_per_second"]),
        "sb3_steps_per_second": record.rivals.get("sb3_steps_per_second"),
        "utilisation": {str(budget): round(lived.utilisation, 4) for budget, lived in found.lived.items()},
        "share_of_bound_through_the_service": {
            str(budget): round(found.share_lived(budget), 4) for budget in found.lived
        },
        "above_best_baseline": {
            str(budget): {"baseline": found.best[budget], **{name: rounded(each) for name, each in by.items()}}
            for budget, by in found.differences.items()
        },
        "aims": [aim._asdict() | {"verdict": aim.verdict} for aim in aims(found, record)],
        "policies": {name: by_budget(name) for name in ["ppo", *names]},
        "sensitivity": [each._asdict() | {"share": rounded(each.share)} for each in found.moved],
    }


def share_of_bound(found: Evaluation, name: str) -> dict[str, Any]:
    return {str(budget): rounded(policies[name]["share_of_bound"]) for budget, policies in found.metrics.items()}


def rounded(value: Estimate) -> dict[str, float]:
    return {name: round(number, 4) for name, number in value._asdict().items()}


def summary(found: Evaluation, record: Record) -> str:
    every = [*aims(found, record)]
    missed = [aim.name for aim in every if not aim.met]
    said = f"{len(every) - len(missed)} of {len(every)} aims are reached."
    rows = [
        [
            aim.name,
            "" if aim.reached is None else f"{aim.reached:.4g}",
            aim.verdict,
            f"{'≤' if aim.most else '≥'} {aim.aim:g}",
            "" if aim.floor is None else f"≥ {aim.floor:g}",
        ]
        for aim in every
    ]
    return (
        paragraph(said + (f" Not reached: {'; '.join(missed)}." if missed else ""))
        + paragraph(
            "The bound is what no policy exceeds within the budget: the Lagrangian dual of all customers, solved "
            "exactly. A budget is a share of what the optimum would spend if money were free."
        )
        + paragraph(
            "All of this is simulated: what a contact changes is assumed (services/policy/response/model.py gives each "
            "effect and its reason), and Telco customers were lent a bank's facts for acceptance. What it would mean "
            "if that is wrong is in the sensitivity table."
        )
        + table("What was reached and aimed at", ["aim", "reached", "verdict", "aim", "floor"], rows)
    )

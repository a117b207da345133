"""What the report says of the policies: charts, and tables of what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from shared.messages import OFFERS
from training.policy.evaluation import charts
from training.policy.evaluation.assess import EXPLAINED, REFERENCE, SERVED, Evaluation
from training.policy.evaluation.benchmark import BUDGETS
from training.policy.evaluation.explain import targets
from training.policy.evaluation.sensitivity import Moved
from training.report.page import figures, heading, paragraph, points, table
from training.statistics import Estimate

GLUE = "\N{NO-BREAK SPACE}"
"""Keeps an interval on one line."""
UNMEASURED = "not measured: make compare-policy"
TITLES = {
    "utilisation": "spent, of the budget",
    "nrr": "net revenue retention",
    "roi": "ROI",
    "contact_rate": "customers contacted",
    **{f"contacts_{level}": f"contacts, {percent} %" for level, percent in enumerate(OFFERS)},
    "refused": "refused",
    "violations": "violations",
}


class Record(NamedTuple):
    """What others measured."""

    training: Mapping[str, Any]
    """training.json: runs, the budgets of the markets, and what the dynamic program gains."""
    metrics: Mapping[str, float]
    """Of the manifest."""
    rivals: Mapping[str, Any]
    """rivals.json; empty if it was not made."""


def shown(value: Estimate | None) -> str:
    """With its interval; nothing where it was not measured."""
    if value is None:
        return ""
    mean, low, high = (f"{number:,.3f}" for number in value)
    return mean if low == high else f"{mean} ({low}{GLUE}to{GLUE}{high})"


def compared(found: Evaluation) -> str:
    names = [*next(iter(found.judged.values()))]
    shares = {
        name: {str(budget): policies[name]["share_of_bound"] for budget, policies in found.metrics.items()}
        for name in names
    }
    rows = [[name, *(shown(shares[name][str(budget)]) for budget in found.metrics)] for name in names]
    above = [
        f"At {budget:.0%}, {name} beats the best baseline, {found.best[budget]}, by {shown(difference)}."
        for budget, by in found.differences.items()
        for name, difference in by.items()
    ]
    detail = [
        table(
            f"At {budget:.0%}; counts are means of a quarter",
            ["policy", *TITLES.values()],
            [[name, *(figure(policies[name], metric) for metric in TITLES)] for name in names],
        )
        for budget, policies in found.metrics.items()
    ]
    caption = "Share of the bound, of each policy at each budget. Green: what can be served."
    return (
        heading("Beside the baselines")
        + paragraph(
            f"The same quarters, customers and luck for each: {len(found.judged[EXPLAINED]['ppo'].accounts)} quarters. "
            f"In brackets the 95 % interval over them. {REFERENCE.capitalize()} keeps the price of the first day."
        )
        + figures([(charts.shares_chart(shares, SERVED), caption)])
        + table("Share of the bound", ["policy", *(f"at {budget:.0%}" for budget in found.metrics)], rows)
        + points(above)
        + paragraph(
            "Net revenue retention: the bills paid in the quarter, less discounts, over those of all customers if all "
            "stayed. ROI: what was gained over doing nothing, within a year and after costs, over discounts and the "
            "cost of contacts. Refused: contacts wanted that gate or ledger did not allow."
        )
        + "".join(detail)
    )


def figure(metrics: Mapping[str, Estimate], name: str) -> str:
    """Counts without their interval."""
    if name.startswith(("contacts", "refused", "violations")):
        return f"{metrics[name].mean:,.0f}"
    return shown(metrics.get(name))


def trained(record: Record) -> str:
    training = record.training
    [ascent], [unmasked] = training["gradient_ascent"], training["unmasked"]
    kind, seed = (training["chosen"][key] for key in ("kind", "seed"))
    chosen = next(run for run in training[kind] if run["seed"] == seed)
    drawn = [
        (
            charts.learning_chart(training),
            "Learning: gain of a customer's quarter, by seed. Above 100 % a budget is overspent.",
        ),
        (charts.price_chart(chosen, training["budgets"], "PID"), "Multipliers over time: a price of money a market."),
        (charts.price_chart(ascent, training["budgets"], "gradient ascent"), "The same by plain gradient ascent."),
        (charts.fatigue_chart(unmasked), "The multiplier of forbidden contacts, where nothing masks them."),
    ]
    rows = [
        [f"{kind}, seed {run['seed']}", f"{run['seconds']:.0f}", f"{run['steps']:,}"]
        + [f"{run['shares'][str(budget)]:.3f}" for budget in BUDGETS]
        for kind in ("scratch", "warm", "gradient_ascent", "unmasked")
        for run in training[kind]
    ]
    head = ["run", "seconds", "steps", *(f"at {budget:.0%}" for budget in BUDGETS)]
    caption = "Share of the bound, held out, by run; gradient_ascent and unmasked: one seed, a third of the updates"
    return heading("Training") + figures(drawn) + table(caption, head, rows)


def paced(found: Evaluation) -> str:
    drawn = [
        (charts.pace_chart(lived, f"at {budget:.0%}"), f"Spend against the calendar, and price, at {budget:.0%}.")
        for budget, lived in found.lived.items()
    ]
    rows = [
        [
            f"at {budget:.0%}",
            f"{lived.decisions:,}",
            f"{lived.budget:,.2f}",
            f"{lived.peak_committed:,.2f}",
            f"{lived.utilisation:.1%}",
            str(sum(lived.violations.values())),
            f"{lived.incremental_value:,.0f}",
            f"{found.share_lived(budget):.3f}",
        ]
        for budget, lived in found.lived.items()
    ]
    head = ["budget", "decisions", "money", "promised and spent at most", "utilisation", "violations", "gain"]
    head.append("share of the bound")
    return (
        heading("Through the service")
        + paragraph(
            "The policy service's own handlers, gate, ledger and pace decide about each customer every day of a "
            "quarter; what was promised and spent, and which rules were broken, is counted from outside."
        )
        + figures(drawn)
        + table("ppo, through the service", head, rows)
    )


def targeted(found: Evaluation) -> str:
    rows = [
        [
            name,
            f"{each.contacts:,}",
            f"{each.overlap:.0%}",
            f"{each.risk:.1%}",
            f"{each.gain:.2f}",
            f"{each.cost:.2f}",
            f"{each.of_ppo:.0%}",
        ]
        for name, each in targets(found.day).items()
    ]
    head = ["who", "contacts", "also contacted by ppo", "mean risk", "gain a contact", "cost a contact", "all gain"]
    drawn = [
        (charts.targets_chart(found.day), "Probability of contact by the network, by risk and bill, in percent."),
        (charts.lift_chart(found.day), "How much likelier than all a customer of each tenth is to be contacted."),
    ]
    return (
        heading("Whom it contacts")
        + paragraph(
            f"A fresh day, at the price of money at the {EXPLAINED:.0%} budget, {found.day.price:.2f}. Money is "
            "scarce, so orders are compared for the same expected cost too. Gains are of one contact, the last."
        )
        + figures(drawn)
        + table("Beside highest risk first; all gain as a share of ppo's", head, rows)
    )


def sampled(explained: pd.DataFrame) -> str:
    few = explained.groupby(["ppo", "index"], sort=True).head(1).sort_values(["ppo", "index"])
    columns = ["customer_id", "monthly_charges", "ppo", "index", "why"]
    rows = few[columns].astype(str).to_numpy().tolist()
    return (
        heading("Decisions, explained")
        + paragraph(
            f"The {len(explained):,} decisions are in policy_decisions.csv. They are about "
            f"{explained['customer_id'].nunique():,} Telco customers; each copy of one has other lent facts. "
            "Here one of each kind."
        )
        + table("One of each pair of decisions", ["customer", "bill", "ppo", "index", "why"], rows)
    )


def otherwise(moved: Sequence[Moved]) -> str:
    rows = [
        [
            each.name,
            each.value,
            f"{each.contacted:.1%}",
            f"{each.discount:.1%}",
            f"{each.price:.2f}",
            f"{each.same:.1%}",
            shown(each.share),
        ]
        for each in moved
    ]
    head = ["assumption", "is", "contacted", "mean discount", "price", "same decisions", "ppo, of this world's bound"]
    return (
        heading("If an assumption is wrong")
        + paragraph(
            f"The money of the {EXPLAINED:.0%} budget, in worlds that differ in one thing. What the optimum of that "
            "world does on the first day; and what the served network, which knows nothing of it, reaches of it."
        )
        + table("Sensitivity", head, rows)
    )


def foot(record: Record) -> str:
    rates = [
        f"{name}: {value:,.0f} steps a second" if value is not None else f"{name}: {UNMEASURED}"
        for name, value in (
            ("Ours", record.rivals.get("train_steps_per_second", record.metrics["train_steps_per_second"])),
            ("Stable-Baselines3's PPO at the same settings", record.rivals.get("sb3_steps_per_second")),
            ("Stable-Baselines3's PPO with its defaults", record.rivals.get("sb3_defaults_steps_per_second")),
        )
    ]
    return heading("How fast it learns, and how the numbers are made") + points(
        [*rates, "Made by: make eval-policy, from the trained network and its training.json, and from rivals.json."]
    )

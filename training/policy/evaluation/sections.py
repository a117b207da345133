"""The sections of the page about the policies: charts and tables of the results."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from shared.messages import OFFERS
from training.policy.evaluation import charts
from training.policy.evaluation.assess import FIXED_PRICE_INDEX, REPORT_BUDGET, SERVED, Evaluation
from training.policy.evaluation.benchmark import BUDGETS
from training.policy.evaluation.explain import target_groups
from training.policy.evaluation.sensitivity import SensitivityResult
from training.report.page import bullet_list, figures, format_estimate, heading, paragraph, table
from training.statistics import Estimate

NUMBER_FORMAT = ",.3f"
NOT_MEASURED = "not measured (run make compare-policy)"
METRIC_TITLES = {
    "utilisation": "budget utilisation",
    "nrr": "net revenue retention",
    "roi": "ROI",
    "contact_rate": "customers contacted",
    **{f"contacts_{level}": f"contacts, {percent} %" for level, percent in enumerate(OFFERS)},
    "refused": "refused",
    "violations": "violations",
}


POLICY_DESCRIPTIONS = {
    "ppo": "the trained network; its shadow price is the one at which the forecast spend uses up the budget",
    "index": "optimal for each customer alone, at a shadow price that is solved again each day",
    FIXED_PRICE_INDEX: "the index policy at the shadow price of the first day",
    "never": "contacts nobody",
    "random_legal": "no contact or any discount, at random among what the rules allow",
    "top_risk": "the highest discount, in order of churn risk",
    "threshold": "one discount, where risk × acceptance × bill is above a threshold that was tuned for the budget",
    "myopic": "the discount with the most incremental value per unit of spend, in the order of that ratio",
    "one_step": "the service's baseline: the discount with the highest expected value of a single contact, if any",
}
ASSUMPTION_DESCRIPTIONS = {
    "effect": "share of the churn hazard that an accepted offer removes",
    "held_days": "days for which an accepted offer has its effect, by level",
    "annoyance": "share of the churn hazard that each contact adds",
    "risk_days": "period of the predicted churn risk, in days",
    "contact_cost": "cost of a message",
    "value_days": "days whose bills count as value",
    "lent bank facts": "bank facts that are combined with the Telco customers",
    "true hazard": "actual churn hazard",
}


class Measurements(NamedTuple):
    """Results of other commands."""

    training: Mapping[str, Any]
    """training.json: the history of every run, the training budgets and the bound."""
    metrics: Mapping[str, float]
    """Metrics of the policy's manifest."""
    benchmarks: Mapping[str, Any]
    """rivals.json: other PPO implementations; empty if they were not run."""


def format_metric(metrics: Mapping[str, Estimate], name: str) -> str:
    """The metric with its interval; counts have none. Empty if it was not measured."""
    if name.startswith(("contacts", "refused", "violations")):
        return f"{metrics[name].mean:,.0f}"
    return format_estimate(metrics[name], NUMBER_FORMAT) if name in metrics else ""


def baselines_section(evaluation: Evaluation) -> str:
    policies = [*next(iter(evaluation.results.values()))]
    shares = {
        policy: {str(budget): metrics[policy]["share_of_bound"] for budget, metrics in evaluation.metrics.items()}
        for policy in policies
    }
    rows = [
        [policy, *(format_estimate(shares[policy][str(budget)], NUMBER_FORMAT) for budget in evaluation.metrics)]
        for policy in policies
    ]
    leads = [
        f"At a budget of {budget:.0%}: {policy} less the best baseline, {evaluation.best_baselines[budget]}: "
        f"{format_estimate(difference, NUMBER_FORMAT)} of the bound."
        for budget, differences in evaluation.differences.items()
        for policy, difference in differences.items()
    ]
    details = [
        table(
            f"At a budget of {budget:.0%}; counts are means of a campaign",
            ["policy", *METRIC_TITLES.values()],
            [[policy, *(format_metric(metrics[policy], metric) for metric in METRIC_TITLES)] for policy in policies],
        )
        for budget, metrics in evaluation.metrics.items()
    ]
    caption = "Share of the bound, by policy and budget. Green: policies that the service can run."
    campaigns = len(evaluation.results[REPORT_BUDGET]["ppo"].campaigns)
    return (
        heading("Comparison with the baselines")
        + paragraph(
            f"Every policy runs the same {campaigns} simulated campaigns, with the same customers and random numbers. "
            "Brackets hold the 95 % interval over campaigns. The policies:"
        )
        + bullet_list(f"{policy}: {POLICY_DESCRIPTIONS[policy]}" for policy in policies)
        + figures([(charts.shares_chart(shares, SERVED), caption)])
        + table("Share of the bound", ["policy", *(f"at {budget:.0%}" for budget in evaluation.metrics)], rows)
        + bullet_list(leads)
        + paragraph(
            "Net revenue retention: bills paid in the campaign, less discounts, over the bills of all customers if "
            "none churned. ROI: incremental value over contacting nobody, within a year and after costs, over the cost "
            "of discounts and messages. Refused: contacts that the policy chose and the budget did not cover."
        )
        + "".join(details)
    )


def training_section(measurements: Measurements) -> str:
    training = measurements.training
    [gradient_ascent], [unmasked] = training["gradient_ascent"], training["unmasked"]
    kind, seed = (training["chosen"][key] for key in ("kind", "seed"))
    chosen = next(run for run in training[kind] if run["seed"] == seed)
    drawings = [
        (
            charts.learning_chart(training),
            "Learning curves: incremental value per customer and campaign, by seed, as a share of the bound. "
            "Above 100% a budget is overspent.",
        ),
        (
            charts.price_chart(chosen, training["budgets"], "PID control"),
            "Lagrange multipliers of the budgets during training: one shadow price for each budget.",
        ),
        (
            charts.price_chart(gradient_ascent, training["budgets"], "gradient ascent"),
            "The same by plain gradient ascent.",
        ),
        (charts.fatigue_chart(unmasked), "Lagrange multiplier of ineligible contacts, in a run without action mask."),
    ]
    rows = [
        [f"{kind}, seed {run['seed']}", f"{run['seconds']:.0f}", f"{run['steps']:,}"]
        + [f"{run['shares'][str(budget)]:.3f}" for budget in BUDGETS]
        for kind in ("scratch", "warm", "gradient_ascent", "unmasked")
        for run in training[kind]
    ]
    header = ["run", "seconds", "steps", *(f"at {budget:.0%}" for budget in BUDGETS)]
    caption = (
        "Share of the bound on held-out customers, by run; "
        "gradient_ascent and unmasked: one seed, a third of the updates"
    )
    return heading("Training") + figures(drawings) + diagnostics(chosen) + table(caption, header, rows)


def diagnostics(run: charts.Run) -> str:
    """PPO's approximate KL, clip fraction, explained variance and entropy by update, if the run recorded them."""
    if not charts.has_diagnostics(run):
        titles = ", ".join(charts.DIAGNOSTICS.values())
        return paragraph(f"This run did not record PPO's diagnostics ({titles}): make train-policy records them.")
    return figures([(charts.diagnostics_chart(run), "PPO's diagnostics by update, in the run of the served policy.")])


def service_section(evaluation: Evaluation) -> str:
    drawings = [
        (
            charts.pacing_chart(run, f"at a budget of {budget:.0%}"),
            f"Cumulative spend against the pacing plan, and shadow price, at {budget:.0%}.",
        )
        for budget, run in evaluation.service_runs.items()
    ]
    rows = [
        [
            f"at {budget:.0%}",
            f"{run.decisions:,}",
            f"{run.budget:,.2f}",
            f"{run.peak_used:,.2f}",
            f"{run.utilisation:.1%}",
            str(sum(run.violations.values())),
            f"{run.incremental_value:,.0f}",
            f"{evaluation.service_share_of_bound(budget):.3f}",
        ]
        for budget, run in evaluation.service_runs.items()
    ]
    header = ["budget", "decisions", "budget, money", "peak of reserved and spent", "utilisation", "violations"]
    header += ["incremental value", "share of the bound"]
    return (
        heading("Through the service")
        + paragraph(
            "The policy service's own handlers, gate, ledger and pacing decide about every customer each day of a "
            "campaign. Reserved and spent money and violations of the rules are counted from outside the service."
        )
        + figures(drawings)
        + table("ppo, through the service", header, rows)
    )


def targeting_section(evaluation: Evaluation) -> str:
    rows = [
        [
            name,
            f"{group.contacts:,}",
            f"{group.overlap:.0%}",
            f"{group.churn_risk:.1%}",
            f"{group.incremental_value:.2f}",
            f"{group.spend:.2f}",
            f"{group.share_of_ppo:.0%}",
        ]
        for name, group in target_groups(evaluation.first_day).items()
    ]
    header = ["target group", "contacts", "share contacted by ppo too", "mean churn risk", "value per contact"]
    header += ["spend per contact", "total value"]
    drawings = [
        (
            charts.targeting_chart(evaluation.first_day),
            "Probability that the network contacts a customer, by churn risk and bill, in percent.",
        ),
        (charts.lift_chart(evaluation.first_day), "Contact rate in each risk decile, over that of all customers."),
    ]
    return (
        heading("Whom the policy contacts")
        + paragraph(
            f"The first day of a campaign, at the shadow price of the {REPORT_BUDGET:.0%} budget, "
            f"{evaluation.first_day.price:.2f}. As the budget is scarce, rankings are compared at the same expected "
            "spend, too. Values are incremental, of one contact per customer."
        )
        + figures(drawings)
        + table("Target groups; total value as a share of ppo's", header, rows)
    )


def decisions_section(decisions: pd.DataFrame) -> str:
    examples = decisions.groupby(["ppo", "index"], sort=True).head(1).sort_values(["ppo", "index"])
    columns = ["customer_id", "monthly_charges", "ppo", "index", "why"]
    rows = examples[columns].astype(str).to_numpy().tolist()
    return (
        heading("Decisions, explained")
        + paragraph(
            f"The {len(decisions):,} decisions are in policy_decisions.csv. They are about "
            f"{decisions['customer_id'].nunique():,} Telco customers; each copy of one has other bank facts. "
            "The table has one example of each pair of decisions by the network and the index policy."
        )
        + table("Examples", ["customer", "bill", "ppo", "index", "explanation"], rows)
    )


def sensitivity_section(results: Sequence[SensitivityResult]) -> str:
    rows = [
        [
            ASSUMPTION_DESCRIPTIONS.get(result.name, result.name),
            result.value,
            f"{result.contact_rate:.1%}",
            f"{result.mean_discount:.1%}",
            f"{result.price:.2f}",
            f"{result.agreement:.1%}",
            format_estimate(result.share_of_bound, NUMBER_FORMAT),
        ]
        for result in results
    ]
    header = [
        "assumption",
        "value",
        "contacted",
        "mean discount",
        "shadow price",
        "same decisions",
        "ppo, of the bound",
    ]
    return (
        heading("Sensitivity to the assumptions")
        + paragraph(
            f"The money of the {REPORT_BUDGET:.0%} budget, in simulations with one assumption changed. Contacted, mean "
            "discount, shadow price and same decisions describe the policy that is optimal there, on the first day. "
            "The last column is what the served network, trained on the original assumptions, reaches of the bound."
        )
        + table("Sensitivity", header, rows)
    )


def speed_section(measurements: Measurements) -> str:
    benchmarks, trained = measurements.benchmarks, measurements.metrics
    speeds = {
        "This project's PPO": benchmarks.get("train_steps_per_second", trained["train_steps_per_second"]),
        "Stable-Baselines3's PPO at the same settings": benchmarks.get("sb3_steps_per_second"),
        "Stable-Baselines3's PPO with its defaults": benchmarks.get("sb3_defaults_steps_per_second"),
    }
    rates = [
        f"{name}: {NOT_MEASURED if speed is None else f'{speed:,.0f} steps a second'}" for name, speed in speeds.items()
    ]
    source = "Made by make eval-policy, from the trained network, its training.json, and rivals.json."
    return heading("Training speed, and how the figures are made") + bullet_list([*rates, source])

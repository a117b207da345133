"""The charts of the report on the policies."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from services.policy.budget.pacing import planned_share
from training.policy.evaluation.explain import FirstDay, deciles
from training.policy.simulation.campaign import NO_CONTACT
from training.policy.simulation.service import ServiceRun
from training.report.charts import BLUE, GREEN, GREY, ORANGE, PERCENT, TALL_HEIGHT, WIDTH, new_figure, styled, svg
from training.statistics import Estimate

Run = Mapping[str, Any]
"""A training run in training.json."""
POINT_FIELDS = ("seconds", "steps", "incremental_value", "fatigue_price", "prices", "utilisation")
"""Fields of a point of a run's history, in their order."""
DIAGNOSTICS = {
    "approx_kl": "approximate KL",
    "clip_fraction": "clip fraction",
    "explained_variance": "explained variance",
    "entropy": "entropy",
}
"""Titles of the diagnostics of PPO's updates, by their keys in training.json."""
NUM_BILL_GROUPS = 5


def history(run: Run, field: str) -> np.ndarray:
    """One of POINT_FIELDS over the run: [points], or [points, budgets]."""
    return np.array([point[POINT_FIELDS.index(field)] for point in run["points"]])


def has_diagnostics(run: Run) -> bool:
    """Whether the run recorded all diagnostics; older ones did not."""
    updates = run.get("diagnostics", [])
    return bool(updates) and all(DIAGNOSTICS.keys() <= update.keys() for update in updates)


@styled
def learning_chart(training: Mapping[str, Any]) -> str:
    """Incremental value over seconds of training, a line for each seed."""
    figure, axes = new_figure()
    medians = []
    for kind, title, colour in (("scratch", "from scratch", BLUE), ("warm", "warm start", ORANGE)):
        shares = [history(run, "incremental_value") / training["bound_gain"] for run in training[kind]]
        for index, (run, share) in enumerate(zip(training[kind], shares, strict=True)):
            label = title if index == 0 else None
            axes.plot(history(run, "seconds"), share, color=colour, linewidth=1, label=label)
        medians.append(f"{title} ends at {np.median([share[-1] for share in shares]):.0%}")
    axes.set(xlabel="seconds", ylabel="value, as a share of the bound", ylim=(0, None))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")
    axes.legend(loc="lower right")
    return svg(figure, f"Learning curves, a line for each seed; the median {', and '.join(medians)} of the bound.")


@styled
def price_chart(run: Run, budgets: Sequence[float], controller: str) -> str:
    """The Lagrange multipliers of the budgets."""
    figure, axes = new_figure()
    seconds, prices = history(run, "seconds"), history(run, "prices")
    for index, budget in enumerate(budgets):
        line = axes.plot(seconds, prices[:, index], color=BLUE, alpha=1 - 0.8 * index / len(budgets))[0]
        axes.annotate(f"{budget:.0%}", (seconds[-1], prices[-1, index]), fontsize=8, color=line.get_color())
    axes.set(xlabel="seconds", ylabel="shadow price of the budget", ylim=(0, None))
    axes.grid(axis="y")
    label = f"Shadow prices of the budgets during training, by {controller}; at the end"
    return svg(figure, f"{label} {prices[-1].min():.1f} to {prices[-1].max():.1f}.")


@styled
def fatigue_chart(run: Run) -> str:
    """The Lagrange multiplier of ineligible contacts in a run without action mask."""
    figure, axes = new_figure()
    prices = history(run, "fatigue_price")
    axes.plot(history(run, "seconds"), prices, color=BLUE)
    axes.set(xlabel="seconds", ylabel="price of an ineligible contact", ylim=(0, None))
    axes.grid(axis="y")
    return svg(figure, f"Price of an ineligible contact in training without action mask: {prices[-1]:.2f} at the end.")


@styled
def diagnostics_chart(run: Run) -> str:
    """PPO's diagnostics by update. The history may leave out some updates."""
    figure = Figure((WIDTH, TALL_HEIGHT), layout="constrained")
    steps = history(run, "steps")
    updates = steps / steps[0]
    ends = []
    for axes, (key, title) in zip(figure.subplots(4, 1, sharex=True), DIAGNOSTICS.items(), strict=True):
        values = [update[key] for update in run["diagnostics"]]
        axes.plot(updates, values, color=BLUE, linewidth=1)
        axes.set_title(title, fontsize=9, loc="left")
        axes.grid(axis="y")
        ends.append(f"{title} {values[-1]:.3g}")
    axes.set(xlabel="update")
    return svg(figure, f"PPO's diagnostics by update; at the end {', '.join(ends)}.")


@styled
def pacing_chart(run: ServiceRun, title: str) -> str:
    """Cumulative spend against the pacing plan, and the shadow price below."""
    figure = Figure((WIDTH, TALL_HEIGHT), layout="constrained")
    spend_axes, price_axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    days = np.arange(1, len(run.spend_by_day) + 1)
    planned = [planned_share(day / len(days)) for day in days]
    spend_axes.plot(days, planned, color=GREY, linewidth=1, label="plan")
    spend_axes.plot(days, np.array(run.spend_by_day) / run.budget, color=BLUE, label="spent")
    spend_axes.yaxis.set_major_formatter(PERCENT)
    spend_axes.set(ylabel="share of the budget", ylim=(0, 1.05))
    spend_axes.legend(loc="upper left")
    price_axes.plot(days, run.prices, color=ORANGE)
    price_axes.set(xlabel="day", ylabel="price", ylim=(0, None))
    return svg(figure, f"Spend against the pacing plan, {title}: {run.utilisation:.1%} of the budget by the end.")


@styled
def targeting_chart(day: FirstDay) -> str:
    """The network's contact probability by risk decile and bill quintile."""
    figure, axes = new_figure()
    risk = deciles(day.churn_risk) - 1
    bill = NUM_BILL_GROUPS - 1 - (deciles(day.customers.bill) - 1) * NUM_BILL_GROUPS // 10
    cells = np.array(
        [[_mean(day.contact_probability[(risk == x) & (bill == y)]) for x in range(10)] for y in range(NUM_BILL_GROUPS)]
    )
    image = axes.imshow(cells, origin="lower", aspect="auto", cmap="viridis", vmin=0)
    for (y, x), value in np.ndenumerate(cells):
        if not np.isnan(value):
            colour = "white" if value < 0.6 * np.nanmax(cells) else "#222222"
            axes.text(x, y, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(10), [str(decile) for decile in range(1, 11)])
    axes.set_yticks(range(NUM_BILL_GROUPS), ["lowest", "", "middle", "", "highest"])
    axes.set(xlabel="risk decile, highest risk first", ylabel="bill quintile")
    figure.colorbar(image, ax=axes, format=PERCENT, shrink=0.8)
    return svg(
        figure, f"Contact probability by churn risk and bill, in percent; the largest is {np.nanmax(cells):.0%}."
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


@styled
def lift_chart(day: FirstDay) -> str:
    """The network's contact rate in each risk decile, over that of all customers."""
    figure, axes = new_figure()
    decile, contacted = deciles(day.churn_risk), day.ppo_level > NO_CONTACT
    lifts = np.array([_mean(contacted[decile == number]) for number in range(1, 11)]) / contacted.mean()
    axes.bar_label(axes.bar(range(1, 11), lifts, 0.75, color=BLUE), fmt="%.1f", padding=2)
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set(xlabel="risk decile, highest risk first", ylabel="lift of the contact rate")
    axes.set_xticks(range(1, 11))
    label = f"Lift of the contact rate by risk decile: {lifts[0]:.1f} in the first, {lifts.max():.1f} at most."
    return svg(figure, label)


@styled
def shares_chart(shares: Mapping[str, Mapping[str, Estimate]], served: Sequence[str]) -> str:
    """Share of the bound by policy and budget; green for the policies in `served`."""
    figure, axes = new_figure(0.8 + 0.45 * len(shares))
    policies = [*shares][::-1]
    for index, budget in enumerate(shares[policies[0]]):
        means = np.array([shares[policy][budget].mean for policy in policies])
        colours = [GREEN if policy in served else GREY for policy in policies]
        positions = np.arange(len(policies)) + 0.27 * (1 - index)
        bars = axes.barh(positions, means, 0.25, color=colours)
        labels = [f"{round(100 * mean)} % at {float(budget):.0%}" for mean in means]
        axes.bar_label(bars, labels, fontsize=7, padding=2)
    axes.set_yticks(range(len(policies)), policies)
    axes.xaxis.set_major_formatter(PERCENT)
    axes.margins(x=0.25)
    axes.set(xlabel="share of the bound")
    return svg(figure, "Share of the bound of each policy at each budget; the table below has the figures.")

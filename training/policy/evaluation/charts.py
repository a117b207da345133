"""The charts of the report on the policies."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from services.policy.budget.pacing import planned_share
from training.policy.evaluation.explain import Day, tenths
from training.policy.simulation.campaign import NO_CONTACT
from training.policy.simulation.service import ServiceRun
from training.report.charts import BLUE, GREEN, GREY, ORANGE, PERCENT, TALL, WIDTH, canvas, styled, svg
from training.statistics import Estimate

Run = Mapping[str, Any]
"""A training run, as training.json has it."""
FIFTHS = 5


def column(run: Run, number: int) -> np.ndarray:
    """Of the points: seconds, steps, gain, price of fatigue, prices, used."""
    return np.array([point[number] for point in run["points"]])


@styled
def learning_chart(training: Mapping[str, Any]) -> str:
    figure, axes = canvas()
    ends = []
    for name, title, colour in (("scratch", "from scratch", BLUE), ("warm", "warm start", ORANGE)):
        for number, run in enumerate(training[name]):
            share = column(run, 2) / training["bound_gain"]
            axes.plot(column(run, 0), share, color=colour, linewidth=1, label=title if number == 0 else None)
        ends.append(
            f"{title} ends at {np.median([column(run, 2)[-1] for run in training[name]]) / training['bound_gain']:.0%}"
        )
    axes.set(xlabel="seconds", ylabel="gain, of the dynamic program's", ylim=(0, None))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")
    axes.legend(loc="lower right")
    return svg(figure, f"Learning curves, a line for each seed: in the median {'; '.join(ends)}.")


@styled
def price_chart(run: Run, budgets: Sequence[float], name: str) -> str:
    """The multipliers of the budgets."""
    figure, axes = canvas()
    prices = column(run, 4)
    for number, budget in enumerate(budgets):
        line = axes.plot(column(run, 0), prices[:, number], color=BLUE, alpha=1 - 0.8 * number / len(budgets))[0]
        axes.annotate(f"{budget:.0%}", (column(run, 0)[-1], prices[-1, number]), fontsize=8, color=line.get_color())
    axes.set(xlabel="seconds", ylabel="price of money", ylim=(0, None))
    axes.grid(axis="y")
    return svg(figure, f"Prices of money over training, {name}, from {prices[-1].min():.1f} to {prices[-1].max():.1f}.")


@styled
def fatigue_chart(run: Run) -> str:
    """The multiplier of forbidden contacts, where nothing is masked."""
    figure, axes = canvas()
    axes.plot(column(run, 0), column(run, 3), color=BLUE)
    axes.set(xlabel="seconds", ylabel="price of a forbidden contact", ylim=(0, None))
    axes.grid(axis="y")
    return svg(figure, f"Price of a forbidden contact over training without a mask: {column(run, 3)[-1]:.2f} at last.")


@styled
def pace_chart(lived: ServiceRun, title: str) -> str:
    figure = Figure((WIDTH, TALL), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    days = np.arange(1, len(lived.spend_by_day) + 1)
    axes.plot(days, [planned_share(day / len(days)) for day in days], color=GREY, linewidth=1, label="calendar")
    axes.plot(days, np.array(lived.spend_by_day) / lived.budget, color=BLUE, label="spent")
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set(ylabel="of the budget", ylim=(0, 1.05))
    axes.legend(loc="upper left")
    below.plot(days, lived.prices, color=ORANGE)
    below.set(xlabel="day", ylabel="price", ylim=(0, None))
    return svg(figure, f"Spend against pace, {title}: {lived.utilisation:.1%} of the budget by the end.")


@styled
def targets_chart(day: Day) -> str:
    """P(contact) by the network, over tenths of risk and fifths of the bill."""
    figure, axes = canvas()
    risk = tenths(day.risk) - 1
    bill = FIFTHS - 1 - (tenths(day.customers.bill) - 1) * FIFTHS // 10
    cells = np.array([[mean(day.probability[(risk == x) & (bill == y)]) for x in range(10)] for y in range(FIFTHS)])
    drawn = axes.imshow(cells, origin="lower", aspect="auto", cmap="viridis", vmin=0)
    for (y, x), value in np.ndenumerate(cells):
        if not np.isnan(value):
            dark = value < 0.6 * np.nanmax(cells)
            axes.text(
                x, y, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color="white" if dark else "#222222"
            )
    axes.set_xticks(range(10), [str(number + 1) for number in range(10)])
    axes.set_yticks(range(FIFTHS), ["lowest", "", "middle", "", "highest"])
    axes.set(xlabel="tenth by risk, riskiest first", ylabel="fifth by bill")
    figure.colorbar(drawn, ax=axes, format=PERCENT, shrink=0.8)
    return svg(figure, f"Probability of contact by risk and bill, in percent; the largest is {np.nanmax(cells):.0%}.")


def mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


@styled
def lift_chart(day: Day) -> str:
    """By tenth of risk: how many the network contacts, and what the best contact gains."""
    figure, axes = canvas()
    tenth = tenths(day.risk)
    contacted = np.array([mean(day.ppo[tenth == number] > NO_CONTACT) for number in range(1, 11)])
    lifts = contacted / (day.ppo > NO_CONTACT).mean()
    axes.bar_label(axes.bar(range(1, 11), lifts, 0.75, color=BLUE), fmt="%.1f", padding=2)
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set(xlabel="tenth by risk, riskiest first", ylabel="lift of being contacted")
    axes.set_xticks(range(1, 11))
    return svg(
        figure, f"Lift of being contacted by tenth of risk: {lifts[0]:.1f} in the riskiest, {lifts.max():.1f} at most."
    )


@styled
def shares_chart(shares: Mapping[str, Mapping[str, Estimate]], served: Sequence[str]) -> str:
    """By policy and budget, of the bound; `served` in another colour."""
    figure, axes = canvas(0.8 + 0.45 * len(shares))
    names = [*shares][::-1]
    for number, budget in enumerate(shares[names[0]]):
        means = np.array([shares[name][budget].mean for name in names])
        colours = [GREEN if name in served else GREY for name in names]
        at = np.arange(len(names)) + 0.27 * (1 - number)
        bars = axes.barh(at, means, 0.25, color=colours)
        axes.bar_label(bars, [f"{round(100 * x)} % at {float(budget):.0%}" for x in means], fontsize=7, padding=2)
    axes.set_yticks(range(len(names)), names)
    axes.xaxis.set_major_formatter(PERCENT)
    axes.margins(x=0.25)
    axes.set(xlabel="of the bound")
    return svg(figure, "Share of the bound of each policy at each budget; the figures are in the table below.")

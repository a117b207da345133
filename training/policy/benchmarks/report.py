"""What the comparison says, for machines: reports/rivals.json."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from services.policy.response.model import Customers
from training.policy.benchmarks.judge import Point, Value, best
from training.statistics import interval_over_seeds

ENOUGH = 0.8
"""Of what the dynamic program has."""


class Outcome(NamedTuple):
    """Of a run."""

    name: str
    price: float
    seed: int
    points: list[Point]

    def share(self, point: Point, optimum: Value) -> float:
        """Of the optimum's, after the price; greedy or drawn, as the learner does better: the same for all."""
        return max(value.priced(self.price) for value in point[2:]) / optimum.priced(self.price)


def summary(held_out: Customers, pace: dict[str, list[float]], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    rates = {name: max(found) for name, found in pace.items()}  # the others were disturbed
    learners = {each.name for each in outcomes}
    optima = {price: best(held_out, price) for price in sorted({each.price for each in outcomes})}
    return {
        "train_steps_per_second": rates["ours"],
        "sb3_steps_per_second": rates["sb3"],
        "sb3_defaults_steps_per_second": rates["sb3_defaults"],
        "over_sb3": rates["ours"] / rates["sb3"],
        "over_sb3_defaults": rates["ours"] / rates["sb3_defaults"],
        "steps_per_second": pace,
        "learnt": {
            f"price {price}": {
                "optimum": optimum._asdict() | {"priced": optimum.priced(price)},
                **{
                    name: _learnt(
                        [each for each in outcomes if (each.name, each.price) == (name, price)], optimum, rate
                    )
                    for name, rate in rates.items()
                    if name in learners
                },
            }
            for price, optimum in optima.items()
        },
    }


def _learnt(runs: Sequence[Outcome], optimum: Value, rate: float) -> dict[str, Any]:
    """Money a customer's quarter; steps and seconds to 80 % are by seed, null where it was not reached."""
    ends = [run.points[-1] for run in runs]
    firsts = [next((p.steps for p in run.points if run.share(p, optimum) >= ENOUGH), None) for run in runs]
    return {
        "steps": [end.steps for end in ends],
        "share_of_optimum": interval_over_seeds([run.share(end, optimum) for run, end in zip(runs, ends, strict=True)]),
        "greedy": interval_over_seeds([end.greedy.priced(run.price) for run, end in zip(runs, ends, strict=True)]),
        "drawn": interval_over_seeds([end.drawn.priced(run.price) for run, end in zip(runs, ends, strict=True)]),
        "spend_greedy": interval_over_seeds([end.greedy.spend for end in ends]),
        "steps_to_80_percent": firsts,
        "seconds_to_80_percent": [None if first is None else first / rate for first in firsts],
        "curves": [[(point.steps, run.share(point, optimum)) for point in run.points] for run in runs],
    }

"""The results of the comparison, as written to reports/rivals.json.

Keys of that file: `learnt` holds the results of training by price, `priced` is a net value (incremental value less
price · spend), `greedy` and `drawn` are net values with the most probable and with sampled actions.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.policy.response.model import Customers
from training.policy.benchmarks.evaluation import CampaignValue, CurvePoint, optimum
from training.statistics import interval_over_seeds

TARGET_SHARE = 0.8
"""Share of the optimum; the report has the steps and seconds until a learner reaches it."""


class TrainingResult(NamedTuple):
    learner: str
    price: float
    seed: int
    points: list[CurvePoint]

    def share_of_optimum(self, point: CurvePoint, optimal: CampaignValue) -> float:
        """Share of the optimal net value: with greedy or sampled actions, whichever is better, for every learner."""
        values = point.greedy, point.sampled
        return max(value.net(self.price) for value in values) / optimal.net(self.price)


def summary(
    held_out: Customers, steps_per_second: Mapping[str, Sequence[float]], results: Sequence[TrainingResult]
) -> dict[str, Any]:
    """The content of the report; `steps_per_second` has several measurements of each learner."""
    rates = {
        learner: max(measured) for learner, measured in steps_per_second.items()
    }  # the slower ones were slowed by other load
    trained = {result.learner for result in results}
    optima = {price: optimum(held_out, price) for price in sorted({result.price for result in results})}
    return {
        "train_steps_per_second": rates["ours"],
        "sb3_steps_per_second": rates["sb3"],
        "sb3_defaults_steps_per_second": rates["sb3_defaults"],
        "over_sb3": rates["ours"] / rates["sb3"],
        "over_sb3_defaults": rates["ours"] / rates["sb3_defaults"],
        "steps_per_second": steps_per_second,
        "learnt": {
            f"price {price}": {
                "optimum": {"gain": optimal.incremental, "spend": optimal.spend, "priced": optimal.net(price)},
                **{
                    learner: _learner_summary(
                        [result for result in results if (result.learner, result.price) == (learner, price)],
                        optimal,
                        rate,
                    )
                    for learner, rate in rates.items()
                    if learner in trained
                },
            }
            for price, optimal in optima.items()
        },
    }


def _learner_summary(results: Sequence[TrainingResult], optimal: CampaignValue, rate: float) -> dict[str, Any]:
    """Money per customer and campaign. Steps and seconds to 80 % of the optimum by seed, null if it was not reached."""
    last_points = [(result, result.points[-1]) for result in results]
    steps_to_target = [
        next((point.steps for point in result.points if result.share_of_optimum(point, optimal) >= TARGET_SHARE), None)
        for result in results
    ]
    return {
        "steps": [last.steps for _, last in last_points],
        "share_of_optimum": interval_over_seeds(
            [result.share_of_optimum(last, optimal) for result, last in last_points]
        ),
        "greedy": interval_over_seeds([last.greedy.net(result.price) for result, last in last_points]),
        "drawn": interval_over_seeds([last.sampled.net(result.price) for result, last in last_points]),
        "spend_greedy": interval_over_seeds([last.greedy.spend for _, last in last_points]),
        "steps_to_80_percent": steps_to_target,
        "seconds_to_80_percent": [None if steps is None else steps / rate for steps in steps_to_target],
        "curves": [
            [(point.steps, result.share_of_optimum(point, optimal)) for point in result.points] for result in results
        ],
    }

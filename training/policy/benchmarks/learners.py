"""Who is compared, and a run of one of them."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from services.policy.response.model import Customers
from training.policy.benchmarks import stable
from training.policy.benchmarks.judge import Curve
from training.policy.benchmarks.lagrangian import lagrangian
from training.policy.benchmarks.ours import every_price, ours
from training.policy.benchmarks.people import People
from training.policy.benchmarks.report import Outcome

Learner = Callable[[Customers, Curve, int, int, float], None]
LEARNERS: dict[str, Learner] = {
    "ours": ours,
    "ours_every_price": every_price,
    "sb3": stable.EQUAL,
    "sb3_masked": stable.MASKED,
    "sb3_defaults": stable.DEFAULTS,
    "fsrl_ppo_lagrangian": lagrangian,
}
POINTS = 16
"""How often each is judged."""


class Run(NamedTuple):
    name: str
    price: float
    seed: int


def outcome(run: Run, people: People, steps: int) -> Outcome:
    torch.set_num_threads(1)
    curve = Curve(people.held_out, run.price, steps // POINTS)
    LEARNERS[run.name](people.training, curve, steps, run.seed, run.price)
    return Outcome(*run, curve.points)

"""The learners of the comparison, and a training run of one of them."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from services.policy.response.model import Customers
from training.policy.benchmarks import project_ppo, stable_baselines
from training.policy.benchmarks.customers import CustomerSplits
from training.policy.benchmarks.evaluation import LearningCurve
from training.policy.benchmarks.fsrl_ppo_lagrangian import train_fsrl
from training.policy.benchmarks.report import TrainingResult

Learner = Callable[[Customers, LearningCurve, int, int, float], None]
"""Trains on customers for a number of steps, with a seed and a shadow price, and records its learning curve."""
LEARNERS: dict[str, Learner] = {
    "ours": project_ppo.train_at_price,
    "ours_every_price": project_ppo.train_over_budgets,
    "sb3": stable_baselines.SAME_SETTINGS,
    "sb3_masked": stable_baselines.MASKED,
    "sb3_defaults": stable_baselines.DEFAULTS,
    "fsrl_ppo_lagrangian": train_fsrl,
}
NUM_EVALUATIONS = 16
"""Number of points of a learning curve."""


class Run(NamedTuple):
    learner: str
    price: float
    seed: int


def train(run: Run, customers: CustomerSplits, steps: int) -> TrainingResult:
    torch.set_num_threads(1)
    curve = LearningCurve(customers.held_out, run.price, steps // NUM_EVALUATIONS)
    LEARNERS[run.learner](customers.training, curve, steps, run.seed, run.price)
    return TrainingResult(*run, curve.points)

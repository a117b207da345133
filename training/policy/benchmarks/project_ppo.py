"""This project's own PPO as a benchmark learner."""

import numpy as np
import torch

from services.policy.response.model import Customers
from training.policy.benchmarks.evaluation import Act, LearningCurve
from training.policy.lagrangian import PID
from training.policy.network import ActorCritic, sample
from training.policy.ppo import PPOArgs, Trainer


def act_function(network: ActorCritic, rng: np.random.Generator) -> Act:
    @torch.no_grad()  # type: ignore[untyped-decorator]
    def act(observations: np.ndarray, eligible: np.ndarray, greedy: bool) -> np.ndarray:
        heads = network(torch.from_numpy(observations), torch.from_numpy(eligible))
        if not greedy:
            return sample(heads, rng)
        return np.stack([head.numpy().argmax(axis=1) for head in heads[:3]], axis=1)

    return act


def train_over_budgets(customers: Customers, curve: LearningCurve, steps: int, seed: int, price: float) -> None:
    """Train with eight budgets, as the project does, for all prices at once; `price` is used in evaluation only."""
    _train(_trainer(customers, steps, seed), curve, seed)


def train_at_price(customers: Customers, curve: LearningCurve, steps: int, seed: int, price: float) -> None:
    """Train at one fixed price, as the other learners do."""
    trainer = _trainer(customers, steps, seed)
    prices = np.full(len(trainer.budgets), price)
    trainer.budget_multipliers = PID(prices, integral_gain=0, proportional_gain=0, derivative_gain=0)
    _train(trainer, curve, seed)


def _trainer(customers: Customers, steps: int, seed: int) -> Trainer:
    updates = steps // (PPOArgs.num_envs * PPOArgs.num_steps)
    return Trainer(PPOArgs(seed=seed, num_threads=1, max_seconds=float("inf"), num_updates=updates), customers)


def _train(trainer: Trainer, curve: LearningCurve, seed: int) -> None:
    act = act_function(trainer.network, np.random.default_rng(seed))
    curve.start()
    trainer.train(lambda metrics: curve.record(metrics.steps, act))

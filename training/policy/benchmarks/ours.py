"""The project's own PPO, as the judge wants it."""

import numpy as np
import torch

from services.policy.response.model import Customers
from training.policy.benchmarks.judge import Curve, Decide
from training.policy.lagrangian import PID
from training.policy.network import ActorCritic, sample
from training.policy.ppo import PPOArgs, Trainer


def deciding(network: ActorCritic, rng: np.random.Generator) -> Decide:
    @torch.no_grad()  # type: ignore[untyped-decorator]
    def decide(observations: np.ndarray, may: np.ndarray, greedy: bool) -> np.ndarray:
        heads = network(torch.from_numpy(observations), torch.from_numpy(may))
        if not greedy:
            return sample(heads, rng)
        return np.stack([choice.numpy().argmax(axis=1) for choice in heads[:3]], axis=1)

    return decide


def every_price(customers: Customers, curve: Curve, steps: int, seed: int, price: float) -> None:
    """As it is used: learns what to do at any price, from eight budgets; `price` is one that it was not told."""
    _learn(_trainer(customers, steps, seed), curve, seed)


def ours(customers: Customers, curve: Curve, steps: int, seed: int, price: float) -> None:
    """As its rivals: at one price, all the time."""
    trainer = _trainer(customers, steps, seed)
    trainer.budget_multipliers = PID(
        np.full(len(trainer.budgets), price), integral_gain=0, proportional_gain=0, derivative_gain=0
    )
    _learn(trainer, curve, seed)


def _trainer(customers: Customers, steps: int, seed: int) -> Trainer:
    updates = steps // (PPOArgs.num_envs * PPOArgs.num_steps)
    return Trainer(PPOArgs(seed=seed, num_threads=1, max_seconds=float("inf"), num_updates=updates), customers)


def _learn(trainer: Trainer, curve: Curve, seed: int) -> None:
    decide = deciding(trainer.network, np.random.default_rng(seed))
    curve.start()
    trainer.train(lambda point: curve.follow(point.steps, decide))

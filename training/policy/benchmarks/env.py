"""The environment of all learners: customers churn, and spend is charged at a fixed shadow price."""

from typing import NamedTuple

import numpy as np

from services.policy.response.model import Customers
from training.policy.simulation.vector_env import RetentionVectorEnv


class Step(NamedTuple):
    """A step of every customer, before new customers replace those who are done; arrays [n]."""

    rewards: np.ndarray
    """Expected incremental value less price · spend, in bills of the average customer."""
    costs: np.ndarray
    """Expected spend on discounts; money."""
    done: np.ndarray
    """Churned, or at the end of the campaign. Both are terminal: with truncation these learners reach less."""


class BenchmarkEnv:
    """`num_envs` customers at once, drawn from `customers`; the budget's shadow `price` is observed and charged."""

    def __init__(self, customers: Customers, num_envs: int, seed: int, price: float) -> None:
        self.env, self.num_envs = RetentionVectorEnv(customers, num_envs, np.random.default_rng(seed)), num_envs
        self.env.price, self.price, self.mean_bill = np.float32(price), price, float(customers.bill.mean())

    def observe(self) -> np.ndarray:
        """Observations [n, 9]."""
        return self.env.observe().T.copy()

    def eligible(self) -> np.ndarray:
        """Whether the gate's rules allow a contact [n]."""
        return self.env.eligible()

    def step(self, actions: np.ndarray) -> Step:
        """Take `actions` [n, 3]. Contacts that the gate forbids are not made."""
        contact = (actions[:, 0] > 0) & self.eligible()
        rows, (value, cost) = np.flatnonzero(contact), np.zeros((2, self.num_envs))
        value[rows], cost[rows] = self.env.incremental_value(rows, actions[rows, 1])
        transition = self.env.step(contact, actions[:, 1], actions[:, 2])
        return Step((value - self.price * cost) / self.mean_bill, cost, transition.done)

    def reset_done(self, done: np.ndarray) -> None:
        self.env.reset_done(done)

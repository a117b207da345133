"""The environment as public libraries want it: customers who leave, rewards after a fixed price, the gate outside."""

from typing import NamedTuple

import numpy as np

from services.policy.response.model import Customers
from training.policy.simulation.vector_env import RetentionVectorEnv


class Moved(NamedTuple):
    """After a step, each [n], before those who are done make room."""

    rewards: np.ndarray
    """Bills of the average customer, gained over doing nothing, expected; after the price of what was spent."""
    costs: np.ndarray
    """Money spent on discounts, expected."""
    done: np.ndarray
    """Who left, or whose quarter is over: an end for these learners, who do worse if told that it is a cut."""


class Episodes:
    """`number` customers at once, drawn from `customers`; `price` of money is charged and shown."""

    def __init__(self, customers: Customers, number: int, seed: int, price: float) -> None:
        self.many = RetentionVectorEnv(customers, number, np.random.default_rng(seed))
        self.many.price, self.price, self.bill = np.float32(price), price, float(customers.bill.mean())

    def observe(self) -> np.ndarray:
        """[n, 9]"""
        return self.many.observe().T.copy()

    def step(self, actions: np.ndarray) -> Moved:
        """`actions` [n, 3]. A contact that the gate forbids is none."""
        contact = (actions[:, 0] > 0) & self.many.eligible()
        who, gain, cost = np.flatnonzero(contact), *np.zeros((2, self.many.num_envs))
        gain[who], cost[who] = self.many.incremental_value(who, actions[who, 1])
        step = self.many.step(contact, actions[:, 1], actions[:, 2])
        return Moved((gain - self.price * cost) / self.bill, cost, step.done)

    def renew(self, done: np.ndarray) -> None:
        self.many.reset_done(done)

"""One judge for all: what a policy gains on each customer's quarter, and how that rises while it learns."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from services.policy.response.model import Customers
from training.policy.evaluation.bound import LagrangianBound
from training.policy.simulation.vector_env import RetentionVectorEnv

Decide = Callable[[np.ndarray, np.ndarray, bool], np.ndarray]
"""Actions [n, 3] of observations [n, 9] and whether each may be contacted [n]: the likeliest ones, or drawn."""


class Value(NamedTuple):
    """A customer's quarter, over doing nothing: money, expected."""

    gain: float
    """After what was spent; before the price of money."""
    spend: float

    def priced(self, price: float) -> float:
        """No policy has more than the dynamic program, whether it was taught this price or a budget."""
        return self.gain - price * self.spend


def value(decide: Decide, customers: Customers, price: float, greedy: bool = True, seed: int = 0) -> Value:
    """Each customer lives one quarter. Leaving and what is gained are expectations; luck is only in who accepts."""
    many = RetentionVectorEnv(customers, len(customers.bill), np.random.default_rng(seed), survival_weighted=True)
    many.accept[:], many.hazard[:], many.bill[:] = customers.accept.T, customers.hazard, customers.bill
    many.price, total = np.float32(price), np.zeros(2)
    while (going := many.day < many.rules.quarter).any():
        may = many.eligible() & going
        actions = decide(many.observe().T.copy(), may, greedy)
        contact = (actions[:, 0] > 0) & may
        who = np.flatnonzero(contact)
        total += np.stack(many.incremental_value(who, actions[who, 1])) @ np.exp(-many.state.cumulative_hazard[who])
        many.step(contact, actions[:, 1], actions[:, 2])
    return Value(*(total / many.num_envs).tolist())


def best(customers: Customers, price: float) -> Value:
    """What the dynamic program has, a customer's quarter."""
    dual, number = LagrangianBound(customers).at_price(price), len(customers.bill)
    return Value((dual.net_value + price * dual.spend) / number, dual.spend / number)


class Point(NamedTuple):
    steps: int
    seconds: float
    """Of training alone."""
    greedy: Value
    """If the likeliest actions are taken."""
    drawn: Value
    """If actions are drawn, as while learning."""


@dataclass
class Curve:
    """Follows a learner: judges what it would do every so many steps, with the clock stopped.

    The clock is the processor's: everybody has one thread, and what else the machine does meanwhile is not counted.
    """

    customers: Customers
    price: float
    every: int
    points: list[Point] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    """Of training alone, so far."""

    def start(self) -> None:
        self._resumed = time.process_time()

    def follow(self, steps: int, decide: Decide) -> None:
        """Called after each update, when so many steps were made in all."""
        self.seconds += time.process_time() - self._resumed
        due, self.steps = steps // self.every > self.steps // self.every, steps
        if due:
            found = (value(decide, self.customers, self.price, greedy) for greedy in (True, False))
            self.points.append(Point(steps, self.seconds, *found))
        self.start()

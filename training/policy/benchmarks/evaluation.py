"""The evaluation that every learner gets: the value of its policy per customer and campaign, and its learning curve."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from services.policy.response.model import Customers
from training.policy.bound import LagrangianBound
from training.policy.simulation.vector_env import RetentionVectorEnv

Act = Callable[[np.ndarray, np.ndarray, bool], np.ndarray]
"""Actions [n, 3] for observations [n, 9] and eligibility [n]: the likeliest ones if greedy, or sampled."""


class CampaignValue(NamedTuple):
    """Expected values per customer and campaign; money."""

    incremental: float
    """Gained over doing nothing, after spend and before the shadow price of the budget."""
    spend: float

    def net(self, price: float) -> float:
        """After the shadow price of the budget. No policy exceeds the dynamic program's, however it was trained."""
        return self.incremental - price * self.spend


def evaluate(act: Act, customers: Customers, price: float, greedy: bool = True, seed: int = 0) -> CampaignValue:
    """Run one campaign with each customer. Values are expectations over churn; only acceptance is sampled."""
    env = RetentionVectorEnv(customers, len(customers.bill), np.random.default_rng(seed), survival_weighted=True)
    env.accept[:], env.hazard[:], env.bill[:] = customers.accept.T, customers.hazard, customers.bill
    env.price, total = np.float32(price), np.zeros(2)
    while (running := env.day < env.rules.quarter).any():
        eligible = env.eligible() & running
        actions = act(env.observe().T.copy(), eligible, greedy)
        contact = (actions[:, 0] > 0) & eligible
        rows = np.flatnonzero(contact)
        survival = np.exp(-env.state.cumulative_hazard[rows])
        total += np.stack(env.incremental_value(rows, actions[rows, 1])) @ survival
        env.step(contact, actions[:, 1], actions[:, 2])
    return CampaignValue(*(total / env.num_envs).tolist())


def optimum(customers: Customers, price: float) -> CampaignValue:
    """Of the dynamic program at that price."""
    dual, number = LagrangianBound(customers).at_price(price), len(customers.bill)
    return CampaignValue((dual.net_value + price * dual.spend) / number, dual.spend / number)


class CurvePoint(NamedTuple):
    steps: int
    seconds: float
    """Of training alone."""
    greedy: CampaignValue
    """With the likeliest actions."""
    sampled: CampaignValue
    """With sampled actions, as in training."""


@dataclass
class LearningCurve:
    """Evaluates a learner at regular intervals, with the clock stopped.

    The clock is processor time: every learner has one thread, and the machine's other load does not count.
    """

    customers: Customers
    price: float
    interval: int
    """Steps between two evaluations."""
    points: list[CurvePoint] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    """Of training alone, so far."""

    def start(self) -> None:
        """Start the clock."""
        self._started = time.process_time()

    def record(self, steps: int, act: Act) -> None:
        """To be called after each update, with the total number of steps."""
        self.seconds += time.process_time() - self._started
        due, self.steps = steps // self.interval > self.steps // self.interval, steps
        if due:
            greedy, sampled = (evaluate(act, self.customers, self.price, greedy) for greedy in (True, False))
            self.points.append(CurvePoint(steps, self.seconds, greedy, sampled))
        self.start()

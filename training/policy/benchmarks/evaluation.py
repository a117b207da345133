"""The evaluation of every learner: the value of its policy per customer and campaign, and its learning curve."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from services.policy.response.model import Customers
from training.policy.bound import LagrangianBound
from training.policy.simulation.vector_env import RetentionVectorEnv

Act = Callable[[np.ndarray, np.ndarray, bool], np.ndarray]
"""Actions [n, 3] for observations [n, 9] and eligibility [n]: the most probable ones if greedy, otherwise sampled."""


class CampaignValue(NamedTuple):
    """Expected values per customer and campaign; money."""

    incremental: float
    """Incremental value over contacting nobody."""
    spend: float

    def net(self, price: float) -> float:
        """Incremental value less price · spend. No policy exceeds that of the dynamic program."""
        return self.incremental - price * self.spend


def evaluate(act: Act, customers: Customers, price: float, greedy: bool = True, seed: int = 0) -> CampaignValue:
    """The value of one campaign of each customer, in expectation over churn; acceptance alone is sampled."""
    env = RetentionVectorEnv(customers, len(customers.bill), np.random.default_rng(seed), survival_weighted=True)
    env.accept[:], env.hazard[:], env.bill[:] = customers.accept.T, customers.hazard, customers.bill
    env.price, total = np.float32(price), np.zeros(2)
    while (running := env.day < env.rules.campaign_days).any():
        eligible = env.eligible() & running
        actions = act(env.observe().T.copy(), eligible, greedy)
        contact = (actions[:, 0] > 0) & eligible
        rows = np.flatnonzero(contact)
        survival = np.exp(-env.state.cumulative_hazard[rows])
        total += np.stack(env.incremental_value(rows, actions[rows, 1])) @ survival
        env.step(contact, actions[:, 1], actions[:, 2])
    return CampaignValue(*(total / env.num_envs).tolist())


def optimum(customers: Customers, price: float) -> CampaignValue:
    """The value of the dynamic program at that price."""
    dual, n = LagrangianBound(customers).at_price(price), len(customers.bill)
    return CampaignValue((dual.net_value + price * dual.spend) / n, dual.spend / n)


class CurvePoint(NamedTuple):
    steps: int
    """Decisions since the start of training."""
    seconds: float
    """Seconds of training, without evaluations."""
    greedy: CampaignValue
    """Value with the most probable actions."""
    sampled: CampaignValue
    """Value with sampled actions, as in training."""


@dataclass
class LearningCurve:
    """Evaluates a learner at regular intervals, and measures its training time without the evaluations.

    Time is processor time: every learner has one thread, and other load on the machine does not count.
    """

    customers: Customers
    price: float
    interval: int
    """Steps between two evaluations."""
    points: list[CurvePoint] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    """Seconds of training so far, without evaluations."""

    def start(self) -> None:
        """Start the clock."""
        self._started = time.process_time()

    def record(self, steps: int, act: Act) -> None:
        """Evaluate if the interval is over. To be called after each update, with the total number of steps."""
        self.seconds += time.process_time() - self._started
        due, self.steps = steps // self.interval > self.steps // self.interval, steps
        if due:
            greedy, sampled = (evaluate(act, self.customers, self.price, greedy) for greedy in (True, False))
            self.points.append(CurvePoint(steps, self.seconds, greedy, sampled))
        self.start()

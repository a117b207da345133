"""Many customers at once: `RetentionEnv` in NumPy and single precision, with the same transitions.

A customer who churned, or whose campaign is over, is replaced by a new one. All customers share the budget: each adds
its part when its campaign begins.
"""

from typing import NamedTuple

import numpy as np

from services.policy.policies.network import NUM_DELAYS
from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import (
    DISCOUNTS,
    MONTH,
    RESPONSE_MODEL,
    Customers,
    ResponseModel,
    hazard_exposure,
    incremental_value,
)
from training.policy.simulation.dynamics import NEVER_CONTACTED, SimulationState
from training.policy.simulation.env import RewardTerms


class Transition(NamedTuple):
    """A step of every customer, before new ones replace those who are done; arrays [n]."""

    terms: RewardTerms
    days: np.ndarray
    """Days that passed."""
    survival: np.ndarray
    """Probability of staying through them."""
    terminated: np.ndarray
    """Whether the customer churned."""
    truncated: np.ndarray
    """Whether the customer stayed and the campaign is over."""

    @property
    def done(self) -> np.ndarray:
        return self.terminated | self.truncated


class RetentionVectorEnv:
    """`num_envs` customers, drawn from `customers`; `budget` is money per customer and campaign.

    If `survival_weighted`, nobody churns, and later rewards are to be weighted by `Transition.survival`: the same in
    expectation, with less variance. `price` of money, a number or [n], is observed and not charged.
    """

    def __init__(
        self,
        customers: Customers,
        num_envs: int,
        rng: np.random.Generator,
        budget: float = np.inf,
        survival_weighted: bool = False,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
    ) -> None:
        self.num_envs, self.rng, self.budget, self.survival_weighted = num_envs, rng, budget, survival_weighted
        self.response_model, self.rules, self.funds = response_model, rules, 0.0
        self.price: np.ndarray | np.floating = np.float32(0)
        self._pool = np.vstack([customers.accept.T, customers.hazard, customers.bill]).astype(np.float32)
        self._facts = np.empty((len(self._pool), num_envs), np.float32)
        self.accept, self.hazard, self.bill = self._facts[:-2], self._facts[-2], self._facts[-1]
        self._states = np.empty((6, num_envs), np.float32)
        self.day, self.state = self._states[0], SimulationState(*self._states[1:])
        self._discounts = DISCOUNTS.astype(np.float32)
        self._observations = np.empty((len(OBSERVATION), num_envs), np.float32)
        self._begin_episodes(np.arange(num_envs))

    def _begin_episodes(self, rows: np.ndarray) -> None:
        self._facts[:, rows] = self._pool[:, self.rng.integers(self._pool.shape[1], size=len(rows))]
        self._states[:, rows] = 0
        self.state.days_since_contact[rows] = NEVER_CONTACTED
        threshold = np.inf if self.survival_weighted else self.rng.exponential(size=len(rows))
        self.state.churn_threshold[rows] = threshold
        self.funds += self.budget * len(rows)

    def observe(self) -> np.ndarray:
        """Observations [9, n]; the same array every time."""
        price = self.price if self.funds > 0 else np.float32(np.inf)
        state = self.state.days_since_contact, self.state.offer_days_left, self.state.contacts
        facts = self.hazard, self.accept, price, *state
        return observe(self._observations, *facts, self.response_model, self.rules)

    def eligible(self) -> np.ndarray:
        """Whether the gate allows a contact [n]."""
        return self.state.eligible(self.rules)

    def incremental_value(self, rows: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected value and expected cost, both money [k], of contacts of `rows` [k] at `level` [k] now.

        The sum of the values over an episode is the expected return over doing nothing: the reward shaped by the
        potential "expected revenue without further contacts" (Ng, Harada and Russell 1999), in expectation
        over acceptance and churn.
        """
        hazard, accept = self.hazard[rows].astype(float), self.accept[:, rows].T.astype(float)
        return incremental_value(
            Customers(hazard, accept, self.bill[rows]),
            level,
            self.response_model.value_days - self.day[rows],
            self.state.offer_days_left[rows],
            self.state.contacts[rows],
            self.response_model,
            self.state.fatigue_days_left(self.response_model)[rows],
        )

    def step(self, contact: np.ndarray, level: np.ndarray, delay: np.ndarray) -> Transition:
        """Make the contacts [n] (booleans) with the offer `level` [n], and let 1 + `delay` [n] days pass."""
        violation = contact & ~self.eligible()
        cost = self._contact(np.flatnonzero(contact), level)
        days = np.minimum(delay.astype(np.float32) + 1, self.rules.campaign_days - self.day)
        days_left = self.state.offer_days_left.copy(), self.state.fatigue_days_left(self.response_model)
        hazard = self.state.advance(days, self.hazard, self.response_model)
        self.day += days
        terminated = ~self.state.active
        revenue = self.bill * (days * np.float32(1 / MONTH))
        if len(rows := np.flatnonzero(terminated)):
            paid = self._paid_days(rows, days, *days_left, hazard)
            revenue[rows] = self.bill[rows] / MONTH * paid
        contact_cost = contact * np.float32(self.response_model.contact_cost)
        terms = RewardTerms(revenue, cost, contact_cost, self._budget_violation(cost), violation)
        truncated = (self.day >= self.rules.campaign_days) & ~terminated
        return Transition(terms, days, np.exp(-hazard), terminated, truncated)

    def _contact(self, rows: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Contact the customers `rows` [k]; return the discounts that are accepted, as money [n]."""
        cost, level = np.zeros(self.num_envs, np.float32), level[rows]
        accepted = self.rng.random(len(rows), dtype=np.float32) < self.accept[level, rows]
        self.state.contact(rows, level, accepted, self.response_model)
        cost[rows] = accepted * self.bill[rows] * self._discounts[level]
        return cost

    def _paid_days(
        self,
        rows: np.ndarray,
        days: np.ndarray,
        offer_days_left: np.ndarray,
        fatigue_days_left: np.ndarray,
        hazard: np.ndarray,
    ) -> np.ndarray:
        """Days of the step that the customers `rows` [k], who churn in it, pay for [k]: the day of churn included.

        The other arrays [n] are those at the beginning of the step; `hazard` is what the step added.
        """
        remaining = self.state.churn_threshold[rows] - (self.state.cumulative_hazard[rows] - hazard[rows])
        day = np.arange(1, NUM_DELAYS, dtype=np.float32)[:, None]
        state = offer_days_left[rows], fatigue_days_left[rows], self.state.contacts[rows]
        added = hazard_exposure(day, *state, self.response_model) * self.hazard[rows]
        return 1 + ((added < remaining) & (day < days[rows])).sum(axis=0)

    def _budget_violation(self, cost: np.ndarray) -> np.ndarray:
        """Part of each cost [n] that the common funds do not cover."""
        before, self.funds = self.funds, self.funds - cost.sum(dtype=float)
        if self.funds >= 0:
            return np.zeros_like(cost)
        uncovered = np.maximum(np.cumsum(cost, dtype=float) - before, 0)
        return np.minimum(np.diff(uncovered, prepend=0), cost)

    def reset_done(self, done: np.ndarray) -> None:
        """Replace the customers who are done [n] with new ones."""
        if len(rows := np.flatnonzero(done)):
            self._begin_episodes(rows)

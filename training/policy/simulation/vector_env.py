"""Many customers at once: `RetentionEnv` in NumPy, a step for each at a time, with the same transitions.

A customer who has left, or whose quarter is over, makes room for a new one. They share the budget: each brings a share
of it when their quarter begins.
"""

from typing import NamedTuple

import numpy as np

from services.policy.customer.gate import is_eligible
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
from training.policy.simulation.env import NEVER, Terms


class Step(NamedTuple):
    """Of [n] customers, before those who are done make room."""

    terms: Terms
    days: np.ndarray
    """That went by."""
    survival: np.ndarray
    """Probability of staying through them."""
    left: np.ndarray
    cut: np.ndarray
    """Who stayed, and whose quarter is over."""

    @property
    def done(self) -> np.ndarray:
        return self.left | self.cut


class RetentionVectorEnv:
    """`number` customers, drawn from `customers`; `budget` is money a customer's quarter.

    Where they are `immortal` nobody leaves, and `survival` tells by how much what comes later counts less: the same in
    expectation, with less noise. `price` of money, a number or [n], is shown and not charged.
    """

    def __init__(
        self,
        customers: Customers,
        number: int,
        rng: np.random.Generator,
        budget: float = np.inf,
        immortal: bool = False,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
    ) -> None:
        self.number, self.rng, self.budget, self.immortal = number, rng, budget, immortal
        self.response_model, self.rules, self.funds = response_model, rules, 0.0
        self.price: np.ndarray | np.floating = np.float32(0)
        self._pool = np.vstack([customers.accept.T, customers.hazard, customers.bill]).astype(np.float32)
        self._drawn = np.empty((len(self._pool), number), np.float32)
        self.accept, self.hazard, self.bill = self._drawn[:-2], self._drawn[-2], self._drawn[-1]
        self._state = np.empty((6, number), np.float32)
        (
            self.day,
            self.days_since_contact,
            self.offer_days_left,
            self.contacts,
            self.cumulative_hazard,
            self.churn_threshold,
        ) = self._state
        self._held_days, self._discounts = (
            np.array(each, np.float32) for each in (response_model.effect_days, DISCOUNTS)
        )
        self._observations = np.empty((len(OBSERVATION), number), np.float32)
        self._each = np.arange(number)
        self._begin(self._each)

    def _begin(self, who: np.ndarray) -> None:
        self._drawn[:, who] = self._pool[:, self.rng.integers(self._pool.shape[1], size=len(who))]
        self._state[:, who] = 0
        self.days_since_contact[who] = NEVER
        self.churn_threshold[who] = np.inf if self.immortal else self.rng.exponential(size=len(who))
        self.funds += self.budget * len(who)

    def observe(self) -> np.ndarray:
        """[9, n]; the same array every time."""
        price = self.price if self.funds > 0 else np.float32(np.inf)
        facts = self.hazard, self.accept, price, self.days_since_contact, self.offer_days_left, self.contacts
        return observe(self._observations, *facts, self.response_model, self.rules)

    def may(self) -> np.ndarray:
        """[n], whom the gate allows to contact."""
        return is_eligible(
            self.days_since_contact, self.offer_days_left, self.contacts, self.rules.cooldown, self.rules.cap
        )

    def gains(self, who: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What contacting `who` now at `level` is expected to gain over doing nothing, and to cost: money.

        Their sum over an episode is the expected return over doing nothing: the reward shaped by the potential
        "worth if nobody contacts them any more" (Ng, Harada and Russell 1999), with the luck averaged out.
        """
        customers = Customers(self.hazard[who].astype(float), self.accept[:, who].T.astype(float), self.bill[who])
        days, fatigue_days_left = self.response_model.value_days - self.day[who], self._annoyed()[who]
        return incremental_value(
            customers,
            level,
            days,
            self.offer_days_left[who],
            self.contacts[who],
            self.response_model,
            fatigue_days_left,
        )

    def step(self, contact: np.ndarray, level: np.ndarray, delay: np.ndarray) -> Step:
        """Each an array [n], `contact` of booleans."""
        broken = contact & ~self.may()
        cost = self._contact(np.flatnonzero(contact), level)
        days = np.minimum(delay.astype(np.float32) + 1, self.rules.quarter - self.day)
        fatigue_days_left = self._annoyed()
        suffers = hazard_exposure(days, self.offer_days_left, fatigue_days_left, self.contacts, self.response_model)
        suffers *= self.hazard
        self.cumulative_hazard += suffers
        left = self.cumulative_hazard >= self.churn_threshold
        revenue = self.bill * (days * np.float32(1 / MONTH))
        if len(gone := np.flatnonzero(left)):
            revenue[gone] = self.bill[gone] / MONTH * self._last_days(gone, days, fatigue_days_left, suffers)
        terms = Terms(revenue, cost, contact * np.float32(self.response_model.contact_cost), self._beyond(cost), broken)
        self.day += days
        self.days_since_contact += days
        self.offer_days_left -= np.minimum(days, self.offer_days_left)
        return Step(terms, days, np.exp(-suffers), left, (self.day >= self.rules.quarter) & ~left)

    def _annoyed(self) -> np.ndarray:
        """For how many days more."""
        return np.maximum(np.float32(self.response_model.fatigue_days) - self.days_since_contact, np.float32(0))

    def _contact(self, who: np.ndarray, level: np.ndarray) -> np.ndarray:
        """What they accept of it, as money: [n]."""
        cost, level = np.zeros(self.number, np.float32), level[who]
        self.days_since_contact[who] = 0
        self.contacts[who] += 1
        accepted = self.rng.random(len(who), dtype=np.float32) < self.accept[level, who]
        who, level = who[accepted], level[accepted]
        self.offer_days_left[who] = np.maximum(self.offer_days_left[who], self._held_days[level])
        cost[who] = self.bill[who] * self._discounts[level]
        return cost

    def _last_days(
        self, gone: np.ndarray, days: np.ndarray, fatigue_days_left: np.ndarray, suffers: np.ndarray
    ) -> np.ndarray:
        """On how many days those were there who leave in this step."""
        could_take = self.churn_threshold[gone] - (self.cumulative_hazard[gone] - suffers[gone])
        day = np.arange(1, 8, dtype=np.float32)[:, None]
        takes = (
            hazard_exposure(
                day, self.offer_days_left[gone], fatigue_days_left[gone], self.contacts[gone], self.response_model
            )
            * self.hazard[gone]
        )
        return 1 + ((takes < could_take) & (day < days[gone])).sum(axis=0)

    def _beyond(self, cost: np.ndarray) -> np.ndarray:
        """What of each cost the common funds do not hold."""
        before, self.funds = self.funds, self.funds - cost.sum(dtype=float)
        if self.funds >= 0:
            return np.zeros_like(cost)
        beyond = np.maximum(np.cumsum(cost, dtype=float) - before, 0)
        return np.minimum(np.diff(beyond, prepend=0), cost)

    def renew(self, done: np.ndarray) -> None:
        """New customers where someone is done."""
        if len(who := np.flatnonzero(done)):
            self._begin(who)

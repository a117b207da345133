"""A quarter of many customers on one calendar, with one budget: where policies are judged.

Customers leave and accept by luck that is theirs, drawn before: the same under every policy (common random numbers).
Each day, who may be contacted is decided about. Offers go out hour by hour and reserve their worst case of the budget,
in whole cents; what is declined is free again an hour later.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from services.policy.customer.gate import is_eligible
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
from training.policy.simulation.env import NEVER

NOTHING = -1
"""A level: no contact."""
CENTS = 100
HOURS = 24


class Choices(NamedTuple):
    """Of those who are asked about, in their order."""

    level: np.ndarray
    delay: np.ndarray
    """Days before the next decision, beyond the next day."""
    urgency: np.ndarray | None = None
    """Who comes first where money is short; in order of arrival if None."""


class Policy(Protocol):
    """Asked each day about those who may be contacted."""

    def choose(self, quarter: "CampaignSimulator", who: np.ndarray) -> Choices: ...


@dataclass
class Account:
    """What a quarter came to; money, unless said otherwise."""

    gain: float = 0.0
    """Over doing nothing: expected, of the contacts made, with the luck of acceptance averaged out."""
    spend: float = 0.0
    budget: float = 0.0
    revenue: float = 0.0
    """Bills paid in the quarter."""
    offers: np.ndarray = field(default_factory=lambda: np.zeros(len(DISCOUNTS), dtype=int))
    """Contacts by level."""
    contacted: int = 0
    """Customers."""
    stopped: int = 0
    """Contacts that a policy wanted and the gate or the ledger did not allow."""
    violations: int = 0
    """Contacts made in a cooldown, while an offer held, or over the cap."""
    worst: float = 0.0
    """The most of the budget that was ever promised and spent."""
    path: list[float] = field(default_factory=list)
    """Spent by the end of each day."""
    prices: list[float] = field(default_factory=list)


class CampaignSimulator:
    """The state on a day. Every array is [n]."""

    def __init__(
        self,
        customers: Customers,
        copies: int,
        seed: int,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
        truth: Customers | None = None,
    ) -> None:
        """Each customer lives `copies` times; customer i is number i of `customers` modulo their number.

        Policies see `customers`; what happens is by `truth`, where the scorer is wrong.
        """
        rng = np.random.default_rng(seed)
        self.kind = np.tile(np.arange(len(customers.bill)), copies)
        self.customers, self.response_model, self.rules, self.n = (
            customers[self.kind],
            response_model,
            rules,
            len(self.kind),
        )
        self._true = self.customers if truth is None else truth[self.kind]
        self.churn_threshold, self.arrival = rng.exponential(size=self.n), rng.permutation(self.n)
        self.luck = rng.random((self.n, rules.cap))
        self.costs = np.ceil(np.round(self.customers.bill[:, None] * DISCOUNTS * CENTS, 6)).astype(np.int64)
        self.rng = np.random.default_rng([seed, 1])
        """For policies that draw."""

    def run(self, policy: Policy, budget: float) -> Account:
        self.day, self.funds = 0, int(budget * CENTS)
        self.days_since_contact, self.offer_days_left, self.contacts, self.cumulative_hazard, self.due = np.zeros(
            (5, self.n)
        )
        self.days_since_contact += NEVER
        self.active = np.ones(self.n, dtype=bool)
        self.account = Account(budget=budget)
        for day in range(self.rules.quarter):
            self.day = day
            self.account.revenue += self.customers.bill[self.active].sum() / MONTH
            self._decide(policy)
            self._night()
            self.account.path.append(self.account.spend)
        self.account.contacted = int((self.contacts > 0).sum())
        return self.account

    def may(self) -> np.ndarray:
        return is_eligible(
            self.days_since_contact, self.offer_days_left, self.contacts, self.rules.cooldown, self.rules.cap
        )

    def _decide(self, policy: Policy) -> None:
        who = np.flatnonzero(self.active & (self.due <= self.day) & self.may())
        choices = policy.choose(self, who)
        self.due[who] = self.day + 1 + choices.delay
        wanted = choices.level > NOTHING
        allowed = wanted & self.may()[who]
        urgency = self.arrival[who] if choices.urgency is None else -choices.urgency
        order = np.flatnonzero(allowed)[np.argsort(urgency[allowed], kind="stable")]
        costs = self.costs[who, choices.level]
        at_once = costs[order].sum() <= self.funds  # then it does not matter when
        for hour in np.array_split(order, 1 if at_once else HOURS):
            paid = hour[self._reserve(costs[hour])]
            self.account.stopped += len(hour) - len(paid)
            self._contact(who[paid], choices.level[paid])

    def _reserve(self, costs: np.ndarray) -> np.ndarray:
        """Whose offer the funds hold, if they come one after the other."""
        paid, promised = np.zeros(len(costs), dtype=bool), 0
        fits = np.cumsum(costs) <= self.funds
        if fits.all():
            paid[:], promised = True, int(costs.sum())
        else:
            for number, cost in enumerate(costs.tolist()):
                if promised + cost <= self.funds:
                    paid[number], promised = True, promised + cost
        spent = self.account.budget * CENTS - self.funds
        self.account.worst = max(self.account.worst, (spent + promised) / CENTS)
        return paid

    def _contact(self, who: np.ndarray, level: np.ndarray) -> None:
        customers, account = self._true[who], self.account
        account.violations += int((~self.may()[who]).sum())
        account.offers += np.bincount(level, minlength=len(DISCOUNTS))
        left = self.response_model.value_days - self.day
        account.gain += incremental_value(
            customers, level, left, self.offer_days_left[who], self.contacts[who], self.response_model
        )[0].sum()
        accepted = self.luck[who, self.contacts[who].astype(int)] < customers.accept[np.arange(len(who)), level]
        spent = int((self.costs[who, level] * accepted).sum())
        self.funds -= spent
        account.spend += spent / CENTS
        self.offer_days_left[who] = np.maximum(
            self.offer_days_left[who], accepted * np.array(self.response_model.effect_days)[level]
        )
        self.days_since_contact[who] = 0
        self.contacts[who] += 1

    def _night(self) -> None:
        fatigue_days_left = np.maximum(self.response_model.fatigue_days - self.days_since_contact, 0)
        self.cumulative_hazard += (
            hazard_exposure(1, self.offer_days_left, fatigue_days_left, self.contacts, self.response_model)
            * self._true.hazard
        )
        self.active &= self.cumulative_hazard < self.churn_threshold
        self.days_since_contact += 1
        self.offer_days_left = np.maximum(self.offer_days_left - 1, 0)

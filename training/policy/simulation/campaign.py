"""Simulator of a campaign: many customers with a common calendar and budget, to compare policies.

Each day the policy decides about the customers whom the gate allows to contact. Offers are sent hour by hour, and each
reserves its cost if accepted, in whole cents; the reservation of a declined offer is released an hour later.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from services.policy.response.model import DISCOUNTS, MONTH
from training.policy.simulation.customer_simulator import CENTS, CustomerSimulator

NO_CONTACT = -1
"""Value of a level that stands for no contact."""
HOURS_PER_DAY = 24


class CampaignActions(NamedTuple):
    """A policy's actions for the k customers that it was asked about, in their order."""

    level: np.ndarray
    """Level of the offer [k], or NO_CONTACT."""
    delay: np.ndarray
    """Days by which the next decision is delayed, beyond the next day [k]."""
    priority: np.ndarray | None = None
    """Priority of the offers if money is short, the highest first [k]; in order of arrival if None."""


class Policy(Protocol):
    """A policy: called each day for the customers who may be contacted."""

    def choose(self, campaign: "CampaignSimulator", rows: np.ndarray) -> CampaignActions:
        """Actions for the customers `rows` [k] of the campaign."""
        ...


@dataclass
class CampaignResult:
    """Results of a campaign; amounts are money."""

    incremental_value: float = 0.0
    """Sum of the expected value of the contacts made over doing nothing, in expectation over acceptance and churn."""
    spend: float = 0.0
    budget: float = 0.0
    revenue: float = 0.0
    """Bills paid in the campaign."""
    contacts: np.ndarray = field(default_factory=lambda: np.zeros(len(DISCOUNTS), dtype=int))
    """Number of contacts by level [levels]."""
    customers_contacted: int = 0
    refused: int = 0
    """Number of contacts that the policy chose and the budget did not cover."""
    violations: int = 0
    """Number of contacts in a cooldown, during an accepted offer, or over the contact cap."""
    peak_used: float = 0.0
    """Highest sum of reserved and spent money at any time."""
    spend_by_day: list[float] = field(default_factory=list)
    """Cumulative spend at the end of each day."""
    prices: list[float] = field(default_factory=list)
    """Shadow price of the budget by day, from policies that have one."""


class CampaignSimulator(CustomerSimulator):
    """Simulated customers with a budget; `day`, `funds` and `result` are those of the current run."""

    def run(self, policy: Policy, budget: float) -> CampaignResult:
        self.reset()
        self.funds = int(budget * CENTS)
        self.next_decision_day = np.zeros(self.n)
        self.result = CampaignResult(budget=budget)
        for day in range(self.rules.campaign_days):
            self.day = day
            self.result.revenue += self.customers.bill[self.state.active].sum() / MONTH
            self._decide(policy)
            self.end_of_day()
            self.result.spend_by_day.append(self.result.spend)
        self.result.customers_contacted = int((self.state.contacts > 0).sum())
        return self.result

    def _decide(self, policy: Policy) -> None:
        due = self.next_decision_day <= self.day
        rows = np.flatnonzero(self.state.active & due & self.state.eligible(self.rules))
        level, delay, priority = policy.choose(self, rows)
        self.next_decision_day[rows] = self.day + 1 + delay
        chosen = np.flatnonzero(level > NO_CONTACT)
        rank = self.arrival_order[rows] if priority is None else -priority
        order = chosen[np.argsort(rank[chosen], kind="stable")]
        costs = self.offer_costs[rows, level]
        covered = costs[order].sum() <= self.funds  # then the order of offers does not matter
        for hour in np.array_split(order, 1 if covered else HOURS_PER_DAY):
            reserved = hour[self._reserve(costs[hour])]
            self.result.refused += len(hour) - len(reserved)
            self.make_contacts(rows[reserved], level[reserved])

    def _reserve(self, costs: np.ndarray) -> np.ndarray:
        """Whether the funds cover each of these offers [k], in cents, in their order."""
        covered, reserved = np.zeros(len(costs), dtype=bool), 0
        if (np.cumsum(costs) <= self.funds).all():
            covered[:], reserved = True, int(costs.sum())
        else:
            for number, cost in enumerate(costs.tolist()):
                if reserved + cost <= self.funds:
                    covered[number], reserved = True, reserved + cost
        spent = self.result.budget * CENTS - self.funds
        self.result.peak_used = max(self.result.peak_used, (spent + reserved) / CENTS)
        return covered

    def make_contacts(self, rows: np.ndarray, level: np.ndarray) -> None:
        """Contact the customers `rows` [k], also if the gate forbids it, and pay for the offers that they accept."""
        self.result.violations += int((~self.state.eligible(self.rules)[rows]).sum())
        self.result.contacts += np.bincount(level, minlength=len(DISCOUNTS))
        accepted, value = self.contact(rows, level, self.day)
        self.result.incremental_value += value.sum()
        spent = int((self.offer_costs[rows, level] * accepted).sum())
        self.funds -= spent
        self.result.spend += spent / CENTS

"""How near policies come to the bound: the same quarters, customers and luck for each."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from services.policy.response.model import RESPONSE_MODEL, Customers, ResponseModel
from training.policy.evaluation.bound import Dual, LagrangianBound
from training.policy.evaluation.policies import Index, Myopic, Never, OneStep, RandomLegal, Threshold, TopRisk
from training.policy.simulation.campaign import Account, CampaignSimulator, Policy
from training.statistics import Estimate, mean_interval

BUDGETS = (0.1, 0.3, 0.6)
"""Shares of what the optimum spends where money is free."""
COPIES = 8
"""Of each of the 1,408 held out, who are 704 Telco customers, each twice with other lent facts: 11,264 in all."""
SEEDS = tuple(range(100, 112))
"""Of the quarters; no network was trained with any."""
AROUND = np.exp(np.linspace(-0.8, 0.8, 65))
"""Prices that the index policy looks at, beside the dual's."""
THRESHOLDS = (0.25, 0.5, 1, 2, 3, 4, 6, 8, 12)


class Judged(NamedTuple):
    """A policy at one budget."""

    accounts: Sequence[Account]
    bound: float

    @property
    def shares(self) -> np.ndarray:
        """Of the bound, a quarter each."""
        return np.array([account.gain for account in self.accounts]) / self.bound

    @property
    def share(self) -> Estimate:
        return mean_interval(self.shares)


class Court:
    """Judges on customers held out, `copies` of each."""

    def __init__(
        self,
        customers: Customers,
        copies: int = COPIES,
        seeds: Sequence[int] = SEEDS,
        response_model: ResponseModel = RESPONSE_MODEL,
    ):
        self.customers, self.copies, self.response_model = customers, copies, response_model
        self.portfolio = LagrangianBound(customers, response_model=response_model)
        self._seeds = seeds

    @cached_property
    def quarters(self) -> list[CampaignSimulator]:
        return [CampaignSimulator(self.customers, self.copies, seed, self.response_model) for seed in self._seeds]

    def budget(self, share: float) -> float:
        """Money, for all copies."""
        return self.copies * share * self.portfolio.at(0.0).spend

    def dual(self, share: float) -> Dual:
        """Of one copy of each."""
        return self.portfolio.bound(self.budget(share) / self.copies)

    def bound(self, share: float) -> float:
        """Money over doing nothing that no policy exceeds within the budget."""
        return self.copies * self.dual(share).bound(self.budget(share) / self.copies)

    def judge(self, policy: Policy, share: float) -> Judged:
        accounts = [quarter.run(policy, self.budget(share)) for quarter in self.quarters]
        return Judged(accounts, self.bound(share))

    def index(self, share: float, resolve: bool = True) -> Index:
        return Index(self.customers, self.dual(share).price * AROUND, resolve, self.response_model)


def baselines(training: Customers) -> Mapping[str, Callable[[float], Policy]]:
    """By name; each from the budget as a share. The threshold is the best for that budget on customers to train on."""
    court = Court(training, copies=1, seeds=(7,))

    def threshold(share: float) -> Policy:
        each = [Threshold(value, level) for value in THRESHOLDS for level in range(1, 4)]
        return max(each, key=lambda policy: court.judge(policy, share).accounts[0].gain)

    return {
        "never": lambda share: Never(),
        "random_legal": lambda share: RandomLegal(),
        "top_risk": lambda share: TopRisk(),
        "threshold": threshold,
        "myopic": lambda share: Myopic(),
        "one_step": lambda share: OneStep(),
    }

"""The benchmark of policies: the same simulated campaigns for each, and the Lagrangian bound on their value."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from services.policy.response.model import RESPONSE_MODEL, Customers, ResponseModel
from training.policy.bound import Dual, LagrangianBound
from training.policy.evaluation.policies import (
    IndexPolicy,
    MyopicPolicy,
    NoContactPolicy,
    OneStepPolicy,
    RandomPolicy,
    ThresholdPolicy,
    TopRiskPolicy,
)
from training.policy.simulation.campaign import CampaignResult, CampaignSimulator, Policy
from training.statistics import Estimate, mean_interval

BUDGETS = (0.1, 0.3, 0.6)
"""Budgets of the evaluation, as shares of the unconstrained spend: what the optimal policy spends without a budget."""
COPIES = 8
"""Copies of each of the 1,408 held-out customers (704 Telco customers, each with two draws of bank facts): 11,264."""
SEEDS = tuple(range(100, 112))
"""Seeds of the campaigns; no network was trained with any of them."""
PRICE_GRID = np.exp(np.linspace(-0.8, 0.8, 65))
"""Prices that the index policy chooses from, as multiples of the dual price."""
THRESHOLDS = (0.25, 0.5, 1, 2, 3, 4, 6, 8, 12)
"""Candidate thresholds of the threshold policy."""
TUNING_SEED = 7
"""Seed of the campaign in which the threshold is tuned."""


class BenchmarkResult(NamedTuple):
    """One policy at one budget."""

    campaigns: Sequence[CampaignResult]
    bound: float
    """Upper bound on the incremental value of a campaign; money."""

    @property
    def shares_of_bound(self) -> np.ndarray:
        """Incremental value of each campaign, as a share of the bound."""
        return np.array([campaign.incremental_value for campaign in self.campaigns]) / self.bound

    @property
    def share_of_bound(self) -> Estimate:
        """The mean over campaigns, with its interval."""
        return mean_interval(self.shares_of_bound)


class Benchmark:
    """Campaigns with `copies` of each customer, one for each seed. Budgets are shares of the unconstrained spend."""

    def __init__(
        self,
        customers: Customers,
        copies: int = COPIES,
        seeds: Sequence[int] = SEEDS,
        response_model: ResponseModel = RESPONSE_MODEL,
    ):
        self.customers, self.copies, self.response_model = customers, copies, response_model
        self.lagrangian = LagrangianBound(customers, response_model=response_model)
        self._seeds = seeds

    @cached_property
    def simulators(self) -> list[CampaignSimulator]:
        return [CampaignSimulator(self.customers, self.copies, seed, self.response_model) for seed in self._seeds]

    def budget(self, share: float) -> float:
        """The budget in money, for all copies."""
        return self.copies * share * self.lagrangian.unconstrained_spend

    def dual(self, share: float) -> Dual:
        """The Lagrangian dual at the budget, for one copy of each customer."""
        return self.lagrangian.at_budget(self.budget(share) / self.copies)

    def upper_bound(self, share: float) -> float:
        """The incremental value that no policy within the budget exceeds; money, for all copies."""
        return self.copies * self.dual(share).upper_bound(self.budget(share) / self.copies)

    def evaluate(self, policy: Policy, share: float) -> BenchmarkResult:
        campaigns = [simulator.run(policy, self.budget(share)) for simulator in self.simulators]
        return BenchmarkResult(campaigns, self.upper_bound(share))

    def index_policy(self, share: float) -> IndexPolicy:
        """The index policy, with prices around the dual price of the budget."""
        return IndexPolicy(self.customers, self.dual(share).price * PRICE_GRID, response_model=self.response_model)


def baselines(customers: Customers) -> Mapping[str, Callable[[float], Policy]]:
    """Functions from a budget to a baseline policy, by its name in the reports.

    `never` contacts nobody; `random_legal` draws among the actions that the gate allows. The threshold is tuned for the
    budget, on these customers.
    """
    tuning = Benchmark(customers, copies=1, seeds=(TUNING_SEED,))

    def tuned_threshold(share: float) -> Policy:
        candidates = [ThresholdPolicy(threshold, level) for threshold in THRESHOLDS for level in range(1, 4)]
        return max(candidates, key=lambda policy: tuning.evaluate(policy, share).campaigns[0].incremental_value)

    return {
        "never": lambda share: NoContactPolicy(),
        "random_legal": lambda share: RandomPolicy(),
        "top_risk": lambda share: TopRiskPolicy(),
        "threshold": tuned_threshold,
        "myopic": lambda share: MyopicPolicy(),
        "one_step": lambda share: OneStepPolicy(),
    }

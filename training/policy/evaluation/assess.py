"""Measurements of the evaluation, on held-out customers: simulated campaigns, the service, and sensitivity.

`evaluate` is the command, `benchmark` holds the campaigns, `report` writes the results.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from services.policy.policies.network import Network
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import MONTH, RESPONSE_MODEL, Customers
from training.policy.customers import TRAINING_COPIES, Population
from training.policy.evaluation import sensitivity
from training.policy.evaluation.benchmark import BUDGETS, COPIES, SEEDS, Benchmark, BenchmarkResult, baselines
from training.policy.evaluation.explain import FirstDay, first_day
from training.policy.evaluation.policies import IndexPolicy, NetworkPolicy, SpendForecast
from training.policy.evaluation.sensitivity import SensitivityResult, evaluate_scenario, scenarios
from training.policy.simulation.campaign import CampaignResult, Policy
from training.policy.simulation.service import ServiceRun, simulate
from training.statistics import Estimate, mean_interval

REPORT_BUDGET = 0.3
"""Budget of the explained decisions and of the sensitivity table, as a share of the unconstrained spend."""
SERVED = ("ppo", "index")
"""Policies that the service can run."""
FIXED_PRICE_INDEX = "index, fixed price"
"""Name of the index policy at the price of the first day, for comparison."""

Metrics = Mapping[str, Estimate]


class EvaluationSize(NamedTuple):
    copies: int = COPIES
    """Copies of each customer in a simulated campaign."""
    seeds: Sequence[int] = SEEDS
    """Seeds of the simulated campaigns."""
    service_copies: Mapping[float, int] = {0.3: 8, 0.1: 2, 0.6: 2}
    """Copies of each customer in the campaign through the service, by budget: 0.9, 0.2 and 0.2 million decisions."""
    sensitivity_copies: int = sensitivity.COPIES
    sensitivity_seeds: Sequence[int] = sensitivity.SEEDS


FULL_SIZE = EvaluationSize()


class Evaluation(NamedTuple):
    """Results of the evaluation. Budgets, the keys, are shares of the unconstrained spend."""

    results: Mapping[float, Mapping[str, BenchmarkResult]]
    """Campaigns, by budget and policy."""
    metrics: Mapping[float, Mapping[str, Metrics]]
    """Metrics over the campaigns, by budget and policy."""
    differences: Mapping[float, Mapping[str, Estimate]]
    """By budget and served policy: its share of the bound less that of the best baseline, in the same campaigns."""
    best_baselines: Mapping[float, str]
    """Name of the baseline with the highest value, by budget."""
    service_runs: Mapping[float, ServiceRun]
    """Campaigns of `ppo` through the service, by budget."""
    first_day: FirstDay
    sensitivity: Sequence[SensitivityResult]

    def service_share_of_bound(self, budget: float) -> float:
        """Share of the bound through the service, where pacing and reservations leave some of the budget unspent."""
        run, result = self.service_runs[budget], next(iter(self.results[budget].values()))
        return run.incremental_value / (result.bound * run.budget / result.campaigns[0].budget)


def evaluate_policies(
    ppo: Policy, training: Customers, held_out: Customers, budget: float, size: EvaluationSize
) -> dict[str, BenchmarkResult]:
    """Every policy at one budget, in the same campaigns."""
    benchmark = Benchmark(held_out, size.copies, size.seeds)
    fixed_price = IndexPolicy(held_out, np.array([benchmark.dual(budget).price]), reprice=False)
    policies = {"ppo": ppo, "index": benchmark.index_policy(budget), FIXED_PRICE_INDEX: fixed_price}
    policies |= {name: make(budget) for name, make in baselines(training).items()}
    return {name: benchmark.evaluate(policy, budget) for name, policy in policies.items()}


def policy_metrics(result: BenchmarkResult, customers: int, all_bills: float) -> Metrics:
    """Means over the campaigns with their intervals. ROI is missing if a campaign cost nothing.

    `customers` is their number in a campaign, `all_bills` the sum of their bills if none of them churned.
    """

    def campaign_metrics(campaign: CampaignResult) -> dict[str, float]:
        cost = campaign.spend + RESPONSE_MODEL.contact_cost * campaign.contacts.sum()
        return {
            "share_of_bound": campaign.incremental_value / result.bound,
            "utilisation": campaign.spend / campaign.budget,
            "nrr": (campaign.revenue - campaign.spend) / all_bills,
            **({"roi": campaign.incremental_value / cost} if cost else {}),
            "contact_rate": campaign.customers_contacted / customers,
            **{f"contacts_{level}": float(count) for level, count in enumerate(campaign.contacts)},
            "refused": campaign.refused,
            "violations": campaign.violations,
        }

    table = pd.DataFrame([campaign_metrics(campaign) for campaign in result.campaigns])
    return {name: mean_interval(table[name].to_numpy(dtype=float)) for name in table}


def assess(
    population: Population,
    resampled: pd.DataFrame,
    without_bank_facts: pd.DataFrame,
    network: Network,
    size: EvaluationSize = FULL_SIZE,
) -> Evaluation:
    """Evaluate in two processes.

    `resampled` are the held-out customers with other bank facts, `without_bank_facts` the same scored without any.
    """
    held_out, training = population.held_out, population.training[: len(population.training.bill) // TRAINING_COPIES]
    ppo = NetworkPolicy(network, SpendForecast(network, population.training))
    single = Benchmark(held_out, copies=1)
    day = first_day(network, held_out, single.dual(REPORT_BUDGET).price)
    scenario_args = day.index_level, ppo, single.budget(REPORT_BUDGET), size.sensitivity_copies, size.sensitivity_seeds
    with ProcessPoolExecutor(2) as pool:
        service_futures = {
            budget: pool.submit(simulate, PPOPolicy(network), held_out, copies, copies * single.budget(budget))
            for budget, copies in size.service_copies.items()
        }
        policy_futures = {
            budget: pool.submit(evaluate_policies, ppo, training, held_out, budget, size) for budget in BUDGETS
        }
        scenario_futures = [
            pool.submit(evaluate_scenario, scenario, *scenario_args)
            for scenario in scenarios(population.held_out_facts, resampled, without_bank_facts)
        ]
        _show_progress([*service_futures.values(), *policy_futures.values(), *scenario_futures])
    results = {budget: future.result() for budget, future in policy_futures.items()}
    best_baselines = {budget: best_baseline(by_policy) for budget, by_policy in results.items()}
    customers = size.copies * len(held_out.bill)
    all_bills = size.copies * held_out.bill.sum() * RULES.campaign_days / MONTH
    return Evaluation(
        results=results,
        metrics={
            budget: {name: policy_metrics(result, customers, all_bills) for name, result in by_policy.items()}
            for budget, by_policy in results.items()
        },
        differences={
            budget: {name: difference(by_policy[name], by_policy[best_baselines[budget]]) for name in SERVED}
            for budget, by_policy in results.items()
        },
        best_baselines=best_baselines,
        service_runs={budget: service_futures[budget].result() for budget in sorted(service_futures)},
        first_day=day,
        sensitivity=[future.result() for future in scenario_futures],
    )


def best_baseline(by_policy: Mapping[str, BenchmarkResult]) -> str:
    """The name of the baseline with the highest share of the bound."""
    names = [name for name in by_policy if name not in (*SERVED, FIXED_PRICE_INDEX)]
    return max(names, key=lambda name: by_policy[name].share_of_bound)


def difference(result: BenchmarkResult, baseline: BenchmarkResult) -> Estimate:
    """Difference in the share of the bound, paired by campaign."""
    return mean_interval(result.shares_of_bound - baseline.shares_of_bound)


def _show_progress(futures: Sequence[Future[Any]]) -> None:
    """Show a progress bar until all are done. Raises the first exception of a future."""
    for future in tqdm(as_completed(futures), total=len(futures), unit=" evaluations", disable=None):
        future.result()

"""What policies come to on customers held out: at each budget, through the service, and in other worlds."""

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
from training.policy.customers import TRAINING, Population
from training.policy.evaluation import sensitivity
from training.policy.evaluation.benchmark import BUDGETS, COPIES, SEEDS, Benchmark, BenchmarkResult, baselines
from training.policy.evaluation.explain import Day, day
from training.policy.evaluation.policies import IndexPolicy, NetworkPolicy, SpendForecast
from training.policy.evaluation.sensitivity import Moved, cases, moved
from training.policy.simulation.campaign import CampaignResult, Policy
from training.policy.simulation.service import ServiceRun, simulate
from training.statistics import Estimate, mean_interval

EXPLAINED = 0.3
"""The budget of what is explained and of the sensitivity table."""
Metrics = Mapping[str, Estimate]


class Size(NamedTuple):
    """Of the evaluation."""

    copies: int = COPIES
    seeds: Sequence[int] = SEEDS
    lived: Mapping[float, int] = {0.3: 8, 0.1: 2, 0.6: 2}
    """Copies that live through the service, by budget: 0.9 million decisions, and twice 0.2."""
    moved_copies: int = sensitivity.COPIES
    moved_seeds: Sequence[int] = sensitivity.SEEDS


FULL = Size()


class Evaluation(NamedTuple):
    """By budget, as a share of what the optimum spends where money is free."""

    judged: Mapping[float, Mapping[str, BenchmarkResult]]
    """And by policy."""
    metrics: Mapping[float, Mapping[str, Metrics]]
    differences: Mapping[float, Mapping[str, Estimate]]
    """Of each served policy to the best baseline, in shares of the bound, on the same quarters."""
    best: Mapping[float, str]
    """Baselines."""
    lived: Mapping[float, ServiceRun]
    day: Day
    moved: Sequence[Moved]

    def share_lived(self, budget: float) -> float:
        """Of the bound, through the service: what its pace and its promises cost is counted."""
        judged = next(iter(self.judged[budget].values()))
        return self.lived[budget].incremental_value / (
            judged.bound * self.lived[budget].budget / judged.accounts[0].budget
        )


SERVED = ("ppo", "index")
REFERENCE = "index, fixed price"


def judged(
    served: Policy, training: Customers, held_out: Customers, budget: float, size: Size
) -> dict[str, BenchmarkResult]:
    """Every policy at one budget, on the same quarters."""
    benchmark = Benchmark(held_out, size.copies, size.seeds)
    fixed = IndexPolicy(held_out, np.array([benchmark.dual(budget).price]), reprice=False)
    policies = {"ppo": served, "index": benchmark.index_policy(budget), REFERENCE: fixed}
    policies |= {name: make(budget) for name, make in baselines(training).items()}
    return {name: benchmark.evaluate(policy, budget) for name, policy in policies.items()}


def metrics(judged: BenchmarkResult, customers: int, bills: float) -> Metrics:
    """Of a policy; means with intervals over the quarters. ROI is missing where nothing was spent.

    `bills` is what all customers would pay in a quarter if all of them stayed.
    """

    def each(account: CampaignResult) -> dict[str, float]:
        cost = account.spend + RESPONSE_MODEL.contact_cost * account.contacts.sum()
        return {
            "share_of_bound": account.incremental_value / judged.bound,
            "utilisation": account.spend / account.budget,
            "nrr": (account.revenue - account.spend) / bills,
            **({"roi": account.incremental_value / cost} if cost else {}),
            "contact_rate": account.customers_contacted / customers,
            **{f"contacts_{level}": float(count) for level, count in enumerate(account.contacts)},
            "refused": account.refused,
            "violations": account.violations,
        }

    found = pd.DataFrame([each(account) for account in judged.accounts])
    return {name: mean_interval(found[name].to_numpy(dtype=float)) for name in found}


def evaluated(
    found: Population, redrawn: pd.DataFrame, unlent: pd.DataFrame, network: Network, size: Size = FULL
) -> Evaluation:
    """In two processes; `redrawn` and `unlent` are the people with other lent facts and with none."""
    customers, training = found.held_out, found.training[: len(found.training.bill) // TRAINING]
    served = NetworkPolicy(network, SpendForecast(network, found.training))
    benchmark = Benchmark(customers, 1)
    fresh = day(network, customers, benchmark.dual(EXPLAINED).price)
    sizes, money = (size.moved_copies, size.moved_seeds), benchmark.budget(EXPLAINED)
    with ProcessPoolExecutor(2) as pool:
        lives = {
            budget: pool.submit(simulate, PPOPolicy(network), customers, copies, copies * benchmark.budget(budget))
            for budget, copies in size.lived.items()
        }
        courts = {budget: pool.submit(judged, served, training, customers, budget, size) for budget in BUDGETS}
        moves = [
            pool.submit(moved, case, fresh.optimum, served, money, *sizes)
            for case in cases(found.people, redrawn, unlent)
        ]
        _show([*lives.values(), *courts.values(), *moves])
    by_policy = {budget: future.result() for budget, future in courts.items()}
    all_bills = size.copies * customers.bill.sum() * RULES.quarter / MONTH
    people = size.copies * len(customers.bill)
    best = {budget: best_baseline(policies) for budget, policies in by_policy.items()}
    return Evaluation(
        by_policy,
        {
            budget: {name: metrics(policy, people, all_bills) for name, policy in policies.items()}
            for budget, policies in by_policy.items()
        },
        {
            budget: {
                name: mean_interval(policies[name].shares_of_bound - policies[best[budget]].shares_of_bound)
                for name in SERVED
            }
            for budget, policies in by_policy.items()
        },
        best,
        {budget: lives[budget].result() for budget in sorted(lives)},
        fresh,
        [move.result() for move in moves],
    )


def best_baseline(policies: Mapping[str, BenchmarkResult]) -> str:
    return max(
        (name for name in policies if name not in (*SERVED, REFERENCE)), key=lambda name: policies[name].share_of_bound
    )


def _show(futures: Sequence[Future[Any]]) -> None:
    """Their progress; raises what they raise."""
    for future in tqdm(as_completed(futures), total=len(futures), unit=" parts", disable=None):
        future.result()

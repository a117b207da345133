"""Quarters, policies and the bound together, on customers made up."""

import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.behaviour_cloning import cloned
from training.policy.evaluation.benchmark import BUDGETS, Benchmark, baselines
from training.policy.evaluation.policies import (
    MyopicPolicy,
    NetworkPolicy,
    NoContactPolicy,
    RandomPolicy,
    SpendForecast,
    TopRiskPolicy,
)
from training.policy.export import served
from training.policy.ppo import Args, Trainer
from training.policy.simulation.campaign import NO_CONTACT, CampaignActions, CampaignSimulator

DRAWN = np.random.default_rng(8)
CUSTOMERS = Customers(
    DRAWN.uniform(0.0005, 0.012, 200), np.sort(DRAWN.beta(2, 12, (200, 4)), axis=1), DRAWN.uniform(20, 115, 200)
)
BENCHMARK = Benchmark(CUSTOMERS, copies=6, seeds=range(3))


class Greedy:
    """Wants to contact everybody at once, dearest offer, whatever the rules."""

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> CampaignActions:
        return CampaignActions(np.full(len(who), 3), np.zeros(len(who), dtype=int))


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_index_policy_is_near_the_bound_and_nothing_is_above_it(budget: float) -> None:
    found = BENCHMARK.evaluate(BENCHMARK.index_policy(budget), budget).share_of_bound

    assert found.low < 1, "above the bound by more than chance: a fault in one of them"
    assert found.mean > 0.9


@pytest.mark.parametrize("policy", [NoContactPolicy(), RandomPolicy(), TopRiskPolicy(), MyopicPolicy(), Greedy()])
def test_no_policy_breaks_the_budget_or_the_rules(policy: object) -> None:
    judged = BENCHMARK.evaluate(policy, 0.1)

    for account in judged.accounts:
        assert account.peak_committed <= account.budget
        assert account.spend <= account.budget
        assert account.violations == 0
    assert judged.share_of_bound.mean < 1


def test_customers_have_the_same_luck_under_every_policy() -> None:
    quarter = CampaignSimulator(CUSTOMERS, 2, seed=3)
    first = quarter.run(MyopicPolicy(), 500.0)
    quarter.run(Greedy(), 1e9)
    again = quarter.run(MyopicPolicy(), 500.0)

    assert (again.incremental_value, again.spend, again.spend_by_day) == (
        first.incremental_value,
        first.spend,
        first.spend_by_day,
    )


def test_doing_nothing_gains_and_costs_nothing() -> None:
    account = CampaignSimulator(CUSTOMERS, 2, seed=3).run(NoContactPolicy(), 500.0)

    assert (account.incremental_value, account.spend, account.customers_contacted, account.contacts.sum()) == (
        0,
        0,
        0,
        0,
    )


def test_what_the_gate_would_forbid_is_not_made() -> None:
    account = CampaignSimulator(CUSTOMERS, 2, seed=3).run(Greedy(), 1e12)

    assert account.contacts.sum() <= 3 * 400
    assert account.violations == 0


def test_every_baseline_can_be_asked() -> None:
    for name, policy in baselines(CUSTOMERS).items():
        choices = _asked(policy(0.3))
        assert len(choices.level) == 200, name
        assert choices.level.min() >= NO_CONTACT


def _asked(policy: object) -> CampaignActions:
    asked: list[CampaignActions] = []

    class Spy:
        def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> CampaignActions:
            asked.append(policy.choose(quarter, who))
            return asked[-1]

    CampaignSimulator(CUSTOMERS, 1, seed=3).run(Spy(), 200.0)
    return asked[0]


@pytest.fixture(scope="module")
def warm() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.policy.behaviour_cloning.STEPS", 200)
        patch.setattr("training.policy.behaviour_cloning.PRICES", np.array([0.0, 1.0, 2.0, 4.0]))
        return cloned(CUSTOMERS, seed=0)


def test_a_clone_of_the_optimum_is_far_above_an_untrained_network_and_spends_its_plan(warm: object) -> None:
    untrained = Trainer(Args(updates=1, customers=64, steps=2), CUSTOMERS).run().network
    found = {}
    for name, network in (("clone", warm), ("untrained", untrained)):
        judged = BENCHMARK.evaluate(NetworkPolicy(served(network), SpendForecast(served(network), CUSTOMERS)), 0.3)
        found[name] = judged.share_of_bound.mean
        assert all(account.peak_committed <= account.budget for account in judged.accounts)

    assert found["clone"] > 0.85
    assert found["clone"] > found["untrained"] + 0.05

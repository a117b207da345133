"""Campaigns, policies and the bound together, with simulated customers."""

import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.behaviour_cloning import pretrain
from training.policy.evaluation.benchmark import BUDGETS, Benchmark, baselines
from training.policy.evaluation.policies import (
    MyopicPolicy,
    NetworkPolicy,
    NoContactPolicy,
    RandomPolicy,
    SpendForecast,
    TopRiskPolicy,
)
from training.policy.network import ActorCritic, serving_network
from training.policy.ppo import PPOArgs, Trainer
from training.policy.simulation.campaign import NO_CONTACT, CampaignActions, CampaignSimulator, Policy

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(8)
CUSTOMERS = Customers(
    RNG.uniform(0.0005, 0.012, 200), np.sort(RNG.beta(2, 12, (200, 4)), axis=1), RNG.uniform(20, 115, 200)
)
BENCHMARK = Benchmark(CUSTOMERS, copies=6, seeds=range(3))


class ContactEverybodyPolicy:
    """Offers every customer the highest discount every day, whatever the rules."""

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        return CampaignActions(np.full(len(rows), 3), np.zeros(len(rows), dtype=int))


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_index_policy_is_near_the_bound_and_not_above_it(budget: float) -> None:
    share = BENCHMARK.evaluate(BENCHMARK.index_policy(budget), budget).share_of_bound

    assert share.low < 1, "above the bound by more than chance: a fault in one of them"
    assert share.mean > 0.9


@pytest.mark.parametrize(
    "policy", [NoContactPolicy(), RandomPolicy(), TopRiskPolicy(), MyopicPolicy(), ContactEverybodyPolicy()]
)
def test_no_policy_overspends_or_breaks_a_rule(policy: Policy) -> None:
    result = BENCHMARK.evaluate(policy, 0.1)

    for campaign in result.campaigns:
        assert campaign.peak_used <= campaign.budget
        assert campaign.spend <= campaign.budget
        assert campaign.violations == 0
    assert result.share_of_bound.mean < 1


def test_customers_have_the_same_random_numbers_under_every_policy() -> None:
    simulator = CampaignSimulator(CUSTOMERS, 2, seed=3)
    first = simulator.run(MyopicPolicy(), 500.0)
    simulator.run(ContactEverybodyPolicy(), 1e9)
    again = simulator.run(MyopicPolicy(), 500.0)

    assert (again.incremental_value, again.spend) == (first.incremental_value, first.spend)
    assert again.spend_by_day == first.spend_by_day


def test_contacting_nobody_has_no_value_and_no_cost() -> None:
    campaign = CampaignSimulator(CUSTOMERS, 2, seed=3).run(NoContactPolicy(), 500.0)

    assert (campaign.incremental_value, campaign.spend) == (0, 0)
    assert (campaign.customers_contacted, campaign.contacts.sum()) == (0, 0)


def test_contacts_that_the_gate_forbids_are_not_made() -> None:
    campaign = CampaignSimulator(CUSTOMERS, 2, seed=3).run(ContactEverybodyPolicy(), 1e12)

    assert campaign.contacts.sum() <= 3 * 400
    assert campaign.violations == 0


def test_every_baseline_decides_about_all_customers() -> None:
    for name, policy in baselines(CUSTOMERS).items():
        actions = _first_actions(policy(0.3))
        assert len(actions.level) == 200, name
        assert actions.level.min() >= NO_CONTACT


def _first_actions(policy: Policy) -> CampaignActions:
    actions: list[CampaignActions] = []

    class Recorder:
        def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
            actions.append(policy.choose(campaign, rows))
            return actions[-1]

    CampaignSimulator(CUSTOMERS, 1, seed=3).run(Recorder(), 200.0)
    return actions[0]


@pytest.fixture(scope="module")
def clone() -> ActorCritic:
    """A network pretrained on the dynamic program's decisions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.policy.behaviour_cloning.NUM_STEPS", 200)
        patch.setattr("training.policy.behaviour_cloning.PRICES", np.array([0.0, 1.0, 2.0, 4.0]))
        return pretrain(CUSTOMERS, seed=0)


def test_a_clone_of_the_dynamic_program_is_far_above_an_untrained_network_and_keeps_the_budget(
    clone: ActorCritic,
) -> None:
    untrained = Trainer(PPOArgs(num_updates=1, num_envs=64, num_steps=2), CUSTOMERS).train().network
    shares = {}
    for name, network in (("clone", clone), ("untrained", untrained)):
        policy = NetworkPolicy(serving_network(network), SpendForecast(serving_network(network), CUSTOMERS))
        result = BENCHMARK.evaluate(policy, 0.3)
        shares[name] = result.share_of_bound.mean
        assert all(campaign.peak_used <= campaign.budget for campaign in result.campaigns)

    assert shares["clone"] > 0.85
    assert shares["clone"] > shares["untrained"] + 0.05

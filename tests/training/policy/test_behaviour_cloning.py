"""A network cloned from the dynamic program, compared with it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from services.policy.policies.observation import OBSERVATION
from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import Customers, daily_hazard
from training.policy import behaviour_cloning
from training.policy.behaviour_cloning import dataset, policy_loss, pretrain
from training.policy.customers import Population
from training.policy.network import ActorCritic, Heads, load_network

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(6)
CUSTOMERS = Customers(
    RNG.uniform(0.0005, 0.012, 80), np.sort(RNG.beta(2, 10, (80, 4)), axis=1), RNG.uniform(20, 115, 80)
)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour_cloning, "NUM_STEPS", 120)
    monkeypatch.setattr(behaviour_cloning, "PRICES", np.array([0.0, 1.0, 3.0]))


def lost_value(network: ActorCritic) -> float:
    """Share of the value of decisions about contact that wrong ones lose, in states it was not trained on."""
    observations, advantages, _ = dataset(CUSTOMERS, np.random.default_rng(99), customers_per_day=200)
    with torch.no_grad():
        heads = network(torch.from_numpy(observations), torch.ones(len(observations), dtype=torch.bool))
    best, contact = advantages.max(axis=1), heads.contact[:, 1].numpy() > np.log(0.5)
    return float(np.abs(best)[contact != (best > 0)].sum() / np.abs(best).sum())


def test_a_clone_decides_as_the_dynamic_program_where_it_matters() -> None:
    torch.manual_seed(0)

    assert lost_value(pretrain(CUSTOMERS, seed=0)) < 0.03
    assert lost_value(ActorCritic()) > 0.1


def test_the_same_seed_makes_the_same_clone() -> None:
    first, second, other_seed = (pretrain(CUSTOMERS, seed, num_steps=3).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["first.weight"], other_seed["first.weight"])


def test_the_inputs_of_a_clone_have_mean_0_and_standard_deviation_1() -> None:
    observations = dataset(CUSTOMERS, np.random.default_rng(1)).observations
    network = pretrain(CUSTOMERS, seed=1, num_steps=0)
    inputs = (torch.from_numpy(observations) - network.mean) / network.std

    assert inputs.mean(dim=0).numpy() == pytest.approx(0, abs=1e-3)
    assert inputs.std(dim=0).numpy() == pytest.approx(1, abs=1e-3)


def test_a_state_is_labelled_with_the_dynamic_programs_values() -> None:
    customer = Customers(daily_hazard(np.array([0.6])), np.array([[0.1, 0.2, 0.3, 0.35]]), np.array([50.0]))
    rows = zip(*dataset(customer, np.random.default_rng(0), customers_per_day=4), strict=True)

    for price in behaviour_cloning.PRICES:
        for day in DynamicProgram(customer).solve(float(price)):
            for _ in range(4 if day.day % behaviour_cloning.DAY_STRIDE == 0 else 0):
                observation, advantages, value = next(rows)
                facts = dict(zip(OBSERVATION, observation.tolist(), strict=True))
                contacts = round(facts["fatigue_count"] * 3)
                best = day.best[0, contacts] / 50
                assert facts["churn_risk"] == pytest.approx(0.6)
                assert facts["budget_remaining"] == pytest.approx(1 / (1 + price))
                if facts["cooldown_active"]:
                    assert not advantages.any(), "there is nothing to choose"
                    assert 0.85 * best <= value <= best, "discounted by survival"
                    continue
                over_waiting = day.contact[:, 0, contacts] - day.wait[0, contacts]
                assert advantages == pytest.approx(over_waiting / 50, rel=1e-4)
                assert value == pytest.approx(best, rel=1e-4)
    assert next(rows, None) is None


def test_states_are_those_of_a_campaign_with_cooldowns_among_them() -> None:
    observations = dataset(CUSTOMERS, np.random.default_rng(0), customers_per_day=50).observations
    facts = dict(zip(OBSERVATION, observations.T, strict=True))

    assert 0.1 < facts["cooldown_active"].mean() < 0.3
    assert set(np.round(facts["fatigue_count"] * 3)) == {0, 1, 2}
    assert (facts["days_since_contact"][facts["fatigue_count"] == 0] == 1).all()
    assert facts["days_since_contact"].min() < 20 / 30


def test_the_policy_loss_weighs_a_mistake_by_what_it_costs() -> None:
    """A contact gains 3 in the first state and loses 1 in the second; levels are alike, so only contact counts."""
    advantages = torch.tensor([[3.0] * 4, [-1.0] * 4])

    def loss(first: float, second: float) -> float:
        """With these probabilities of contact."""
        contact = torch.tensor([[1 - first, first], [1 - second, second]]).log()
        offer, delay = torch.full((2, 4), 0.25).log(), torch.tensor([[1.0] + [1e-9] * 7] * 2).log()
        return float(policy_loss(Heads(contact, offer, delay, torch.zeros(2)), advantages))

    assert loss(0.5, 0.25) == pytest.approx(-(3 * np.log(0.5) + 1 * np.log(0.75)) / 4, abs=1e-5)
    assert loss(0.5, 0.25) > loss(0.9, 0.25) < loss(0.9, 0.5)


def test_the_policy_loss_favours_the_best_level_most_where_levels_differ_most() -> None:
    advantages = torch.tensor([[1.0, 1.0, 1.0, 5.0], [5.0, 5.0, 5.0, 5.0]])

    offers = torch.zeros(2, 4, requires_grad=True)
    contact, delay = torch.tensor([[0.0, 0.0]] * 2), torch.zeros(2, 8)
    policy_loss(Heads(contact, torch.log_softmax(offers, dim=1), delay, torch.zeros(2)), advantages).backward()

    assert offers.grad[0].argmin() == 3, "down the gradient the best level gets likelier"
    assert offers.grad[1].abs().max() < 1e-6


def test_the_policy_loss_favours_no_delay() -> None:
    delays = torch.zeros(1, 8, requires_grad=True)
    heads = Heads(torch.zeros(1, 2), torch.zeros(1, 4), torch.log_softmax(delays, dim=1), torch.zeros(1))
    policy_loss(heads, torch.ones(1, 4)).backward()

    assert delays.grad[0].argmin() == 0
    assert delays.grad[0, 0] < 0


def test_the_script_leaves_the_network_where_ppo_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    population = Population(CUSTOMERS, CUSTOMERS, pd.DataFrame())
    monkeypatch.setattr(behaviour_cloning, "load_population", lambda mirror, data, artifacts: population)
    out = tmp_path / "made" / "pretrained.npz"
    monkeypatch.setattr("sys.argv", ["behaviour_cloning", "--num-steps", "2", "--out", str(out)])
    behaviour_cloning.main()

    assert torch.equal(load_network(out).first.weight, pretrain(CUSTOMERS, seed=0, num_steps=2).first.weight)
    assert f"training.policy.ppo --pretrained {out}" in capsys.readouterr().out

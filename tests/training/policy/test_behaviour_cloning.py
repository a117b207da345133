"""A clone of the dynamic program, beside it."""

import numpy as np
import pytest
import torch

from services.policy.policies.observation import OBSERVATION
from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import Customers, daily_hazard
from training.policy import behaviour_cloning
from training.policy.behaviour_cloning import cloned, lessons, regret
from training.policy.ppo import Heads, Network

DRAWN = np.random.default_rng(6)
CUSTOMERS = Customers(
    DRAWN.uniform(0.0005, 0.012, 80), np.sort(DRAWN.beta(2, 10, (80, 4)), axis=1), DRAWN.uniform(20, 115, 80)
)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour_cloning, "STEPS", 120)
    monkeypatch.setattr(behaviour_cloning, "PRICES", np.array([0.0, 1.0, 3.0]))


def lost(network: Network) -> float:
    """Share of what decisions about contact are worth that wrong ones lose, in states it did not learn from."""
    states, worth, _ = lessons(CUSTOMERS, np.random.default_rng(99), each=200)
    with torch.no_grad():
        heads = network(torch.from_numpy(states), torch.ones(len(states), dtype=torch.bool))
    best, contact = worth.max(axis=1), heads.contact[:, 1].numpy() > np.log(0.5)
    return float(np.abs(best)[contact != (best > 0)].sum() / np.abs(best).sum())


def test_a_clone_decides_as_the_dynamic_program_where_it_matters() -> None:
    torch.manual_seed(0)

    assert lost(cloned(CUSTOMERS, seed=0)) < 0.03
    assert lost(Network()) > 0.1


def test_the_same_seed_makes_the_same_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour_cloning, "STEPS", 3)
    one, other, another = (cloned(CUSTOMERS, seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["first.weight"], another["first.weight"])


def test_a_clone_sees_inputs_of_mean_0_and_spread_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour_cloning, "STEPS", 0)
    states = lessons(CUSTOMERS, np.random.default_rng(1))[0]
    network = cloned(CUSTOMERS, seed=1)
    seen = (torch.from_numpy(states) - network.mean) / network.spread

    assert seen.mean(dim=0).numpy() == pytest.approx(0, abs=1e-3)
    assert seen.std(dim=0).numpy() == pytest.approx(1, abs=1e-3)


def test_a_lesson_is_what_the_dynamic_program_says_of_its_state() -> None:
    one = Customers(daily_hazard(np.array([0.6])), np.array([[0.1, 0.2, 0.3, 0.35]]), np.array([50.0]))
    states, worth, best = lessons(one, np.random.default_rng(0), each=4)

    rows = iter(zip(states, worth, best, strict=True))
    for price in behaviour_cloning.PRICES:
        for stage in DynamicProgram(one).solve(float(price)):
            for _ in range(4 if stage.day % behaviour_cloning.DAYS == 0 else 0):
                state, value, top = next(rows)
                seen = dict(zip(OBSERVATION, state.tolist(), strict=True))
                contacts = round(seen["fatigue_count"] * 3)
                assert seen["churn_risk"] == pytest.approx(0.6)
                assert seen["budget_remaining"] == pytest.approx(1 / (1 + price))
                if seen["cooldown_active"]:
                    assert not value.any(), "there is nothing to choose"
                    assert 0.85 * stage.best[0, contacts] / 50 <= top <= stage.best[0, contacts] / 50, (
                        "who is still there"
                    )
                    continue
                assert value == pytest.approx((stage.contact[:, 0, contacts] - stage.wait[0, contacts]) / 50, rel=1e-4)
                assert top == pytest.approx(stage.best[0, contacts] / 50, rel=1e-4)
    assert next(rows, None) is None


def test_lessons_are_of_states_that_a_quarter_has_cooldowns_among_them() -> None:
    states = lessons(CUSTOMERS, np.random.default_rng(0), each=50)[0]
    seen = dict(zip(OBSERVATION, states.T, strict=True))

    assert 0.1 < seen["cooldown_active"].mean() < 0.3
    assert set(np.round(seen["fatigue_count"] * 3)) == {0, 1, 2}
    assert (seen["days_since_contact"][seen["fatigue_count"] == 0] == 1).all()
    assert seen["days_since_contact"].min() < 20 / 30


def test_regret_weighs_a_mistake_by_what_it_costs() -> None:
    """A contact is worth 3 in the first state and loses 1 in the second; levels are alike, so only contact counts."""
    worth = torch.tensor([[3.0] * 4, [-1.0] * 4])

    def of(first: float, second: float) -> float:
        """With these probabilities of contact."""
        contact = torch.tensor([[1 - first, first], [1 - second, second]]).log()
        offer, delay = torch.full((2, 4), 0.25).log(), torch.tensor([[1.0] + [1e-9] * 7] * 2).log()
        return float(regret(Heads(contact, offer, delay, torch.zeros(2)), worth))

    assert of(0.5, 0.25) == pytest.approx(-(3 * np.log(0.5) + 1 * np.log(0.75)) / 4, abs=1e-5)
    assert of(0.5, 0.25) > of(0.9, 0.25) < of(0.9, 0.5)


def test_regret_asks_for_the_best_level_most_where_levels_differ_most() -> None:
    worth = torch.tensor([[1.0, 1.0, 1.0, 5.0], [5.0, 5.0, 5.0, 5.0]])

    offers = torch.zeros(2, 4, requires_grad=True)
    contact, delay = torch.tensor([[0.0, 0.0]] * 2), torch.zeros(2, 8)
    regret(Heads(contact, torch.log_softmax(offers, dim=1), delay, torch.zeros(2)), worth).backward()

    assert offers.grad[0].argmin() == 3, "down the slope the best level gets likelier"
    assert offers.grad[1].abs().max() < 1e-6


def test_regret_asks_for_no_delay() -> None:
    delays = torch.zeros(1, 8, requires_grad=True)
    heads = Heads(torch.zeros(1, 2), torch.zeros(1, 4), torch.log_softmax(delays, dim=1), torch.zeros(1))
    regret(heads, torch.ones(1, 4)).backward()

    assert delays.grad[0].argmin() == 0
    assert delays.grad[0, 0] < 0

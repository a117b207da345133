"""Decisions of a fresh day."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.policy.policies.network import Network
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.model import RESPONSE_MODEL, Customers, daily_hazard
from tests.policy.builders import scored, situation
from tests.policy.networks import artifact
from training.policy.evaluation.explain import Day, day, decisions, targets, tenths
from training.policy.simulation.campaign import NO_CONTACT

RISK = np.array([0.9, 0.8, 0.5, 0.3, 0.1])
FACTS = Customers(daily_hazard(RISK, RESPONSE_MODEL), np.full((5, 4), 0.2), np.full(5, 50.0))


def found(ppo: list[int], optimum: list[int], gains: list[float], costs: list[float], price: float = 1.0) -> Day:
    """A day on which level 1 gains and costs so much of each, and the other levels gain nothing."""
    n = len(ppo)
    gain, cost = np.full((4, n), -1.0), np.zeros((4, n))
    gain[1], cost[1] = gains, costs
    decided = (np.array(each) for each in (ppo, [0] * n, optimum))
    return Day(FACTS[:n], price, gain, cost, np.full(n, 0.5), *decided)


@pytest.mark.parametrize("seed", range(3))
def test_a_day_is_what_the_service_would_decide(tmp_path: Path, seed: int) -> None:
    network = Network.load(artifact(tmp_path / "policy", seed))
    rng = np.random.default_rng(seed)
    risk, accept, bill = rng.uniform(0.05, 0.9, 40), np.sort(rng.random((40, 4))), rng.uniform(20, 120, 40)

    decided = day(network, Customers(daily_hazard(risk, RESPONSE_MODEL), accept, bill), 1.5)

    policy = PPOPolicy(network)
    for who in range(40):
        facts = {"churn_risk": risk[who], "accept_probs": tuple(accept[who]), "monthly_charges": bill[who]}
        choice = policy.choose(situation(scored(**facts), price=1.5))
        assert decided.ppo[who] == (NO_CONTACT if choice.level is None else choice.level)
        assert decided.delay[who] == choice.delay_days
        if choice.level is not None:
            assert decided.gains[choice.level, who] == pytest.approx(choice.expected_value)


def test_who_is_there_twice_is_told_by_a_copy() -> None:
    chosen = found([-1] * 3, [-1] * 3, gains=[1.0] * 3, costs=[1.0] * 3)

    rows = decisions(chosen, pd.DataFrame({"customer_id": ["a", "b", "a"]}))

    assert rows["copy"].tolist() == [0, 0, 1]


def test_tenths_hold_as_many_each_and_the_first_is_the_highest() -> None:
    numbers = tenths(np.random.default_rng(0).permutation(100).astype(float))

    assert np.bincount(numbers).tolist() == [0] + [10] * 10
    assert tenths(np.arange(100.0))[[0, -1]].tolist() == [10, 1]


def test_orders_are_compared_as_worked_by_hand() -> None:
    chosen = found([-1, -1, 1, 1, -1], [-1] * 5, gains=[1, 2, 4, 8, 0.5], costs=[3, 1, 1, 2, 1])

    by = targets(chosen)

    assert by["ppo"] == (2, 1, pytest.approx(0.4), 6, 1.5, 1)
    assert by["highest risk first, as many"] == (2, 0, pytest.approx(0.85), 1.5, 2, 0.25)
    assert by["highest risk first, for the same money"] == (1, 0, pytest.approx(0.9), 1, 3, 1 / 12)
    assert by["most gain first, for the same money"] == (2, 1, pytest.approx(0.4), 6, 1.5, 1)


@pytest.mark.parametrize(
    ("ppo", "optimum", "gain", "cost", "said"),
    [
        (
            1,
            1,
            3.0,
            0.5,
            "a contact gains 3.00 for 0.50 of the budget, above its price of 0.50; the index policy",
        ),
        (1, -1, 0.3, 0.5, "for 0.50 of the budget, below its price of 0.50; the index policy would wait."),
        (1, 2, 3.0, 0.0, "a message gains 3.00 and costs nothing of the budget; the index policy would offer 10 %."),
        (-1, -1, -0.2, 0.5, "a message would cost more than it saves"),
        (-1, -1, 0.3, 0.5, "the best contact gains 0.30 for 0.50 of the budget, whose price is 0.50"),
        (-1, 1, 3.0, 0.5, "a contact now would gain 3.00 for 0.50 of the budget, but it waits; the index policy would"),
    ],
)
def test_a_decision_is_explained_by_its_own_numbers(
    ppo: int, optimum: int, gain: float, cost: float, said: str
) -> None:
    one = found([ppo], [optimum], [gain], [cost])

    row = decisions(one, pd.DataFrame({"customer_id": ["a"]})).iloc[0]

    assert row["why"].startswith("risk 90%, tenth 1 of 10; P(accept) 20.0% at 5 % off: ")
    assert said in row["why"]
    assert row["why"].endswith(".")
    assert (row["ppo"] == "no contact") == (ppo == NO_CONTACT)

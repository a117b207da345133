"""Decisions on the first day of a campaign."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.policy.policies.network import Network
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.model import RESPONSE_MODEL, Customers, daily_hazard
from tests.policy.builders import decision_context, scored
from tests.policy.networks import artifact
from training.policy.evaluation.explain import FirstDay, deciles, decision_table, first_day, target_groups
from training.policy.simulation.campaign import NO_CONTACT

RISK = np.array([0.9, 0.8, 0.5, 0.3, 0.1])
CUSTOMERS = Customers(daily_hazard(RISK, RESPONSE_MODEL), np.full((5, 4), 0.2), np.full(5, 50.0))


def decided(
    ppo_level: list[int], index_level: list[int], values: list[float], costs: list[float], price: float = 1.0
) -> FirstDay:
    """A day on which level 1 has these incremental values and costs, and the other levels lose value."""
    n = len(ppo_level)
    by_level, cost_by_level = np.full((4, n), -1.0), np.zeros((4, n))
    by_level[1], cost_by_level[1] = values, costs
    return FirstDay(
        CUSTOMERS[:n],
        price,
        by_level,
        cost_by_level,
        contact_probability=np.full(n, 0.5),
        ppo_level=np.array(ppo_level),
        delay_days=np.zeros(n, dtype=int),
        index_level=np.array(index_level),
    )


@pytest.mark.parametrize("seed", range(3))
def test_decisions_and_values_are_those_of_the_service(tmp_path: Path, seed: int) -> None:
    network = Network.load(artifact(tmp_path / "policy", seed))
    rng = np.random.default_rng(seed)
    risk, accept, bill = rng.uniform(0.05, 0.9, 40), np.sort(rng.random((40, 4))), rng.uniform(20, 120, 40)

    day = first_day(network, Customers(daily_hazard(risk, RESPONSE_MODEL), accept, bill), 1.5)

    policy = PPOPolicy(network)
    for row in range(40):
        facts = {"churn_risk": risk[row], "accept_probs": tuple(accept[row]), "monthly_charges": bill[row]}
        action = policy.choose(decision_context(scored(**facts), price=1.5))
        assert day.ppo_level[row] == (NO_CONTACT if action.level is None else action.level)
        assert day.delay_days[row] == action.delay_days
        if action.level is not None:
            assert day.values[action.level, row] == pytest.approx(action.expected_value)


def test_a_second_record_of_a_customer_is_numbered_as_a_copy() -> None:
    day = decided([-1] * 3, [-1] * 3, values=[1.0] * 3, costs=[1.0] * 3)

    table = decision_table(day, pd.DataFrame({"customer_id": ["a", "b", "a"]}))

    assert table["copy"].tolist() == [0, 0, 1]


def test_deciles_are_of_equal_size_and_the_first_is_the_highest() -> None:
    numbers = deciles(np.random.default_rng(0).permutation(100).astype(float))

    assert np.bincount(numbers).tolist() == [0] + [10] * 10
    assert deciles(np.arange(100.0))[[0, -1]].tolist() == [10, 1]


def test_target_groups_are_as_worked_by_hand() -> None:
    day = decided([-1, -1, 1, 1, -1], [-1] * 5, values=[1, 2, 4, 8, 0.5], costs=[3, 1, 1, 2, 1])

    expected: dict[str, tuple[Any, ...]] = {
        "ppo": (2, 1, pytest.approx(0.4), 6, 1.5, 1),
        "highest risk first, as many contacts": (2, 0, pytest.approx(0.85), 1.5, 2, 0.25),
        "highest risk first, same spend": (1, 0, pytest.approx(0.9), 1, 3, 1 / 12),
        "highest incremental value first, same spend": (2, 1, pytest.approx(0.4), 6, 1.5, 1),
    }
    assert target_groups(day) == expected


@pytest.mark.parametrize(
    ("ppo_level", "index_level", "value", "cost", "expected"),
    [
        (
            1,
            1,
            3.0,
            0.5,
            "a contact adds 3.00 in value, more than the 0.50 that its expected spend of 0.50 costs at the budget's "
            "shadow price; the index policy decides the same.",
        ),
        (1, -1, 0.3, 0.5, "a contact adds 0.30 in value, less than the 0.50 that its expected spend of 0.50 costs"),
        (1, -1, 0.3, 0.5, "; the index policy would wait."),
        (1, 2, 3.0, 0.0, "adds 3.00 in value and spends none of the budget; the index policy would offer 10 %."),
        (-1, -1, -0.2, 0.5, "no contact adds value"),
        (-1, -1, 0.3, 0.5, "the best contact adds 0.30 in value, less than the 0.50 that its expected spend of 0.50"),
        (1, 0, 3.0, 0.5, "; the index policy would send a message without a discount."),
        (
            -1,
            1,
            3.0,
            0.5,
            "a contact now would add 3.00 in value for an expected spend of 0.50, but the network waits; the index",
        ),
    ],
)
def test_a_decision_is_explained_by_its_own_figures(
    ppo_level: int, index_level: int, value: float, cost: float, expected: str
) -> None:
    day = decided([ppo_level], [index_level], [value], [cost])

    row = decision_table(day, pd.DataFrame({"customer_id": ["a"]})).iloc[0]

    assert row["why"].startswith("churn risk 90% (decile 1 of 10), acceptance 20.0% at a discount of 5 %: ")
    assert expected in row["why"]
    assert row["why"].endswith(".")
    assert (row["ppo"] == "no contact") == (ppo_level == NO_CONTACT)

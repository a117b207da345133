import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.evaluation.compare_in_service import Run, compare, table
from training.policy.simulation.service import ServiceRun

pytestmark = pytest.mark.slow

RUN = ServiceRun(
    decisions=1,
    budget=10,
    spend=5,
    peak_used=5,
    violations={},
    contacts=(),
    incremental_value=0,
    spend_by_day=(),
    prices=(),
    seconds=0,
)


def test_policies_are_compared_in_the_same_campaigns() -> None:
    values = {("ppo", 1): 8.0, ("ppo", 2): 6.0, ("index", 1): 7.0, ("index", 2): 5.0}
    results = {
        Run(0.3, seed, policy): RUN._replace(incremental_value=value) for (policy, seed), value in values.items()
    }

    _, ppo, index = table(results, {0.3: 10.0}).splitlines()

    assert "0.700" in ppo
    assert "0.600" in index
    assert "0.100 (0.100 to 0.100)" in index, "the same difference in both campaigns, though the campaigns differ"
    assert "50.0%" in index


def test_violations_are_summed_over_the_campaigns() -> None:
    results = {Run(0.1, seed, "ppo"): RUN._replace(violations={"cooldown": seed}) for seed in (1, 2)}

    assert table(results, {0.1: 1.0}).splitlines()[1].endswith(" 3")


def test_the_baseline_runs_through_the_service_at_every_budget_without_a_violation() -> None:
    rng = np.random.default_rng(3)
    accept = np.sort(rng.beta(2, 8, (30, 4)), axis=1)
    customers = Customers(rng.uniform(0.001, 0.01, 30), accept, rng.uniform(30, 90, 30))

    comparison = compare(customers, ["baseline"], seeds=2, copies=1, jobs=2)

    assert comparison.count("baseline") == 1 + 3
    assert {line.split()[-1] for line in comparison.splitlines()[1:]} == {"0"}

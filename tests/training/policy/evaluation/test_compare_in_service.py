import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.evaluation.compare_in_service import Run, contest, table
from training.policy.simulation.service import ServiceRun

BLANK = ServiceRun(
    decisions=1,
    budget=10,
    spend=5,
    peak_committed=5,
    violations={},
    contacts=(),
    incremental_value=0,
    spend_by_day=(),
    prices=(),
    seconds=0,
)


def test_policies_are_compared_on_the_same_quarters() -> None:
    gains = {("ppo", 1): 8.0, ("ppo", 2): 6.0, ("index", 1): 7.0, ("index", 2): 5.0}
    found = {Run(0.3, seed, policy): BLANK._replace(incremental_value=gain) for (policy, seed), gain in gains.items()}

    _, ppo, index = table(found, {0.3: 10.0}).splitlines()

    assert "0.700" in ppo
    assert "0.600" in index
    assert "0.100 (0.100 to 0.100)" in index, "alike in both quarters, though the quarters differ"
    assert "50.0%" in index


def test_what_was_broken_is_counted_over_the_quarters() -> None:
    found = {Run(0.1, seed, "ppo"): BLANK._replace(violations={"cooldown": seed}) for seed in (1, 2)}

    assert table(found, {0.1: 1.0}).splitlines()[1].endswith(" 3")


@pytest.mark.parametrize("jobs", [2])
def test_baselines_live_through_the_service(jobs: int) -> None:
    rng = np.random.default_rng(3)
    people = Customers(rng.uniform(0.001, 0.01, 30), np.sort(rng.beta(2, 8, (30, 4)), axis=1), rng.uniform(30, 90, 30))

    said = contest(people, ["baseline"], seeds=2, copies=1, jobs=jobs)

    assert said.count("baseline") == 1 + 3
    assert {line.split()[-1] for line in said.splitlines()[1:]} == {"0"}

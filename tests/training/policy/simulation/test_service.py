"""Short campaigns through the policy service, and whether the audit sees what is wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.policy.budget.ledger import Shard
from services.policy.budget.pacing import planned_share
from services.policy.customer import gate
from services.policy.customer.gate import ActionMask
from services.policy.policies.base import Policy
from services.policy.policies.index_policy import IndexPolicy
from services.policy.policies.network import Network
from services.policy.policies.one_step import OneStepPolicy
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import Customers, daily_hazard
from shared.artifacts import Manifest
from shared.messages import OFFERS
from tests.policy.builders import MaxOfferPolicy
from tests.policy.networks import arrays
from training.policy.customers import Population
from training.policy.network import ActorCritic, save_network
from training.policy.simulation import service
from training.policy.simulation.audit import AUDITED_RULES
from training.policy.simulation.service import ServiceRun, simulate

pytestmark = pytest.mark.slow

N, BUDGET, DAYS = 12, 30.0, 45
SHORT = RULES._replace(campaign_days=DAYS)


def customers(n: int = N) -> Customers:
    rng = np.random.default_rng(0)
    accept = np.sort(rng.uniform(0.05, 0.6, (n, 4)))
    return Customers(daily_hazard(rng.uniform(0.1, 0.8, n)), accept, rng.uniform(20, 110, n))


def untrained() -> Network:
    manifest = Manifest(version="untrained", made_by="", inputs={}, data_sha256={}, metrics={})
    return Network(arrays(), manifest)


@pytest.mark.parametrize(
    ("policy", "answer_days"),
    [
        (OneStepPolicy(), 0),
        (IndexPolicy(), 0),
        (PPOPolicy(untrained()), 0),
        (MaxOfferPolicy(), 0),
        (MaxOfferPolicy(), 14),
    ],
)
def test_every_policy_keeps_budget_and_rules_through_the_service(policy: Policy, answer_days: int) -> None:
    run = simulate(policy, customers(), 1, BUDGET, answer_days=answer_days, rules=SHORT)

    assert run.violations == dict.fromkeys(AUDITED_RULES, 0)
    assert run.spend <= run.peak_used <= BUDGET
    assert sum(run.contacts) > 0
    assert len(run.spend_by_day) == len(run.prices) == DAYS
    assert list(run.spend_by_day) == sorted(run.spend_by_day)


@pytest.mark.parametrize(("hazard", "days"), [(1e-12, DAYS), (1e3, 1)])
def test_every_active_customer_has_a_decision_a_day(hazard: float, days: int) -> None:
    _, accept, bill = customers()
    run = simulate(OneStepPolicy(), Customers(np.full(N, hazard), accept, bill), 2, BUDGET, rules=SHORT)

    assert run.decisions == 2 * N * days


def test_the_same_seed_gives_the_same_campaign_and_another_seed_another() -> None:
    first, repeated, other_seed = (
        simulate(MaxOfferPolicy(), customers(), 1, BUDGET, seed=seed, rules=SHORT) for seed in (1, 1, 2)
    )

    assert first._replace(seconds=0) == repeated._replace(seconds=0)
    assert first.spend_by_day != other_seed.spend_by_day


def test_a_short_budget_is_used_up_unless_late_answers_keep_it_reserved() -> None:
    at_once, late = (
        simulate(MaxOfferPolicy(), customers(), 3, 2 * BUDGET, answer_days=days, rules=SHORT) for days in (0, 14)
    )

    assert at_once.utilisation > 0.9
    assert late.utilisation < at_once.utilisation
    assert late.peak_used > 0.8 * 2 * BUDGET


def test_the_audit_sees_a_gate_that_allows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "action_mask", lambda *_: ActionMask((True,) * len(OFFERS)))
    run = simulate(MaxOfferPolicy(), customers(), 1, 1e6, rules=SHORT)

    assert all(run.violations[rule] > 0 for rule in ("cooldown", "offer-holds", "cap"))
    assert run.violations["budget"] == 0


def test_the_audit_sees_a_ledger_that_lends_more_than_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shard, "free", property(lambda shard: 10**9))
    run = simulate(MaxOfferPolicy(), customers(), 1, BUDGET, rules=SHORT)

    assert run.violations["budget"] > 0
    assert run.peak_used > BUDGET


def test_spend_is_compared_with_the_pacing_plan() -> None:
    run = ServiceRun(0, 10.0, 9.5, 10.0, {"cap": 0}, (1, 2), 0.0, (6.0, 8.0, 9.5), (1.0,) * 3, 0.0)

    assert run.utilisation == 0.95
    assert run.ahead == pytest.approx([0.6 - planned_share(1 / 3), 0.8 - planned_share(2 / 3), 0.95 - 1])
    assert "9.50 of 10.00 (95.00%)" in str(run)


@pytest.fixture
def _population(monkeypatch: pytest.MonkeyPatch) -> None:
    population = Population(customers(), customers(), pd.DataFrame())
    monkeypatch.setattr(service, "load_population", lambda mirror, data, artifacts: population)


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["service", "--copies", "1", *arguments])
    service.main()


@pytest.mark.usefixtures("_population")
def test_the_script_simulates_a_network_that_ppo_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_network(ActorCritic(), tmp_path / "ppo.npz")
    run_script(monkeypatch, "--network", str(tmp_path / "ppo.npz"))

    assert "violations   cooldown 0, offer-holds 0, cap 0, budget 0" in capsys.readouterr().out


@pytest.mark.usefixtures("_population")
def test_the_script_says_what_makes_a_missing_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"no network .*missing\.npz.*python -m training\.policy\.ppo"):
        run_script(monkeypatch, "--network", str(tmp_path / "missing.npz"))

"""A short quarter through the policy service, and whether who watches it sees what is wrong."""

import numpy as np
import pytest

from services.policy.budget.ledger import Shard
from services.policy.budget.pacing import planned_share
from services.policy.customer import gate
from services.policy.customer.gate import ActionMask
from services.policy.policies.base import Policy
from services.policy.policies.index_policy import IndexPolicy
from services.policy.policies.network import Network
from services.policy.policies.one_step import BaselinePolicy
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import Customers, daily_hazard
from shared.artifacts import Manifest
from shared.messages import OFFERS
from tests.policy.builders import MaxOfferPolicy
from tests.policy.networks import arrays
from training.policy.simulation.audit import AUDITED_RULES
from training.policy.simulation.service import ServiceRun, simulate

N, BUDGET, DAYS = 12, 30.0, 45
SHORT = RULES._replace(quarter=DAYS)


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
        (BaselinePolicy(), 0),
        (IndexPolicy(), 0),
        (PPOPolicy(untrained()), 0),
        (MaxOfferPolicy(), 0),
        (MaxOfferPolicy(), 14),
    ],
)
def test_a_quarter_of_each_policy_keeps_every_promise(policy: Policy, answer_days: int) -> None:
    lived = simulate(policy, customers(), 1, BUDGET, answer_days=answer_days, rules=SHORT)

    assert lived.violations == dict.fromkeys(AUDITED_RULES, 0)
    assert lived.spend <= lived.peak_committed <= BUDGET
    assert sum(lived.contacts) > 0
    assert len(lived.spend_by_day) == len(lived.prices) == DAYS
    assert list(lived.spend_by_day) == sorted(lived.spend_by_day)


def test_every_customer_has_a_decision_a_day_while_they_are_there() -> None:
    some = customers()

    for hazard, days in ((1e-12, DAYS), (1e3, 1)):
        lived = simulate(
            BaselinePolicy(), Customers(np.full(N, hazard), some.accept, some.bill), 2, BUDGET, rules=SHORT
        )
        assert lived.decisions == 2 * N * days


def test_the_same_seed_is_the_same_quarter_and_another_is_not() -> None:
    one, again, other = (
        simulate(MaxOfferPolicy(), customers(), 1, BUDGET, seed=seed, rules=SHORT) for seed in (1, 1, 2)
    )

    assert one._replace(seconds=0) == again._replace(seconds=0)
    assert one.spend_by_day != other.spend_by_day


def test_a_short_budget_is_used_and_answers_that_come_late_lock_it_up() -> None:
    at_once, late = (
        simulate(MaxOfferPolicy(), customers(), 3, 2 * BUDGET, answer_days=days, rules=SHORT) for days in (0, 14)
    )

    assert at_once.utilisation > 0.9
    assert late.utilisation < at_once.utilisation
    assert late.peak_committed > 0.8 * 2 * BUDGET


def anything(*_: object) -> ActionMask:
    return ActionMask((True,) * len(OFFERS))


def test_a_gate_that_allows_anything_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "action_mask", anything)
    lived = simulate(MaxOfferPolicy(), customers(), 1, 1e6, rules=SHORT)

    assert all(lived.violations[rule] > 0 for rule in ("cooldown", "offer-holds", "cap"))
    assert lived.violations["budget"] == 0


def test_a_ledger_that_lends_what_it_does_not_hold_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shard, "free", property(lambda shard: 10**9))
    lived = simulate(MaxOfferPolicy(), customers(), 1, BUDGET, rules=SHORT)

    assert lived.violations["budget"] > 0
    assert lived.peak_committed > BUDGET


def test_it_is_told_beside_the_calendar() -> None:
    lived = ServiceRun(0, 10.0, 9.5, 10.0, {"cap": 0}, (1, 2), 0.0, (6.0, 8.0, 9.5), (1.0,) * 3, 0.0)

    assert lived.utilisation == 0.95
    assert lived.ahead == pytest.approx([0.6 - planned_share(1 / 3), 0.8 - planned_share(2 / 3), 0.95 - 1])
    assert "9.50 of 10.00 (95.00%)" in str(lived)

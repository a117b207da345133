import numpy as np
import pytest

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.base import Exploration
from services.policy.policies.index_policy import IndexPolicy, SingleCustomerDP
from services.policy.response.dynamic_program import RULES, DynamicProgram, Rules
from services.policy.response.model import Customers, daily_hazard
from tests.policy.builders import scored, situation


def someone(rng: np.random.Generator) -> Customers:
    accept = np.sort(rng.uniform(0, 0.6, (1, 4)))
    return Customers(daily_hazard(rng.uniform(0.001, 0.999, 1)), accept, rng.uniform(5, 120, 1))


@pytest.mark.parametrize("rules", [RULES, Rules(cooldown=30, cap=2), Rules(cooldown=70, cap=5), Rules(cap=1)])
def test_all_days_at_once_are_as_one_by_one(rules: Rules) -> None:
    rng = np.random.default_rng(3)
    for price in (0.0, 0.7, 5.0):
        customer = someone(rng)
        stages = {stage.day: stage for stage in DynamicProgram(customer, rules=rules).solve(price)}
        for day in (0, 1, 40, 75, 76, 89):
            for contacts in range(rules.cap):
                contact, wait = SingleCustomerDP(customer, rules=rules).action_values(price, day, contacts)
                assert contact == pytest.approx(stages[day].contact[:, 0, contacts].tolist(), abs=1e-9)
                assert wait == pytest.approx(stages[day].wait[0, contacts], abs=1e-9)


def test_the_best_of_what_is_allowed_is_chosen_where_it_beats_waiting() -> None:
    rng = np.random.default_rng(4)
    chosen = []
    for n in range(30):
        hazard, accept, bill = someone(rng)
        customer = scored(
            event_id=str(n),
            churn_risk=1 - float(np.exp(-hazard[0] * 90)),
            accept_probs=tuple(accept[0]),
            monthly_charges=float(bill[0]),
        )
        allowed, day = ActionMask(tuple(level <= n % 4 for level in range(4))), int(rng.integers(60, 90))
        [stage] = [s for s in DynamicProgram(Customers(hazard, accept, bill)).solve(0.0) if s.day == day]
        contact = np.where(allowed.offers, stage.contact[:, 0, 1], -np.inf)
        best = int(contact.argmax()) if contact.max() > stage.wait[0, 1] else None
        choice = IndexPolicy().choose(situation(customer, allowed, day=day, contacts=1))
        assert choice.level == best
        chosen.append(best)
    assert len(set(chosen)) > 3, "the customers are as different as their actions"


def test_dear_money_is_kept() -> None:
    levels = [IndexPolicy().choose(situation(scored(), price=price)).level for price in (0.0, 1e6)]

    assert levels[0]
    assert levels[1] in (None, 0)


def test_whom_the_gate_forbids_is_left_alone_and_others_are_explored() -> None:
    policy = IndexPolicy(Exploration(1.0))
    choices = [
        policy.choose(situation(scored(event_id=str(n)), ActionMask((True, False, False, True)))) for n in range(99)
    ]

    assert policy.choose(situation(allowed=ActionMask(NO_CONTACT))).level is None
    assert {c.level for c in choices} == {None, 0, 3}
    assert all(c.propensity == pytest.approx(1 / 3) for c in choices)


@pytest.mark.parametrize("cooldown", [0, 70, 400])
def test_it_decides_whatever_the_cooldown_is(cooldown: int) -> None:
    choice = IndexPolicy(rules=Rules(cooldown=cooldown)).choose(situation(contacts=1))

    assert choice.propensity == 1

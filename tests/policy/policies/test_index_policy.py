import numpy as np
import pytest

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.base import Exploration
from services.policy.policies.index_policy import IndexPolicy, SingleCustomerDP
from services.policy.response.dynamic_program import RULES, DynamicProgram, Rules
from services.policy.response.model import Customers, daily_hazard
from tests.policy.builders import decision_context, scored


def random_customer(rng: np.random.Generator) -> Customers:
    accept = np.sort(rng.uniform(0, 0.6, (1, 4)))
    return Customers(daily_hazard(rng.uniform(0.001, 0.999, 1)), accept, rng.uniform(5, 120, 1))


@pytest.mark.parametrize(
    "rules",
    [RULES, Rules(cooldown_days=30, contact_cap=2), Rules(cooldown_days=70, contact_cap=5), Rules(contact_cap=1)],
)
def test_the_vectorised_program_has_the_values_of_backward_induction(rules: Rules) -> None:
    rng = np.random.default_rng(3)
    for price in (0.0, 0.7, 5.0):
        customer = random_customer(rng)
        values = {day.day: day for day in DynamicProgram(customer, rules=rules).solve(price)}
        for day in (0, 1, 40, 75, 76, 89):
            for contacts in range(rules.contact_cap):
                contact, wait = SingleCustomerDP(customer, rules=rules).action_values(price, day, contacts)
                assert contact == pytest.approx(values[day].contact[:, 0, contacts].tolist(), abs=1e-9)
                assert wait == pytest.approx(values[day].wait[0, contacts], abs=1e-9)


def test_the_best_allowed_level_is_chosen_if_it_is_worth_more_than_to_wait() -> None:
    rng = np.random.default_rng(4)
    levels = []
    for n in range(30):
        hazard, accept, bill = random_customer(rng)
        customer = scored(
            event_id=str(n),
            churn_risk=1 - float(np.exp(-hazard[0] * 90)),
            accept_probs=tuple(accept[0]),
            monthly_charges=float(bill[0]),
        )
        allowed, day = ActionMask(tuple(level <= n % 4 for level in range(4))), int(rng.integers(60, 90))
        [values] = [v for v in DynamicProgram(Customers(hazard, accept, bill)).solve(0.0) if v.day == day]
        contact = np.where(allowed.offers, values.contact[:, 0, 1], -np.inf)
        best = int(contact.argmax()) if contact.max() > values.wait[0, 1] else None
        assert IndexPolicy().choose(decision_context(customer, allowed, day=day, contacts=1)).level == best
        levels.append(best)
    assert len(set(levels)) > 3, "the customers differ enough to be treated differently"


def test_no_discount_is_given_at_a_high_price() -> None:
    levels = [IndexPolicy().choose(decision_context(scored(), price=price)).level for price in (0.0, 1e6)]

    assert levels[0]
    assert levels[1] in (None, 0)


def test_a_customer_is_not_contacted_if_the_gate_masks_all_levels() -> None:
    policy = IndexPolicy(Exploration(1.0))

    assert policy.choose(decision_context(allowed=ActionMask(NO_CONTACT))).level is None


def test_exploration_is_uniform_over_the_allowed_actions() -> None:
    policy, mask = IndexPolicy(Exploration(1.0)), ActionMask((True, False, False, True))
    actions = [policy.choose(decision_context(scored(event_id=str(n)), mask)) for n in range(99)]

    assert {action.level for action in actions} == {None, 0, 3}
    assert all(action.propensity == pytest.approx(1 / 3) for action in actions)

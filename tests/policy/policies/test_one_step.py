from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.one_step import OneStepPolicy
from services.policy.response.model import RESPONSE_MODEL
from tests.policy.builders import decision_context, scored

Share = st.floats(0, 1)


def test_the_value_is_the_bill_saved_less_the_discount_and_the_cost_of_a_contact() -> None:
    customer = scored(churn_risk=0.8, accept_probs=(0.1, 0.3, 0.6, 0.7), monthly_charges=100)

    action = OneStepPolicy().choose(decision_context(customer))

    # 0 %: 0.1·100·0.40 = 4;  5 %: 0.3·100·0.35 = 10.5;  10 %: 0.6·100·0.30 = 18;  15 %: 0.7·100·0.25 = 17.5
    assert action.level == 2
    assert action.expected_value == pytest.approx(18 - RESPONSE_MODEL.contact_cost)
    assert action.retention_prob == pytest.approx(1 - 0.8 * (1 - 0.6 * 0.5))


def test_the_best_allowed_level_is_chosen() -> None:
    customer = scored(churn_risk=0.8, accept_probs=(0.1, 0.3, 0.6, 0.7), monthly_charges=100)

    action = OneStepPolicy().choose(decision_context(customer, ActionMask((True, True, False, False))))

    assert action.level == 1
    assert action.expected_value == pytest.approx(10.5 - RESPONSE_MODEL.contact_cost)


def test_an_unknown_bill_is_taken_to_be_the_typical_one() -> None:
    customer = scored(churn_risk=0.5, accept_probs=(0.5, 0.5, 0.5, 0.5), monthly_charges=None)

    action = OneStepPolicy().choose(decision_context(customer, ActionMask((True, False, False, False))))

    assert action.expected_value == pytest.approx(0.5 * 64.76 * 0.25 - RESPONSE_MODEL.contact_cost)


@pytest.mark.parametrize(
    "facts",
    [
        {"churn_risk": 0.0},
        {"accept_probs": (0.0, 0.0, 0.0, 0.0)},
        {"monthly_charges": 0.0},
        {"churn_risk": 0.01, "monthly_charges": 20.0},
    ],
)
def test_a_customer_is_not_contacted_if_no_level_has_a_positive_value(facts: dict[str, Any]) -> None:
    action = OneStepPolicy().choose(decision_context(scored(**facts)))

    assert action.level is None
    assert action.expected_value == 0
    assert action.retention_prob == pytest.approx(1 - scored(**facts).churn_risk)


def test_a_customer_is_not_contacted_if_the_gate_masks_all_levels() -> None:
    assert OneStepPolicy().choose(decision_context(allowed=ActionMask(NO_CONTACT, ("cooldown",)))).level is None


@given(
    risk=Share,
    accept=st.tuples(Share, Share, Share, Share),
    charges=st.none() | st.floats(0, 1_000),
    offers=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
def test_only_allowed_levels_are_chosen_and_with_probability_one(
    risk: float, accept: tuple[float, ...], charges: float | None, offers: tuple[bool, ...]
) -> None:
    customer = scored(churn_risk=risk, accept_probs=accept, monthly_charges=charges)

    action = OneStepPolicy().choose(decision_context(customer, ActionMask(offers)))

    assert action.level is None or offers[action.level]
    assert action.propensity == 1
    assert 0 <= action.retention_prob <= 1
    assert (action.expected_value > 0) == (action.level is not None)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.one_step import BaselinePolicy
from services.policy.response.model import RESPONSE_MODEL
from tests.policy.builders import scored, situation

Share = st.floats(0, 1)


def test_the_value_is_what_acceptance_saves_less_what_contact_costs() -> None:
    customer = scored(churn_risk=0.8, accept_probs=(0.1, 0.3, 0.6, 0.7), monthly_charges=100)

    choice = BaselinePolicy().choose(situation(customer))

    # 0 %: 0.1·100·0.40 = 4;  5 %: 0.3·100·0.35 = 10.5;  10 %: 0.6·100·0.30 = 18;  15 %: 0.7·100·0.25 = 17.5
    # less what a contact costs
    assert choice.level == 2
    assert choice.expected_value == pytest.approx(18 - RESPONSE_MODEL.contact_cost)
    assert choice.retention == pytest.approx(1 - 0.8 * (1 - 0.6 * 0.5))


def test_of_what_the_gate_leaves_the_best_is_taken() -> None:
    customer = scored(churn_risk=0.8, accept_probs=(0.1, 0.3, 0.6, 0.7), monthly_charges=100)

    choice = BaselinePolicy().choose(situation(customer, ActionMask((True, True, False, False))))

    assert choice.level == 1
    assert choice.expected_value == pytest.approx(10.5 - RESPONSE_MODEL.contact_cost)


def test_an_unknown_bill_is_taken_to_be_the_typical_one() -> None:
    customer = scored(churn_risk=0.5, accept_probs=(0.5, 0.5, 0.5, 0.5), monthly_charges=None)

    choice = BaselinePolicy().choose(situation(customer, ActionMask((True, False, False, False))))

    assert choice.expected_value == pytest.approx(0.5 * 64.76 * 0.25 - RESPONSE_MODEL.contact_cost)


@pytest.mark.parametrize(
    "facts",
    [
        {"churn_risk": 0.0},
        {"accept_probs": (0.0, 0.0, 0.0, 0.0)},
        {"monthly_charges": 0.0},
        {"churn_risk": 0.01, "monthly_charges": 20.0},
    ],
)
def test_nobody_is_contacted_where_nothing_is_worth_it(facts: dict[str, object]) -> None:
    choice = BaselinePolicy().choose(situation(scored(**facts)))

    assert choice.level is None
    assert choice.expected_value == 0
    assert choice.retention == pytest.approx(1 - scored(**facts).churn_risk)


def test_where_the_gate_allows_nothing_nothing_is_chosen() -> None:
    assert BaselinePolicy().choose(situation(allowed=ActionMask(NO_CONTACT, ("cooldown",)))).level is None


@given(
    risk=Share,
    accept=st.tuples(Share, Share, Share, Share),
    charges=st.none() | st.floats(0, 1_000),
    offers=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
def test_only_what_is_allowed_is_chosen_and_always_with_probability_one(
    risk: float, accept: tuple[float, ...], charges: float | None, offers: tuple[bool, ...]
) -> None:
    customer = scored(churn_risk=risk, accept_probs=accept, monthly_charges=charges)

    choice = BaselinePolicy().choose(situation(customer, ActionMask(offers)))

    assert choice.level is None or offers[choice.level]
    assert choice.propensity == 1
    assert 0 <= choice.retention <= 1
    assert (choice.expected_value > 0) == (choice.level is not None)

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.policies.observation import OBSERVATION, observation_of, observe
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL, daily_hazard
from tests.policy.builders import decision_context, scored

Share = st.floats(0, 1)


def observed(
    risk: float = 0.3,
    price: float = 0.0,
    days_since_contact: float = 1000,
    offer_days_left: float = 0,
    contacts: int = 0,
) -> dict[str, float]:
    """The features of a customer, by name."""
    out = np.empty((len(OBSERVATION), 1), np.float32)
    accept = np.array([[0.1], [0.2], [0.3], [0.4]])
    price_of, days, left, made = np.array([[price], [days_since_contact], [offer_days_left], [contacts]], np.float32)
    observe(out, daily_hazard(np.array([risk])), accept, price_of, days, left, made, RESPONSE_MODEL, RULES)
    return dict(zip(OBSERVATION, out[:, 0].tolist(), strict=True))


def test_the_features_of_a_new_customer_are_in_the_order_of_their_names() -> None:
    assert list(observed()) == [
        "churn_risk",
        *(f"accept_prob_{level}" for level in range(4)),
        "budget_remaining",
        "days_since_contact",
        "cooldown_active",
        "fatigue_count",
    ]
    assert list(observed().values()) == pytest.approx([0.3, 0.1, 0.2, 0.3, 0.4, 1, 1, 0, 0])


def test_an_accepted_offer_lowers_the_risk_while_it_has_an_effect() -> None:
    assert observed(offer_days_left=1)["churn_risk"] == pytest.approx(1 - 0.7 ** (1 - RESPONSE_MODEL.effect))


@pytest.mark.parametrize(
    ("days_since_contact", "offer_days_left", "active"),
    [(0, 0, 1), (13, 0, 1), (14, 0, 0), (14, 1, 1), (1000, 0, 0), (14, 0.5, 1)],
)
def test_the_cooldown_is_active_while_the_gate_forbids_contact_for_it_or_for_an_offer(
    days_since_contact: int, offer_days_left: float, active: int
) -> None:
    features = observed(days_since_contact=days_since_contact, offer_days_left=offer_days_left)

    assert features["cooldown_active"] == active


def test_the_budget_remaining_falls_with_the_price_to_zero() -> None:
    assert [observed(price=price)["budget_remaining"] for price in (0, 1, 3, np.inf)] == [1, 0.5, 0.25, 0]


def test_days_since_contact_and_contacts_are_shares_of_their_maxima() -> None:
    assert observed(days_since_contact=15)["days_since_contact"] == pytest.approx(0.5)
    assert observed(days_since_contact=31)["days_since_contact"] == 1
    assert observed(contacts=2)["fatigue_count"] == pytest.approx(2 / 3)
    assert observed(contacts=4)["fatigue_count"] == 1


@given(
    risk=Share,
    accept=st.tuples(Share, Share, Share, Share),
    price=st.floats(0, 1e6),
    days_since_contact=st.floats(0, 100) | st.just(inf),
    offer_days_left=st.integers(0, 60),
    contacts=st.integers(0, 5),
)
def test_the_scalar_and_the_vector_observation_are_equal(
    risk: float, accept: tuple[float, ...], price: float, days_since_contact: float, offer_days_left: int, contacts: int
) -> None:
    history = days_since_contact, offer_days_left, contacts
    scalar = observation_of(scored(churn_risk=risk, accept_probs=accept), price, *history)

    vector = observe(
        np.empty((len(OBSERVATION), 1)),
        daily_hazard(np.array([risk])),
        np.array(accept)[:, None],
        price,
        days_since_contact,
        np.array([offer_days_left]),
        contacts,
        RESPONSE_MODEL,
        RULES,
    )
    assert scalar == pytest.approx(vector[:, 0].tolist(), abs=1e-12)


def test_a_decision_is_observed_by_the_rules_of_its_context() -> None:
    facts: dict[str, Any] = {"days_since_contact": 10.0, "contacts": 1, "price": 1.0}
    usual, strict = (
        decision_context(**facts, rules=rules) for rules in (RULES, RULES._replace(cooldown_days=7, contact_cap=4))
    )

    assert usual.observation[-4:] == (0.5, 1 / 3, 1.0, 1 / 3) == observation_of(scored(), 1.0, 10.0, 0, 1)[-4:]
    assert strict.observation[-4:] == (0.5, 1 / 3, 0.0, 1 / 4)

from math import inf
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.app import load_policy
from services.policy.customer.billing import TYPICAL_CHARGES
from services.policy.customer.gate import ActionMask
from services.policy.policies.action_value import action_value
from services.policy.response.model import RESPONSE_MODEL, Customers, daily_hazard, incremental_value
from shared.messages import OFFERS
from shared.settings import Settings
from tests.policy.builders import decision_context, scored

Share = st.floats(0, 1)


@given(
    risk=Share,
    accept=Share,
    bill=st.floats(0, 1_000),
    offer_days_left=st.integers(0, 60),
    contacts=st.integers(0, 3),
    day=st.integers(0, 89),
    level=st.integers(0, 3),
)
def test_the_value_of_a_contact_is_its_incremental_value(
    risk: float, accept: float, bill: float, offer_days_left: int, contacts: int, day: int, level: int
) -> None:
    customer = scored(churn_risk=risk, accept_probs=(accept,) * len(OFFERS), monthly_charges=bill)
    context = decision_context(customer, offer_days_left=offer_days_left, contacts=contacts, day=day)

    customers = Customers(daily_hazard(np.array([risk])), np.full((1, len(OFFERS)), accept), np.array([bill]))
    days = RESPONSE_MODEL.value_days - day
    [gain], _ = incremental_value(customers, np.array([level]), days, np.array([offer_days_left]), np.array([contacts]))
    assert action_value(context, level).incremental_value == pytest.approx(gain, rel=1e-9, abs=1e-8)


def test_without_contact_the_customer_stays_as_the_risk_says() -> None:
    value, retention_prob = action_value(decision_context(scored(churn_risk=0.3)), None)

    assert value == 0.0
    assert retention_prob == pytest.approx(0.7)


def test_a_recent_contact_still_raises_the_hazard() -> None:
    context = decision_context(scored(churn_risk=0.3), days_since_contact=4.0, contacts=2)

    assert action_value(context, None).retention_prob == pytest.approx(0.7 ** (1 + 0.05 * 2 * 10 / 90))


def test_a_contact_raises_the_hazard_and_an_accepted_offer_lowers_it() -> None:
    customer = scored(churn_risk=0.3, accept_probs=(0.0, 0.0, 0.25, 0.0))
    value = action_value(decision_context(customer, days_since_contact=inf, offer_days_left=20), 2)

    fatigue = 0.05 * 14 / 90
    declined, accepted = 0.7 ** (1 - 0.5 * 20 / 90 + fatigue), 0.7 ** (1 - 0.5 * 50 / 90 + fatigue)
    assert value.retention_prob == pytest.approx(0.75 * declined + 0.25 * accepted)


def test_an_unknown_bill_is_taken_to_be_the_typical_one() -> None:
    unknown, typical = (decision_context(scored(monthly_charges=bill)) for bill in (None, TYPICAL_CHARGES))

    assert action_value(unknown, 0) == action_value(typical, 0)


@pytest.mark.parametrize("policy", ["ppo", "index", "baseline"])
def test_no_policy_contacts_where_it_states_no_gain(policy: Literal["ppo", "index", "baseline"]) -> None:
    rng, chooser = np.random.default_rng(1), load_policy(Settings(policy=policy))
    contacts = 0
    for number in range(400):
        customer = scored(
            event_id=str(number),
            churn_risk=rng.uniform(),
            accept_probs=tuple(sorted(rng.uniform(0, 0.5, 4))),
            monthly_charges=None if number % 3 == 0 else rng.uniform(0, 100),
        )
        mask = ActionMask((True, *(number % 3 != 0,) * 3))
        context = decision_context(customer, mask, contacts=number % 3, price=rng.uniform(0, 3), day=number % 90)
        action = chooser.choose(context)
        assert action.level is None or action.expected_value > 0
        contacts += action.level is not None
    assert contacts > 20


def test_the_customer_of_the_public_report_is_not_contacted_at_a_loss() -> None:
    accept_probs = (0.01, 0.02, 0.03, 0.04)
    customer = scored(churn_risk=0.65, tenure=17.0, monthly_charges=None, accept_probs=accept_probs)
    action = load_policy(Settings()).choose(decision_context(customer, ActionMask((True, False, False, False))))
    assert action.level is None
    assert action.expected_value == 0

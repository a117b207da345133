"""One customer in plain numbers, beside many in arrays."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.policies.one_step import TYPICAL_CHARGES
from services.policy.response import model
from services.policy.response import scalar as plain
from services.policy.response.model import RESPONSE_MODEL, Customers
from shared.messages import OFFERS, ScoredCustomer
from tests.policy.builders import scored, situation

Share = st.floats(0, 1)
Held, Contacts, Day = st.integers(0, 60), st.integers(0, 3), st.integers(0, 89)


def customers(of: ScoredCustomer, bill: float) -> Customers:
    return Customers(model.daily_hazard(np.array([of.churn_risk])), np.array([of.accept_probs]), np.array([bill]))


@given(
    risk=Share,
    accept=Share,
    bill=st.floats(0, 1_000),
    offer_days_left=Held,
    contacts=Contacts,
    day=Day,
    level=st.integers(0, 3),
)
def test_a_gain_is_the_worlds(
    risk: float, accept: float, bill: float, offer_days_left: int, contacts: int, day: int, level: int
) -> None:
    customer = scored(churn_risk=risk, accept_probs=(accept,) * len(OFFERS), monthly_charges=bill)

    found = plain.value(situation(customer, offer_days_left=offer_days_left, contacts=contacts, day=day), level).gain

    days = RESPONSE_MODEL.value_days - day
    [gain], _ = model.incremental_value(
        customers(customer, bill), np.array([level]), days, np.array([offer_days_left]), np.array([contacts])
    )
    assert found == pytest.approx(gain, rel=1e-9, abs=1e-8)


@given(days=st.integers(0, 365), offer_days_left=Held, fatigue_days_left=st.integers(0, 14), contacts=Contacts)
def test_strain_is_the_worlds(days: int, offer_days_left: int, fatigue_days_left: int, contacts: int) -> None:
    assert plain.hazard_exposure(days, offer_days_left, fatigue_days_left, contacts) == pytest.approx(
        model.hazard_exposure(days, offer_days_left, fatigue_days_left, contacts)
    )


@given(risk=Share)
def test_a_hazard_is_the_worlds(risk: float) -> None:
    assert plain.daily_hazard(risk) == pytest.approx(float(model.daily_hazard(np.array(risk))))


def test_who_is_left_alone_stays_as_the_risk_says() -> None:
    assert plain.value(situation(scored(churn_risk=0.3)), None) == (0.0, pytest.approx(0.7))


def test_who_was_contacted_lately_is_still_annoyed() -> None:
    alone = plain.value(situation(scored(churn_risk=0.3), days_since_contact=4.0, contacts=2), None)

    assert alone.retention == pytest.approx(0.7 ** (1 + 0.05 * 2 * 10 / 90))


def test_a_contact_annoys_and_what_is_accepted_holds() -> None:
    customer = scored(churn_risk=0.3, accept_probs=(0.0, 0.0, 0.25, 0.0))
    contacted = plain.value(situation(customer, days_since_contact=inf, offer_days_left=20), 2)

    fatigue_days_left = 0.05 * 14 / 90
    declined, accepted = 0.7 ** (1 - 0.5 * 20 / 90 + fatigue_days_left), 0.7 ** (1 - 0.5 * 50 / 90 + fatigue_days_left)
    assert contacted.retention == pytest.approx(0.75 * declined + 0.25 * accepted)


def test_an_unknown_bill_is_the_typical_one() -> None:
    unknown, typical = (situation(scored(monthly_charges=bill)) for bill in (None, TYPICAL_CHARGES))

    assert plain.value(unknown, 0) == plain.value(typical, 0)

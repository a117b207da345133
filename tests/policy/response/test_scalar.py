"""The response model for one customer equals its array form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.response import model, scalar
from services.policy.response.model import Customers

OfferDays, FatigueDays, Contacts = st.integers(0, 60), st.integers(0, 14), st.integers(0, 3)


@given(risk=st.floats(0, 1))
def test_the_daily_hazard_is_equal(risk: float) -> None:
    assert scalar.daily_hazard(risk) == pytest.approx(float(model.daily_hazard(np.array(risk))))


@given(days=st.integers(0, 365), offer_days_left=OfferDays, fatigue_days_left=FatigueDays, contacts=Contacts)
def test_the_hazard_exposure_is_equal(days: int, offer_days_left: int, fatigue_days_left: int, contacts: int) -> None:
    exposure = scalar.hazard_exposure(days, offer_days_left, fatigue_days_left, contacts)

    assert exposure == pytest.approx(model.hazard_exposure(days, offer_days_left, fatigue_days_left, contacts))


@given(
    risk=st.floats(0, 1),
    days=st.integers(0, 365),
    offer_days_left=OfferDays,
    fatigue_days_left=FatigueDays,
    contacts=Contacts,
)
def test_the_expected_bills_are_equal(
    risk: float, days: int, offer_days_left: int, fatigue_days_left: int, contacts: int
) -> None:
    hazard, state = scalar.daily_hazard(risk), (days, offer_days_left, fatigue_days_left, contacts)

    customer = Customers(np.array([hazard]), np.zeros((1, 4)), np.ones(1))
    [revenue] = model.expected_revenue(customer, *state)
    assert scalar.expected_bills(hazard, *state) == pytest.approx(revenue, rel=1e-9, abs=1e-9)

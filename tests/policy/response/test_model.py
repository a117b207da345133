from functools import partial
from math import exp

import numpy as np
import pytest

from services.policy.response.model import (
    DISCOUNTS,
    RESPONSE_MODEL,
    Customers,
    ResponseModel,
    daily_hazard,
    expected_revenue,
    hazard_exposure,
    incremental_value,
)

OTHER = ResponseModel(effect=0.8, effect_days=(2, 20, 7, 9), fatigue=0.3, fatigue_days=9, contact_cost=1.0)


def day_by_day(
    hazard: float,
    bill: float,
    days: int,
    offer_days_left: int,
    fatigue_days_left: int,
    contacts: int,
    response_model: ResponseModel,
) -> float:
    """Expected revenue of one customer, summed day by day."""
    revenue, survival = 0.0, 1.0
    for day in range(days):
        revenue += survival * bill / 30
        effect = response_model.effect * (day < offer_days_left)
        fatigue = response_model.fatigue * contacts * (day < fatigue_days_left)
        survival *= exp(-hazard * (1 - effect + fatigue))
    return revenue


@pytest.mark.parametrize("response_model", [RESPONSE_MODEL, OTHER])
@pytest.mark.parametrize("offer_days_left", [0, 1, 9, 14, 60])
@pytest.mark.parametrize("fatigue_days_left", [0, 1, 9, 14])
@pytest.mark.parametrize("days", [0, 1, 9, 40, 365])
def test_the_expected_revenue_is_the_sum_over_days(
    response_model: ResponseModel, offer_days_left: int, fatigue_days_left: int, days: int
) -> None:
    hazards, bills, contacts = np.array([1e-9, 0.001, 0.02, 1.5]), np.array([20.0, 30.0, 65.0, 120.0]), 3
    customers = Customers(hazards, np.zeros((4, 4)), bills)

    expected = [
        day_by_day(h, b, days, offer_days_left, fatigue_days_left, contacts, response_model)
        for h, b in zip(hazards, bills, strict=True)
    ]

    assert expected_revenue(
        customers, days, offer_days_left, fatigue_days_left, contacts, response_model
    ) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("response_model", [RESPONSE_MODEL, OTHER])
def test_the_incremental_value_is_the_difference_of_sums_over_days(response_model: ResponseModel) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        hazard, bill, accept = rng.uniform(0, 0.05), rng.uniform(10, 120), rng.uniform(0, 1, 4)
        level, days, offer_days_left = int(rng.integers(4)), int(rng.integers(1, 366)), int(rng.integers(0, 30))
        contacts, fatigue_days_left = int(rng.integers(0, 4)), int(rng.integers(0, response_model.fatigue_days))
        customers = Customers(np.array([hazard]), accept[None], np.array([bill]))

        [gain], [cost] = incremental_value(
            customers, np.array([level]), days, offer_days_left, contacts, response_model, fatigue_days_left
        )

        revenue = partial(day_by_day, hazard, bill, days, response_model=response_model)
        before = revenue(offer_days_left, fatigue_days_left, contacts)
        extended, fatigue_days = max(offer_days_left, response_model.effect_days[level]), response_model.fatigue_days
        accepted = revenue(extended, fatigue_days, contacts + 1) - bill * DISCOUNTS[level]
        declined = revenue(offer_days_left, fatigue_days, contacts + 1)
        mean = accept[level] * accepted + (1 - accept[level]) * declined
        assert gain == pytest.approx(mean - before - response_model.contact_cost, abs=1e-8)
        assert cost == pytest.approx(accept[level] * bill * DISCOUNTS[level])


def test_the_daily_hazard_makes_the_churn_risk_come_true() -> None:
    risk = np.array([0.01, 0.3, 0.99])

    assert 1 - np.exp(-daily_hazard(risk) * hazard_exposure(RESPONSE_MODEL.risk_days, 0, 0, 0)) == pytest.approx(risk)
    assert np.isfinite(daily_hazard(np.array([0.0, 1.0]))).all()
    assert (daily_hazard(np.array([0.0, 1.0])) > 0).all()


def test_the_hazard_exposure_of_consecutive_spells_adds_up() -> None:
    for offer_days_left in (0, 3, 20):
        for fatigue_days_left in (0, 2, 14):
            first, rest = (
                hazard_exposure(5, offer_days_left, fatigue_days_left, 2),
                hazard_exposure(7, max(offer_days_left - 5, 0), max(fatigue_days_left - 5, 0), 2),
            )
            assert first + rest == pytest.approx(hazard_exposure(12, offer_days_left, fatigue_days_left, 2))


def test_customers_can_be_indexed() -> None:
    customers = Customers(np.array([0.1, 0.2, 0.3]), np.arange(12.0).reshape(3, 4), np.array([1.0, 2.0, 3.0]))

    hazard, accept, bill = customers[np.array([2, 0])]

    assert hazard.tolist() == [0.3, 0.1]
    assert accept.tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert bill.tolist() == [3, 1]
    assert customers[1:].bill.tolist() == [2, 3]

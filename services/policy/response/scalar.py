"""The response model for one customer in plain Python: NumPy takes ten times as long for one.

Tests hold each function equal to its array form in `services.policy.response.model`.
"""

from math import exp, expm1, log1p

from services.policy.response.model import MONTH, RESPONSE_MODEL, ResponseModel


def daily_hazard(churn_risk: float, response_model: ResponseModel = RESPONSE_MODEL) -> float:
    return -log1p(-min(max(churn_risk, 1e-6), 1 - 1e-6)) / response_model.risk_days


def hazard_exposure(
    days: float,
    offer_days_left: float,
    fatigue_days_left: float,
    contacts: int,
    response_model: ResponseModel = RESPONSE_MODEL,
) -> float:
    return (
        days
        - response_model.effect * min(days, offer_days_left)
        + response_model.fatigue * contacts * min(days, fatigue_days_left)
    )


def expected_bills(
    hazard: float,
    days: int,
    offer_days_left: int,
    fatigue_days_left: int,
    contacts: int,
    response_model: ResponseModel = RESPONSE_MODEL,
) -> float:
    """`expected_revenue` as a number of monthly bills."""
    total, start, cumulative_hazard = 0.0, 0, 0.0
    for end in (min(offer_days_left, fatigue_days_left), max(offer_days_left, fatigue_days_left), days):
        end = min(end, days)
        if end > start:
            exposure = hazard_exposure(end, offer_days_left, fatigue_days_left, contacts, response_model)
            rate = max((exposure * hazard - cumulative_hazard) / (end - start), 1e-12)
            total += exp(-cumulative_hazard) * expm1(-rate * (end - start)) / expm1(-rate)
            start, cumulative_hazard = end, exposure * hazard
    return total / MONTH

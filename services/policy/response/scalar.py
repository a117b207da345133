"""What `services.policy.response.model` says of one customer, in plain numbers: NumPy takes ten times as long for one.

Tests hold each equal to its array form.
"""

from math import exp, expm1, log1p
from typing import NamedTuple

from services.policy.policies.base import DecisionContext
from services.policy.policies.one_step import bill
from services.policy.response.model import MONTH, RESPONSE_MODEL, ResponseModel
from shared.messages import OFFERS


class Value(NamedTuple):
    gain: float
    """Money that an action is expected to gain over doing nothing, if it is the last."""
    retention: float
    """Probability that the customer is still there when the churn risk has come true or not."""


def value(situation: DecisionContext, level: int | None, response_model: ResponseModel = RESPONSE_MODEL) -> Value:
    """Of a contact at `level`, or of none."""
    customer, offer_days_left, contacts = situation.customer, situation.offer_days_left, situation.contacts
    hazard = daily_hazard(customer.churn_risk, response_model)
    if level is None:
        fatigue_days_left = max(response_model.fatigue_days - situation.days_since_contact, 0)
        return Value(
            0.0,
            exp(
                -hazard
                * hazard_exposure(
                    response_model.risk_days, offer_days_left, fatigue_days_left, contacts, response_model
                )
            ),
        )
    accept, pays, longer = (
        customer.accept_probs[level],
        bill(customer),
        max(offer_days_left, response_model.effect_days[level]),
    )
    days, fatigue_days_left = response_model.value_days - situation.day, response_model.fatigue_days
    before = worth(hazard, days, offer_days_left, 0, 0, response_model)
    declined = worth(hazard, days, offer_days_left, fatigue_days_left, contacts + 1, response_model)
    accepted = worth(hazard, days, longer, fatigue_days_left, contacts + 1, response_model)
    months = accept * accepted + (1 - accept) * declined - before - accept * OFFERS[level] / 100
    stays_declined = exp(
        -hazard
        * hazard_exposure(response_model.risk_days, offer_days_left, fatigue_days_left, contacts + 1, response_model)
    )
    stays_accepted = exp(
        -hazard * hazard_exposure(response_model.risk_days, longer, fatigue_days_left, contacts + 1, response_model)
    )
    return Value(pays * months - response_model.contact_cost, accept * stays_accepted + (1 - accept) * stays_declined)


def daily_hazard(risk: float, response_model: ResponseModel = RESPONSE_MODEL) -> float:
    return -log1p(-min(max(risk, 1e-6), 1 - 1e-6)) / response_model.risk_days


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


def worth(
    hazard: float,
    days: int,
    offer_days_left: int,
    fatigue_days_left: int,
    contacts: int,
    response_model: ResponseModel = RESPONSE_MODEL,
) -> float:
    """In months of the bill."""
    total, start, gone = 0.0, 0, 0.0
    for end in (min(offer_days_left, fatigue_days_left), max(offer_days_left, fatigue_days_left), days):
        end = min(end, days)
        if end > start:
            until = hazard_exposure(end, offer_days_left, fatigue_days_left, contacts, response_model) * hazard
            rate = max((until - gone) / (end - start), 1e-12)
            total += exp(-gone) * expm1(-rate * (end - start)) / expm1(-rate)
            start, gone = end, until
    return total / MONTH

"""The value of an action by the response model, in plain Python; tests hold it equal to the array form."""

from math import exp
from typing import NamedTuple

from services.policy.customer.billing import monthly_bill
from services.policy.policies.base import DecisionContext
from services.policy.response.model import RESPONSE_MODEL, ResponseModel
from services.policy.response.scalar import daily_hazard, expected_bills, hazard_exposure
from shared.messages import OFFERS


class ActionValue(NamedTuple):
    incremental_value: float
    """Money that the action is expected to gain over no contact, if it is the last contact."""
    retention_prob: float
    """Probability that the customer stays for `risk_days`."""


def unless_it_loses(context: DecisionContext, level: int | None) -> int | None:
    """The level, or no contact (None) where a contact at it is expected to gain nothing.

    A policy looks further ahead than `action_value`, but a decision must not contradict the value that it states.
    """
    return level if level is None or action_value(context, level).incremental_value > 0 else None


def action_value(
    context: DecisionContext, level: int | None, response_model: ResponseModel = RESPONSE_MODEL
) -> ActionValue:
    """Value of a contact at `level`, or of no contact."""
    customer, offer_days_left, contacts = context.customer, context.offer_days_left, context.contacts
    hazard = daily_hazard(customer.churn_risk, response_model)

    def retention_prob(offer_days_left: int, fatigue_days_left: float, contacts: int) -> float:
        exposure = hazard_exposure(
            response_model.risk_days, offer_days_left, fatigue_days_left, contacts, response_model
        )
        return exp(-hazard * exposure)

    if level is None:
        fatigue_days_left = max(response_model.fatigue_days - context.days_since_contact, 0)
        return ActionValue(0.0, retention_prob(offer_days_left, fatigue_days_left, contacts))
    accept_prob, days = customer.accept_probs[level], response_model.value_days - context.day
    declined = offer_days_left, response_model.fatigue_days, contacts + 1
    accepted = max(offer_days_left, response_model.effect_days[level]), response_model.fatigue_days, contacts + 1
    bills = (
        accept_prob * expected_bills(hazard, days, *accepted, response_model)
        + (1 - accept_prob) * expected_bills(hazard, days, *declined, response_model)
        - expected_bills(hazard, days, offer_days_left, 0, 0, response_model)
        - accept_prob * OFFERS[level] / 100
    )
    return ActionValue(
        monthly_bill(customer) * bills - response_model.contact_cost,
        accept_prob * retention_prob(*accepted) + (1 - accept_prob) * retention_prob(*declined),
    )

"""What the network sees of a customer. Training and serving both ask here, so they cannot disagree."""

from math import exp, log1p

import numpy as np

from services.policy.customer.gate import cooldown_over
from services.policy.policies.base import DecisionContext
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import RESPONSE_MODEL, Numbers, ResponseModel
from shared.messages import OFFERS

OBSERVATION = (
    "churn_risk",
    *(f"accept_prob_{level}" for level in range(len(OFFERS))),
    "budget_remaining",
    "days_since_contact",
    "cooldown_active",
    "fatigue_count",
)
"""In order; all from 0 to 1."""
LONG = 30
"""Days since a contact that count as long ago."""


def observe(
    out: Numbers,
    hazard: Numbers,
    accept: Numbers,
    price: Numbers,
    days_since_contact: Numbers,
    offer_days_left: Numbers,
    contacts: Numbers,
    response_model: ResponseModel,
    rules: Rules,
) -> Numbers:
    """Write [9, n] into `out`: facts of n customers, each an array [n]; `accept` is [levels, n].

    churn_risk is that of the hazard as it is now: an offer that holds has lowered it. budget_remaining is how plentiful
    money is, 1 / (1 + its price): 1 when it is free, 0 when there is none.
    """
    as_it_is = np.where(offer_days_left > 0, np.float32(1 - response_model.effect), np.float32(1))
    np.exp(hazard * as_it_is * -response_model.risk_days, out=out[0])
    np.subtract(1, out[0], out=out[0])
    out[1:5] = accept
    out[5] = 1 / (1 + price)
    np.minimum(days_since_contact, LONG, out=out[6])
    out[6] /= LONG
    out[7] = ~(cooldown_over(days_since_contact, rules.cooldown) & (offer_days_left <= 0))
    np.minimum(contacts / rules.cap, 1, out=out[8])
    return out


def observation_of(
    situation: DecisionContext, rules: Rules = RULES, response_model: ResponseModel = RESPONSE_MODEL
) -> tuple[float, ...]:
    """`observe` of one, in plain numbers; a test holds them equal."""
    customer, days_since_contact = situation.customer, situation.days_since_contact
    lowered = response_model.effect if situation.offer_days_left > 0 else 0.0
    risk = min(max(customer.churn_risk, 1e-6), 1 - 1e-6)
    return (
        1 - exp(log1p(-risk) * (1 - lowered)),
        *customer.accept_probs,
        1 / (1 + situation.price),
        min(days_since_contact, LONG) / LONG,
        float(days_since_contact < rules.cooldown or situation.offer_days_left > 0),
        min(situation.contacts / rules.cap, 1.0),
    )

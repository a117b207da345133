"""The observation of the policy network. Training and serving share it, so they cannot disagree."""

from math import exp, log1p

import numpy as np

from services.policy.customer.gate import cooldown_over
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import RESPONSE_MODEL, Numbers, ResponseModel
from shared.messages import OFFERS, ScoredCustomer

OBSERVATION = (
    "churn_risk",
    *(f"accept_prob_{level}" for level in range(len(OFFERS))),
    "budget_remaining",
    "days_since_contact",
    "cooldown_active",
    "fatigue_count",
)
"""Names of the features, in order; each is from 0 to 1.

Artifacts hold the names, so they stay, although two say less than the feature holds. `budget_remaining` is
1 / (1 + shadow price of the budget): 1 where money is free, 0 where there is none. `cooldown_active` is 1 also while an
accepted offer has an effect: it says that the gate allows no contact yet.
"""
MAX_DAYS_SINCE_CONTACT = 30
"""More days since the last contact count as this many."""


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
    """Write the observations of n customers into `out` [observation, n]; the facts are [n], and `accept` [levels, n].

    churn_risk is at the present hazard: an accepted offer lowers it while it has an effect.
    """
    relative_hazard = np.where(offer_days_left > 0, np.float32(1 - response_model.effect), np.float32(1))
    churn_risk, days = out[0], out[-3]
    np.exp(hazard * relative_hazard * -response_model.risk_days, out=churn_risk)
    np.subtract(1, churn_risk, out=churn_risk)
    out[1:-4] = accept
    out[-4] = 1 / (1 + price)
    np.minimum(days_since_contact, MAX_DAYS_SINCE_CONTACT, out=days)
    days /= MAX_DAYS_SINCE_CONTACT
    out[-2] = ~(cooldown_over(days_since_contact, rules.cooldown_days) & (offer_days_left <= 0))
    np.minimum(contacts / rules.contact_cap, 1, out=out[-1])
    return out


def observation_of(
    customer: ScoredCustomer,
    price: float,
    days_since_contact: float,
    offer_days_left: int,
    contacts: int,
    rules: Rules = RULES,
    response_model: ResponseModel = RESPONSE_MODEL,
) -> tuple[float, ...]:
    """`observe` for one customer in plain Python, which is faster for one; a test holds them equal."""
    effect = response_model.effect if offer_days_left > 0 else 0.0
    risk = min(max(customer.churn_risk, 1e-6), 1 - 1e-6)
    return (
        1 - exp(log1p(-risk) * (1 - effect)),
        *customer.accept_probs,
        1 / (1 + price),
        min(days_since_contact, MAX_DAYS_SINCE_CONTACT) / MAX_DAYS_SINCE_CONTACT,
        float(days_since_contact < rules.cooldown_days or offer_days_left > 0),
        min(contacts / rules.contact_cap, 1.0),
    )

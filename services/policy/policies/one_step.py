"""The policy that maximises the expected value of one contact; the setting and the messages call it `baseline`.

It is the baseline that a trained policy has to beat.
"""

from services.policy.customer.billing import monthly_bill
from services.policy.policies.base import GREEDY, DecisionContext, Exploration, PolicyAction, uniform
from services.policy.response.model import RESPONSE_MODEL
from shared.messages import OFFERS, ScoredCustomer


class OneStepPolicy:
    """Contacts at the level of the highest value over the next bill V, if it is positive:

    value(level) = P(accept | level) · V · (risk · effect − discount) − cost of a contact.

    It ignores the shadow price of the budget and the fatigue of later contacts. It explores uniformly.
    """

    name = "baseline"
    version = "baseline-2"

    def __init__(self, exploration: Exploration = GREEDY) -> None:
        self._exploration = exploration

    def choose(self, context: DecisionContext) -> PolicyAction:
        customer, allowed = context.customer, context.allowed
        values = _values(customer)
        levels = [level for level, is_allowed in enumerate(allowed.offers) if is_allowed and values[level] > 0]
        best = max(levels, key=values.__getitem__, default=None)
        sampled = self._exploration.sample(customer.event_id, best, lambda: uniform(allowed))
        level = sampled.level
        accept_prob, value = (0.0, 0.0) if level is None else (customer.accept_probs[level], values[level])
        retention_prob = 1 - customer.churn_risk * (1 - accept_prob * RESPONSE_MODEL.effect)
        return PolicyAction(level, value, retention_prob, sampled.propensity, action_probs=sampled.action_probs)


def _values(customer: ScoredCustomer) -> list[float]:
    """Money that a contact is expected to gain, by level."""
    bill, averted_risk = monthly_bill(customer), customer.churn_risk * RESPONSE_MODEL.effect
    return [
        accept_prob * bill * (averted_risk - percent / 100) - RESPONSE_MODEL.contact_cost
        for percent, accept_prob in zip(OFFERS, customer.accept_probs, strict=True)
    ]

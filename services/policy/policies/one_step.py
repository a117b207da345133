"""A one-step expected-value rule, chosen by name: what a trained policy has to beat."""

from services.policy.policies.base import GREEDY, DecisionContext, Exploration, PolicyAction, uniform
from services.policy.response.model import RESPONSE_MODEL
from shared.messages import OFFERS, ScoredCustomer

TYPICAL_CHARGES = 64.76
"""Money a month, where it is not given: the mean of the 7,043 Telco customers. An offer still needs the real one."""


def bill(customer: ScoredCustomer) -> float:
    """Money a month; the typical bill where it is not known."""
    return TYPICAL_CHARGES if customer.monthly_charges is None else customer.monthly_charges


class BaselinePolicy:
    """Contact where it is worth most, if it is worth anything: over the next bill V,

    value(level) = P(accept | level) · V · (risk · effect − discount) − what a contact costs.

    It sees one step: not the budget's price, nor how contact tires. It explores uniformly.
    """

    name = "baseline"
    version = "baseline-2"

    def __init__(self, exploration: Exploration = GREEDY) -> None:
        self._exploration = exploration

    def choose(self, situation: DecisionContext) -> PolicyAction:
        customer, allowed = situation.customer, situation.allowed
        values = _values(customer)
        free = [level for level, is_free in enumerate(allowed.offers) if is_free and values[level] > 0]
        best = max(free, key=values.__getitem__, default=None)
        drawn = self._exploration.sample(customer.event_id, best, lambda: uniform(allowed))
        accept, value = (0.0, 0.0) if drawn.level is None else (customer.accept_probs[drawn.level], values[drawn.level])
        retention = 1 - customer.churn_risk * (1 - accept * RESPONSE_MODEL.effect)
        return PolicyAction(drawn.level, value, retention, drawn.propensity, action_probs=drawn.action_probs)


def _values(customer: ScoredCustomer) -> list[float]:
    """Money that a contact is worth, by level."""
    v, saved = bill(customer), customer.churn_risk * RESPONSE_MODEL.effect
    return [
        accept * v * (saved - percent / 100) - RESPONSE_MODEL.contact_cost
        for percent, accept in zip(OFFERS, customer.accept_probs, strict=True)
    ]

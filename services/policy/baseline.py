"""A one-step expected-value rule. A stand-in for a trained policy, chosen by name."""

from typing import NamedTuple, Protocol

from services.policy.gate import Allowed
from shared.messages import OFFERS, ScoredCustomer

RETENTION_EFFECT = 0.5
"""Share of the churn risk that an accepted offer removes. Assumed: no public data identify it."""
CONTACT_COST = 0.5
"""Money a message costs to send and to read. Assumed."""
TYPICAL_CHARGES = 64.76
"""Money a month, where it is not given: the mean of the 7,043 Telco customers. An offer still needs the real one."""


class Choice(NamedTuple):
    """A contact at an offer level, or no contact (level None)."""

    level: int | None
    expected_value: float
    retention: float
    propensity: float
    delay_days: int = 0


class Policy(Protocol):
    name: str
    version: str

    def choose(self, customer: ScoredCustomer, allowed: Allowed) -> Choice:
        """One of the allowed actions, and the probability with which it was drawn from them."""


class BaselinePolicy:
    """Contact where it is worth most, if it is worth anything: over the next bill V,

    value(level) = P(accept | level) · V · (risk · RETENTION_EFFECT − discount) − CONTACT_COST.

    Deterministic, so every propensity is 1. It sees one step: not the budget's price, nor how contact tires.
    """

    name = "baseline"
    version = "baseline-1"

    def choose(self, customer: ScoredCustomer, allowed: Allowed) -> Choice:
        bill = TYPICAL_CHARGES if customer.monthly_charges is None else customer.monthly_charges
        risk = customer.churn_risk
        best = Choice(level=None, expected_value=0.0, retention=1 - risk, propensity=1.0)
        for level, (percent, accept) in enumerate(zip(OFFERS, customer.accept_probs, strict=True)):
            value = accept * bill * (risk * RETENTION_EFFECT - percent / 100) - CONTACT_COST
            if allowed.offers[level] and value > best.expected_value:
                best = Choice(level, value, 1 - risk * (1 - accept * RETENTION_EFFECT), propensity=1.0)
        return best

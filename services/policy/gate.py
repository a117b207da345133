"""What may be done, whatever the policy would like. The same function masks in training and in serving."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from services.policy.ledger import offer_cost
from services.policy.state import DAY, CustomerState
from shared.messages import OFFERS, ScoredCustomer


class Limits(NamedTuple):
    cooldown: timedelta
    fatigue_cap: int
    fatigue_window: timedelta
    holdout_share: float
    holdout_salt: str


class Allowed(NamedTuple):
    """Which offer levels a customer may be contacted with: all False is no contact. `reasons` say what is not."""

    offers: tuple[bool, ...]
    reasons: tuple[str, ...] = ()

    @property
    def contact(self) -> bool:
        return any(self.offers)


NOTHING = (False,) * len(OFFERS)


def allow(customer: ScoredCustomer, state: CustomerState, funds: int, now: datetime, limits: Limits) -> Allowed:
    """`funds` is what the customer's shard of the budget holds, in cents."""
    if forbidden := _no_contact(customer, state, now, limits):
        return Allowed(NOTHING, forbidden)
    costs = [offer_cost(level, customer.monthly_charges) for level in range(len(OFFERS))]
    offers = tuple(cost is not None and cost <= funds for cost in costs)
    reasons = [
        f"offer {percent} %: " + ("its cost is unknown without monthly_charges" if cost is None else "over budget")
        for percent, cost, allowed in zip(OFFERS, costs, offers, strict=True)
        if not allowed
    ]
    return Allowed(offers, tuple(reasons))


def cooled(days_since_contact: Any, cooldown: Any) -> Any:
    """Whether the last contact is long enough ago; days, numbers or arrays."""
    return days_since_contact >= cooldown


def fresh(contacts: Any, cap: Any) -> Any:
    """Whether one contact more is within the cap; numbers or arrays."""
    return contacts < cap


def _no_contact(customer: ScoredCustomer, state: CustomerState, now: datetime, limits: Limits) -> tuple[str, ...]:
    rules = {
        "opted-out": customer.opted_out or state.opted_out,
        "holdout": held_out(customer.customer_id, limits),
        "cooldown": not cooled(state.days_since_contact(now), limits.cooldown / DAY),
        "offer-holds": state.days_held(now) > 0,
        "fatigue": not fresh(len(state.since(now - limits.fatigue_window)), limits.fatigue_cap),
    }
    return tuple(name for name, broken in rules.items() if broken)


def held_out(customer_id: str, limits: Limits) -> bool:
    """Whether the customer is never contacted, so that the effect of contact can be known. Sticky: a hash decides."""
    digest = sha256(f"{limits.holdout_salt}/{customer_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < limits.holdout_share * 2**64

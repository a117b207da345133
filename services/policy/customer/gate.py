"""What may be done, whatever the policy would like. The same function masks in training and in serving."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from services.policy.budget.ledger import offer_cost
from services.policy.customer.state import DAY, CustomerState
from shared.messages import OFFERS, ScoredCustomer


class Limits(NamedTuple):
    cooldown: timedelta
    fatigue_cap: int
    fatigue_window: timedelta
    holdout_share: float
    holdout_salt: str


PERMANENT = {"opted-out", "holdout"}
"""Reasons that no later day undoes."""


class ActionMask(NamedTuple):
    """Which offer levels a customer may be contacted with: all False is no contact. `reasons` say what is not."""

    offers: tuple[bool, ...]
    reasons: tuple[str, ...] = ()

    @property
    def contact(self) -> bool:
        return any(self.offers)


NO_CONTACT = (False,) * len(OFFERS)


def action_mask(
    customer: ScoredCustomer, state: CustomerState, opted_out: bool, funds: int, now: datetime, limits: Limits
) -> ActionMask:
    """`funds` is what the customer's shard of the budget holds, in cents."""
    if forbidden := _blocking_reasons(customer.customer_id, state, opted_out, now, limits):
        return ActionMask(NO_CONTACT, forbidden)
    costs = [offer_cost(level, customer.monthly_charges) for level in range(len(OFFERS))]
    offers = tuple(cost is not None and cost <= funds for cost in costs)
    reasons = [
        _offer(percent) + ("its cost is unknown without monthly_charges" if cost is None else "over budget")
        for percent, cost, allowed in zip(OFFERS, costs, offers, strict=True)
        if not allowed
    ]
    return ActionMask(offers, tuple(reasons))


def mask_from_reasons(reasons: Sequence[str]) -> ActionMask:
    """What `allow` allowed, when these are its reasons."""
    if not all(reason.startswith("offer ") for reason in reasons):
        return ActionMask(NO_CONTACT, tuple(reasons))
    free = (not any(reason.startswith(_offer(percent)) for reason in reasons) for percent in OFFERS)
    return ActionMask(tuple(free), tuple(reasons))


def _offer(percent: int) -> str:
    return f"offer {percent} %: "


def cooldown_over(days_since_contact: Any, cooldown: Any) -> Any:
    """Whether the last contact is long enough ago; days, numbers or arrays."""
    return days_since_contact >= cooldown


def rules_satisfied(
    days_since_contact: Any, offer_days_left: Any, contacts: Any, cooldown: Any, cap: Any
) -> dict[str, Any]:
    """Which rules one contact more would keep; numbers or arrays."""
    return {
        "cooldown": cooldown_over(days_since_contact, cooldown),
        "offer-holds": offer_days_left <= 0,
        "fatigue": contacts < cap,
    }


def is_eligible(days_since_contact: Any, offer_days_left: Any, contacts: Any, cooldown: Any, cap: Any) -> Any:
    """Whether one contact more would keep them all."""
    rested, free, fresh = rules_satisfied(days_since_contact, offer_days_left, contacts, cooldown, cap).values()
    return rested & free & fresh


def _blocking_reasons(
    customer_id: str, state: CustomerState, opted_out: bool, now: datetime, limits: Limits
) -> tuple[str, ...]:
    contacts = len(state.since(now - limits.fatigue_window))
    facts = state.days_since_contact(now), state.days_held(now), contacts
    keeps = {
        "opted-out": not opted_out,
        "holdout": not is_held_out(customer_id, limits),
        **rules_satisfied(*facts, limits.cooldown / DAY, limits.fatigue_cap),
    }
    return tuple(name for name, is_kept in keeps.items() if not is_kept)


def is_held_out(customer_id: str, limits: Limits) -> bool:
    """Whether the customer is never contacted, so that the effect of contact can be known. Sticky: a hash decides."""
    digest = sha256(f"{limits.holdout_salt}/{customer_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < limits.holdout_share * 2**64

"""The rules that no policy can override: consent, notes, holdout, cooldown, open offer, fatigue cap, bounces, budget.

The same functions mask actions in training and in serving.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from math import inf
from typing import Any, NamedTuple

from services.policy.customer.billing import offer_cost
from services.policy.customer.names import has_no_contact_note, is_no_contact_note
from services.policy.customer.state import DAY, CustomerState
from shared.messages import OFFERS, ScoredCustomer


class Limits(NamedTuple):
    cooldown: timedelta
    """Least time from one contact to the next."""
    fatigue_cap: int
    """Most contacts within the `fatigue_window`."""
    fatigue_window: timedelta
    holdout_share: float
    """Share of the customers who are never contacted."""
    holdout_salt: str
    """Text that the choice of the holdout depends on."""
    bounce_limit: int = 3
    """Messages in a row that bounce until contact pauses; 0 is no limit."""
    max_bill: float = inf
    """Highest monthly bill that is believed; a higher one may be in cents."""


PERMANENT_REASONS = {"opted-out", "holdout"}
"""Reasons to mask all contact for which no review is planned: they do not pass with time."""


class ActionMask(NamedTuple):
    """Whether a contact is allowed at each offer level; all False means no contact."""

    offers: tuple[bool, ...]
    reasons: tuple[str, ...] = ()
    """Codes of the rules that mask all contact (`cooldown`, …) or, for each masked offer, a text that names it."""

    @property
    def contact(self) -> bool:
        return any(self.offers)


UNKNOWN_COST = (
    "its cost is unknown without monthly_charges",
    "monthly_charges is more than a hundred usual bills (RETENTION_USUAL_BILL); is it in cents?",
)
"""Why an offer's cost is unknown: there is no bill, or none that is believed."""
NO_CONTACT = (False,) * len(OFFERS)


def action_mask(
    customer: ScoredCustomer,
    state: CustomerState,
    opted_out: bool,
    free_cents: int,
    now: datetime,
    limits: Limits,
    unread_reply: bool = False,
) -> ActionMask:
    """The actions allowed for a customer whose shard of the budget has `free_cents` free.

    `unread_reply` is whether a reply of the customer waits for a person.
    """
    if blocking := _blocking_reasons(
        customer.customer_id, state, opted_out, unread_reply, has_note(customer), now, limits
    ):
        return ActionMask(NO_CONTACT, blocking)
    in_doubt = bill_in_doubt(customer, limits)
    costs = [offer_cost(level, None if in_doubt else customer.monthly_charges) for level in range(len(OFFERS))]
    offers = tuple(cost is not None and cost <= free_cents for cost in costs)
    reasons = [
        _offer_prefix(percent) + (UNKNOWN_COST[in_doubt] if cost is None else "over budget")
        for percent, cost, is_allowed in zip(OFFERS, costs, offers, strict=True)
        if not is_allowed
    ]
    return ActionMask(offers, tuple(reasons))


def has_note(customer: ScoredCustomer) -> bool:
    """Whether the name or the plan is a note that nobody should contact the customer."""
    return has_no_contact_note(customer.name) or is_no_contact_note(customer.plan)


def bill_in_doubt(customer: ScoredCustomer, limits: Limits) -> bool:
    """Whether the monthly bill is too high to be believed."""
    return customer.monthly_charges is not None and customer.monthly_charges > limits.max_bill


def mask_from_reasons(reasons: Sequence[str]) -> ActionMask:
    """The mask that `action_mask` returned with these reasons."""
    if not all(reason.startswith("offer ") for reason in reasons):
        return ActionMask(NO_CONTACT, tuple(reasons))
    offers = (not any(reason.startswith(_offer_prefix(percent)) for reason in reasons) for percent in OFFERS)
    return ActionMask(tuple(offers), tuple(reasons))


def _offer_prefix(percent: int) -> str:
    return f"offer {percent} %: "


def cooldown_over(days_since_contact: Any, cooldown: Any) -> Any:
    """Whether the cooldown since the last contact is over; for days as numbers or arrays."""
    return days_since_contact >= cooldown


class SatisfiedRules(NamedTuple):
    """Whether one more contact would satisfy each rule; numbers or arrays."""

    cooldown_over: Any
    no_active_offer: Any
    below_contact_cap: Any


def rules_satisfied(
    days_since_contact: Any, offer_days_left: Any, contacts: Any, cooldown: Any, cap: Any
) -> SatisfiedRules:
    """Whether one more contact would satisfy each rule; for numbers or arrays."""
    return SatisfiedRules(cooldown_over(days_since_contact, cooldown), offer_days_left <= 0, contacts < cap)


def is_eligible(days_since_contact: Any, offer_days_left: Any, contacts: Any, cooldown: Any, cap: Any) -> Any:
    """Whether one more contact would satisfy all rules; for numbers or arrays."""
    rules = rules_satisfied(days_since_contact, offer_days_left, contacts, cooldown, cap)
    return rules.cooldown_over & rules.no_active_offer & rules.below_contact_cap


def _blocking_reasons(
    customer_id: str,
    state: CustomerState,
    opted_out: bool,
    unread_reply: bool,
    has_note: bool,
    now: datetime,
    limits: Limits,
) -> tuple[str, ...]:
    """Codes of the rules that mask all contact."""
    contacts = len(state.contacts_since(now - limits.fatigue_window))
    history = state.days_since_contact(now), state.offer_days_left(now), contacts
    rules = rules_satisfied(*history, limits.cooldown / DAY, limits.fatigue_cap)
    violated = {
        "opted-out": opted_out,
        "unread-reply": unread_reply,
        "customer-note": has_note,
        "holdout": is_held_out(customer_id, limits),
        "cooldown": not rules.cooldown_over,
        "offer-holds": not rules.no_active_offer,
        "fatigue": not rules.below_contact_cap,
        "bounced": is_unreachable(state, limits),
    }
    return tuple(reason for reason, is_violated in violated.items() if is_violated)


def is_unreachable(state: CustomerState, limits: Limits) -> bool:
    """Whether as many messages in a row have bounced as the limit allows."""
    return 0 < limits.bounce_limit <= len(state.bounces)


def is_held_out(customer_id: str, limits: Limits) -> bool:
    """Whether the customer is in the holdout: never contacted, to measure the effect of contact.

    A salted hash of the id decides, so it is the same at every event.
    """
    digest = sha256(f"{limits.holdout_salt}/{customer_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < limits.holdout_share * 2**64

"""What a message may say about a customer. What is not plainly a name or a plan is not said at all."""

import unicodedata
from datetime import date

from shared.messages import Brief, Customer

LONGEST = 30


def brief(customer: Customer, offer_percentage: int, expires_on: date | None) -> Brief:
    return Brief(
        offer_percentage=offer_percentage,
        expires_on=expires_on,
        first_name=_first_name(customer.name),
        tenure_months=int(customer.tenure) if customer.tenure else None,
        plan=_plan(customer.plan),
    )


def _first_name(name: str | None) -> str | None:
    """The first word, if it is letters (with marks, apostrophes and hyphens between them) and not too long."""
    first = name.split()[0] if name else ""
    return (
        first
        if first[:1].isalpha() and len(first) <= LONGEST and all(_letter(c) or c in "'’-" for c in first)
        else None
    )


def _plan(plan: str | None) -> str | None:
    plan = " ".join(plan.split()) if plan else ""
    return (
        plan
        if plan[:1].isalpha() and len(plan) <= LONGEST and all(_letter(c) or c.isdigit() or c in " -+" for c in plan)
        else None
    )


def _letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"

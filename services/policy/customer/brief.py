"""What a message may say about a customer. What is not plainly a name or a plan is not said at all."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date

from shared.messages import Brief, Concern, Customer, Reason

LONGEST = 30

CONCERNS: Mapping[str, Concern] = {
    **dict.fromkeys("monthly_charges total_charges payment_method paperless_billing".split(), "price"),
    **dict.fromkeys(
        "internet_service online_security online_backup device_protection tech_support streaming_tv streaming_movies"
        " phone_service multiple_lines".split(),
        "service",
    ),
    **dict.fromkeys("contract tenure".split(), "contract"),
}
"""What a fact is about. Who somebody is (their age, their family) is no concern that a message should touch."""


def brief(customer: Customer, offer_percentage: int, expires_on: date | None, reasons: Sequence[Reason] = ()) -> Brief:
    return Brief(
        offer_percentage=offer_percentage,
        expires_on=expires_on,
        first_name=_first_name(customer.name),
        tenure_months=int(customer.tenure) if customer.tenure else None,
        plan=_plan(customer.plan),
        concern=_concern(reasons),
    )


def _concern(reasons: Sequence[Reason]) -> Concern | None:
    raising = [reason for reason in reasons if reason.contribution > 0 and reason.feature in CONCERNS]
    return CONCERNS[max(raising, key=lambda reason: reason.contribution).feature] if raising else None


def _first_name(name: str | None) -> str | None:
    """The first word, if it is letters (with marks, apostrophes and hyphens between them) and not too long."""
    first = _words(name).partition(" ")[0]
    return (
        first
        if first[:1].isalpha()
        and _letter(first[-1])
        and len(first) <= LONGEST
        and all(_letter(c) or c in "'’-" for c in first)
        else None
    )


def _plan(plan: str | None) -> str | None:
    plan = _words(plan)
    return (
        plan
        if plan[:1].isalpha() and len(plan) <= LONGEST and all(_letter(c) or c.isdigit() or c in " -+" for c in plan)
        else None
    )


def _words(text: str | None) -> str:
    """In the form that the shield reads: single spaces, and no two ways to write one letter."""
    return " ".join(unicodedata.normalize("NFKC", text or "").split())


def _letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"

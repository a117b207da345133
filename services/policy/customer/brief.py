"""The facts that a message may mention. A name or a plan that may be something else is left out."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date

from shared.messages import Brief, Concern, Customer, Reason

MAX_LENGTH = 30
"""Most characters of a name or a plan."""

CONCERNS: Mapping[str, Concern] = {
    **dict.fromkeys("monthly_charges total_charges payment_method paperless_billing".split(), "price"),
    **dict.fromkeys(
        "internet_service online_security online_backup device_protection tech_support streaming_tv streaming_movies"
        " phone_service multiple_lines".split(),
        "service",
    ),
    **dict.fromkeys("contract tenure".split(), "contract"),
}
"""The concern that a fact is about. Personal facts, such as age and family, have none: no message may refer to them."""


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
    """The concern of the strongest reason that raises the risk."""
    raising = [reason for reason in reasons if reason.contribution > 0 and reason.feature in CONCERNS]
    return CONCERNS[max(raising, key=lambda reason: reason.contribution).feature] if raising else None


def _first_name(name: str | None) -> str | None:
    """The first word, if it is letters with marks, apostrophes and hyphens between them, and not too long."""
    first = _normalized(name).partition(" ")[0]
    is_name = (
        first[:1].isalpha()
        and _is_letter(first[-1])
        and len(first) <= MAX_LENGTH
        and all(_is_letter(character) or character in "'’-" for character in first)
    )
    return first if is_name else None


def _plan(plan: str | None) -> str | None:
    """The plan, if it is letters, digits, spaces, hyphens and plus signs, and not too long."""
    plan = _normalized(plan)
    is_plan = (
        plan[:1].isalpha()
        and len(plan) <= MAX_LENGTH
        and all(_is_letter(character) or character.isdigit() or character in " -+" for character in plan)
    )
    return plan if is_plan else None


def _normalized(text: str | None) -> str:
    """As the shield reads it: single spaces, and one way to write each letter (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text or "").split())


def _is_letter(character: str) -> bool:
    """A letter or a mark."""
    return unicodedata.category(character)[0] in "LM"

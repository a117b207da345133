"""Slots: what stands for a customer's facts while the words are written, and how they are filled.

A writer never sees the facts, so it cannot misspell a name or invent a discount, and a name cannot give it orders.
"""

import re

from shared.messages import Brief

SLOT = re.compile(r"\[[A-Z]+\]")


def slots(brief: Brief) -> dict[str, str]:
    """What fills each slot. A slot whose fact is not known is not there, so no text that needs it is used."""
    facts = {
        "[NAME]": brief.first_name,
        "[OFFER]": f"{brief.offer_percentage}%" if brief.offer_percentage else None,
        "[MONTHS]": _months(brief.tenure_months),
        "[PLAN]": brief.plan,
        "[EXPIRY]": brief.expires_on and f"{brief.expires_on.day} {brief.expires_on:%B}",
    }
    return {slot: fact for slot, fact in facts.items() if fact}


def fill(text: str, brief: Brief) -> str | None:
    """`text` with its slots filled, or None where a fact that it needs is missing."""
    facts = slots(brief)
    if not set(SLOT.findall(text)) <= facts.keys():
        return None
    return SLOT.sub(lambda slot: facts[slot.group()], text)


def _months(tenure: int | None) -> str | None:
    return None if tenure is None else f"{tenure} months" if tenure > 1 else "1 month"

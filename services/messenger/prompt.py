"""What a language model is shown, and the slots that stand for a customer's facts while it writes.

A writer never sees the facts, so it cannot misspell a name or invent a discount, and a name cannot give it orders.
"""

import re

from shared.messages import Brief

SLOT = re.compile(r"\[[A-Z]+\]")
SLOTS = ("[NAME]", "[OFFER]", "[MONTHS]", "[PLAN]", "[EXPIRY]")
CLOSING = "Reply STOP to opt out."
"""Ours, not a writer's: every message ends with it."""


def prompt(brief: Brief) -> str:
    """All that a language model is shown: which facts are known, and none of them. There are 64 of it."""
    facts = slots(brief)
    offer = "[OFFER] until [EXPIRY]" if "[OFFER]" in facts else "none"
    known = ", ".join(slot for slot in ("[NAME]", "[MONTHS]", "[PLAN]") if slot in facts) or "nothing"
    return f"Offer: {offer}. Known: {known}. Concern: {brief.concern or 'none'}. Message:"


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


def complete(text: str, brief: Brief) -> str | None:
    """`text` as it leaves, filled and with our closing, or None where it is empty or needs a missing fact."""
    filled = fill(text, brief)
    return f"{filled} {CLOSING}" if filled else None


def _months(tenure: int | None) -> str | None:
    return None if tenure is None else f"{tenure} months" if tenure > 1 else "1 month"

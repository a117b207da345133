"""Prompts for a language model, and the slots that stand for a customer's facts while it writes.

A writer never sees the facts, so it cannot misspell a name or invent a discount, and a name cannot inject a prompt.
"""

import re

from shared.messages import Brief

SLOT_PATTERN = re.compile(r"\[[A-Z]+\]")
SLOTS = ("[NAME]", "[OFFER]", "[MONTHS]", "[PLAN]", "[EXPIRY]")
OPT_OUT_NOTICE = "Reply STOP to opt out."
"""The end of every message; not left to a writer."""


def build_prompt(brief: Brief) -> str:
    """The whole prompt: which facts are known, but not the facts. 64 prompts are possible."""
    values = slot_values(brief)
    offer = "[OFFER] until [EXPIRY]" if "[OFFER]" in values else "none"
    known = ", ".join(slot for slot in ("[NAME]", "[MONTHS]", "[PLAN]") if slot in values) or "nothing"
    return f"Offer: {offer}. Known: {known}. Concern: {brief.concern or 'none'}. Message:"


def slot_values(brief: Brief) -> dict[str, str]:
    """The value of each slot. A slot whose fact is unknown has none, so that a text that needs it is not used."""
    values = {
        "[NAME]": brief.first_name,
        "[OFFER]": f"{brief.offer_percentage}%" if brief.offer_percentage else None,
        "[MONTHS]": _months(brief.tenure_months),
        "[PLAN]": brief.plan,
        "[EXPIRY]": brief.expires_on and f"{brief.expires_on.day} {brief.expires_on:%B}",
    }
    return {slot: value for slot, value in values.items() if value}


def fill(text: str, brief: Brief) -> str | None:
    """`text` with its slots filled, or None where it needs an unknown fact."""
    values = slot_values(brief)
    if not set(SLOT_PATTERN.findall(text)) <= values.keys():
        return None
    return SLOT_PATTERN.sub(lambda slot: values[slot.group()], text)


def render(text: str, brief: Brief) -> str | None:
    """`text` as it is sent, filled and with the opt-out notice; None where it is empty or needs an unknown fact."""
    filled = fill(text, brief)
    return f"{filled} {OPT_OUT_NOTICE}" if filled else None


def _months(tenure: int | None) -> str | None:
    return None if tenure is None else f"{tenure} months" if tenure > 1 else "1 month"

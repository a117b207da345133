"""What the shield would say of a text in slots: its own rules, on what would leave."""

from services.messenger.prompt import render
from services.shield.rules import violations
from shared.messages import Brief

UNFILLED = "needs a missing fact"


def broken(brief: Brief, text: str) -> tuple[str, ...]:
    """The rules that `text` breaks once it is filled and closed; an empty one counts as one that cannot be filled."""
    message = render(text, brief)
    return (UNFILLED,) if message is None else tuple(violations(message, brief))

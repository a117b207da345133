"""The shield's rules, applied to texts in slots."""

from services.messenger.prompt import render
from services.shield.rules import violations
from shared.messages import Brief

MISSING_FACT = "needs a missing fact"


def broken_rules(brief: Brief, text: str) -> tuple[str, ...]:
    """The shield's rules that `text` breaks once its slots are filled and its closing is added.

    A text that is empty or needs a fact that the brief lacks breaks `MISSING_FACT`.
    """
    message = render(text, brief)
    return (MISSING_FACT,) if message is None else tuple(violations(message, brief))

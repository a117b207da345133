"""Who writes the words, in slots."""

from collections.abc import Sequence
from typing import Protocol

from shared.messages import Brief

# The last of each list needs no fact but those that every such message has; the name is greeted where it is known.
OFFERS = (
    "[GREETING], thank you for [MONTHS] with us. To say so, we take [OFFER] off your next bill"
    " if you reply KEEP by [EXPIRY].",
    "[GREETING], thank you for being with us. To say so, we take [OFFER] off your next bill"
    " if you reply KEEP by [EXPIRY].",
)
SERVICE = (
    "[GREETING], thank you for [MONTHS] with us. Is there anything we could do better for you?"
    " Reply to this message and tell us.",
    "[GREETING], thank you for being with us. Is there anything we could do better for you?"
    " Reply to this message and tell us.",
)


class Writer(Protocol):
    name: str
    version: str
    """Which words or weights it writes with."""

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        """For each brief, texts in slots, best first."""


class TemplateWriter:
    """Fixed words, not a language model: an offer or, without one, a question how things are."""

    name = version = "template"

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        return [self.texts(brief) for brief in briefs]

    @staticmethod
    def texts(brief: Brief) -> list[str]:
        greeting = "Hi [NAME]" if brief.first_name else "Hello"
        return [text.replace("[GREETING]", greeting) for text in (OFFERS if brief.offer_percentage else SERVICE)]

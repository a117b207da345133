"""Who writes the words, in slots."""

from collections.abc import Sequence
from typing import Protocol

from shared.messages import Brief

# The last of each list needs no fact but those that every such message has; the name is greeted where it is known.
OFFERS = (
    "[GREETING], thank you for [MONTHS] with us. To say so, we take [OFFER] off your next bill"
    " if you reply KEEP by [EXPIRY]. Reply STOP to opt out.",
    "[GREETING], thank you for being with us. To say so, we take [OFFER] off your next bill"
    " if you reply KEEP by [EXPIRY]. Reply STOP to opt out.",
)
SERVICE = (
    "[GREETING], thank you for [MONTHS] with us. Is there anything we could do better for you?"
    " Reply to this message and tell us. Reply STOP to opt out.",
    "[GREETING], thank you for being with us. Is there anything we could do better for you?"
    " Reply to this message and tell us. Reply STOP to opt out.",
)


class Writer(Protocol):
    name: str

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        """For each brief, texts in slots, best first."""


class TemplateWriter:
    """Fixed words, not a language model: an offer or, without one, a question how things are."""

    name = "template"

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        return [self.texts(brief) for brief in briefs]

    @staticmethod
    def texts(brief: Brief) -> list[str]:
        greeting = "Hi [NAME]" if brief.first_name else "Hello"
        return [text.replace("[GREETING]", greeting) for text in (OFFERS if brief.offer_percentage else SERVICE)]

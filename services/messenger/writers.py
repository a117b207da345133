"""The interface of message writers, and the template."""

from collections.abc import Sequence
from typing import Protocol

from shared.messages import Brief

# The last text of each tuple needs only facts that are always known; [GREETING] becomes a greeting.
OFFER_TEMPLATES = (
    "[GREETING], thank you for [MONTHS] with us. To say so, we take [OFFER] off your next bill"
    " if you reply KEEP by [EXPIRY].",
    "[GREETING], thank you for being with us. To say so, we take [OFFER] off your next bill"
    " if you reply KEEP by [EXPIRY].",
)
SERVICE_TEMPLATES = (
    "[GREETING], thank you for [MONTHS] with us. Is there anything we could do better for you?"
    " Reply to this message and tell us.",
    "[GREETING], thank you for being with us. Is there anything we could do better for you?"
    " Reply to this message and tell us.",
)


class Writer(Protocol):
    name: str
    version: str
    """Identifies the texts or weights that it writes with."""

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        """Texts with slots for each brief, best first."""


class TemplateWriter:
    """Fixed texts, not a language model: an offer or, without one, a request for feedback."""

    name = version = "template"

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        return [self.texts(brief) for brief in briefs]

    @staticmethod
    def texts(brief: Brief) -> list[str]:
        """Texts with slots, the one with the most facts first."""
        greeting = "Hi [NAME]" if brief.first_name else "Hello"
        templates = OFFER_TEMPLATES if brief.offer_percentage else SERVICE_TEMPLATES
        return [template.replace("[GREETING]", greeting) for template in templates]

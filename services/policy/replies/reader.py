"""What a customer's reply means."""

from pathlib import Path
from typing import Literal, Self

from services.policy.customer.consent import means_keep, says_stop
from shared.artifacts import read_manifest

ReplyKind = Literal["stop", "resume", "keep", "other", "unclear"]
"""What a reply asks for: no more messages (`stop`), messages again after a stop (`resume`), or the offer (`keep`).
`other` is plainly about something else, and `unclear` is for a person to decide."""


class ReplyReader:
    """Tells the kind of a reply."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` if there is no valid artifact."""
        read_manifest(folder, {})
        return cls()

    def read(self, text: str) -> ReplyKind:
        if says_stop(text):
            return "stop"
        return "keep" if means_keep(text) else "other"

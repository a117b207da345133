"""What a customer's reply means."""

from typing import Literal

from services.policy.customer.consent import means_keep, says_stop

ReplyKind = Literal["stop", "resume", "keep", "other", "unclear"]
"""What a reply asks for: no more messages (`stop`), messages again after a stop (`resume`), or the offer (`keep`).
`other` is plainly about something else, and `unclear` is for a person to decide."""


class ReplyReader:
    """Tells the kind of a reply."""

    def read(self, text: str) -> ReplyKind:
        if says_stop(text):
            return "stop"
        return "keep" if means_keep(text) else "other"

"""What the policy remembers of a customer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil, inf
from typing import Self

from shared.messages import Value
from shared.store import Document

DAY = timedelta(days=1)


class Contact(Value):
    event_id: str
    at: datetime
    level: int = 0
    """Of its offer."""


class CustomerState(Value):
    """Contacts that still count, oldest first, until when an accepted offer holds, and consent."""

    contacts: tuple[Contact, ...] = ()
    held_until: datetime | None = None
    opted_out: bool = False

    @classmethod
    def of(cls, document: Document | None) -> Self:
        return cls.model_validate(document or {})

    def document(self) -> Document:
        return self.model_dump(mode="json")

    def since(self, start: datetime) -> tuple[Contact, ...]:
        return tuple(c for c in self.contacts if c.at > start)

    def days_since_contact(self, now: datetime) -> float:
        """Endless if there was none that still counts."""
        return (now - self.contacts[-1].at) / DAY if self.contacts else inf

    def days_held(self, now: datetime) -> int:
        """For how long an accepted offer still holds; a day that has begun counts."""
        return max(0, ceil((self.held_until - now) / DAY)) if self.held_until else 0

    def contacted(self, contact: Contact, memory: timedelta) -> Self:
        """One contact more; those longer ago than `memory` are forgotten."""
        return self.model_copy(update={"contacts": (*self.since(contact.at - memory), contact)})

    def accepted(self, event_id: str, held_days: Sequence[int]) -> Self:
        """The offer made for this event holds, from the contact on, for as many days as `held_days` give its level."""
        ends = [c.at + held_days[c.level] * DAY for c in self.contacts if c.event_id == event_id]
        ends += [self.held_until] if self.held_until else []
        return self.model_copy(update={"held_until": max(ends, default=None)})

    def uncontacted(self, event_id: str) -> Self:
        """The contact for this event never happened."""
        return self.model_copy(update={"contacts": tuple(c for c in self.contacts if c.event_id != event_id)})

"""What the policy remembers of a customer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil, inf
from typing import Any, Self

from shared.messages import FrozenModel
from shared.store import Document

DAY = timedelta(days=1)


class Contact(FrozenModel):
    event_id: str
    at: datetime
    level: int = 0
    """Of its offer."""
    held_until: datetime | None = None
    """Where the offer was accepted."""


class Review(FrozenModel):
    """When to look at the customer again, and what was known of them and when, by the event that decided so."""

    at: datetime
    event_id: str
    facts: dict[str, Any]


class CustomerState(FrozenModel):
    """Contacts that still count, oldest first, and the review to come. Consent is kept apart, for longer."""

    contacts: tuple[Contact, ...] = ()
    review: Review | None = None

    @classmethod
    def of(cls, document: Document | None) -> Self:
        return cls.model_validate(document or {})

    def document(self, customer_id: str, forgotten_at: datetime) -> Document:
        """Due for the review, and without one to be forgotten."""
        due = self.review.at if self.review else forgotten_at
        return {**self.model_dump(mode="json"), "customer_id": customer_id, "due": due.timestamp()}

    def since(self, start: datetime) -> tuple[Contact, ...]:
        return tuple(c for c in self.contacts if c.at > start)

    def days_since_contact(self, now: datetime) -> float:
        """Endless if there was none that still counts."""
        return (now - self.contacts[-1].at) / DAY if self.contacts else inf

    @property
    def held_until(self) -> datetime | None:
        return max((c.held_until for c in self.contacts if c.held_until), default=None)

    def days_held(self, now: datetime) -> int:
        """For how long an accepted offer still holds; a day that has begun counts."""
        return max(0, ceil((self.held_until - now) / DAY)) if self.held_until else 0

    def contacted(self, contact: Contact, memory: timedelta) -> Self:
        """One contact more; those longer ago than `memory` are forgotten."""
        return self.model_copy(update={"contacts": (*self.since(contact.at - memory), contact)})

    def accepted(self, event_id: str, effect_days: Sequence[int]) -> Self:
        """The offer made for this event holds, from the contact on, for as many days as `held_days` give its level."""
        contacts = (
            c.model_copy(update={"held_until": c.at + effect_days[c.level] * DAY}) if c.event_id == event_id else c
            for c in self.contacts
        )
        return self.model_copy(update={"contacts": tuple(contacts)})

    def uncontacted(self, event_id: str) -> Self:
        """The contact for this event never happened."""
        return self.model_copy(update={"contacts": tuple(c for c in self.contacts if c.event_id != event_id)})

    def reviewed(self, review: Review | None) -> Self:
        """With this review to come, in place of any other."""
        return self.model_copy(update={"review": review})

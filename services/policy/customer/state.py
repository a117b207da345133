"""What is remembered of a customer."""

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
    """Of the offer."""
    held_until: datetime | None = None
    """When the accepted offer ends to have an effect; None if it was not accepted."""


class Review(FrozenModel):
    """A review to come: when, the event whose decision asked for it, and the facts known of the customer by then."""

    at: datetime
    event_id: str
    facts: dict[str, Any]


class CustomerState(FrozenModel):
    """Contacts that still count, oldest first, and the review to come. Opt-outs are kept apart, for longer."""

    contacts: tuple[Contact, ...] = ()
    review: Review | None = None

    @classmethod
    def from_document(cls, document: Document | None) -> Self:
        return cls.model_validate(document or {})

    def to_document(self, customer_id: str, expires_at: datetime) -> Document:
        """The document to store. It is due at the review, or at `expires_at` if there is none."""
        due = self.review.at if self.review else expires_at
        return {**self.model_dump(mode="json"), "customer_id": customer_id, "due": due.timestamp()}

    def contacts_since(self, start: datetime) -> tuple[Contact, ...]:
        return tuple(contact for contact in self.contacts if contact.at > start)

    def days_since_contact(self, now: datetime) -> float:
        """Days since the last contact; infinite if there was none that still counts."""
        return (now - self.contacts[-1].at) / DAY if self.contacts else inf

    @property
    def offer_ends_at(self) -> datetime | None:
        """When the last of the accepted offers ends to have an effect."""
        return max((contact.held_until for contact in self.contacts if contact.held_until), default=None)

    def offer_days_left(self, now: datetime) -> int:
        """Days for which an accepted offer still has an effect, rounded up."""
        return max(0, ceil((self.offer_ends_at - now) / DAY)) if self.offer_ends_at else 0

    def with_contact(self, contact: Contact, window: timedelta) -> Self:
        """Add a contact, and drop those from before the `window`."""
        return self.model_copy(update={"contacts": (*self.contacts_since(contact.at - window), contact)})

    def with_accepted_offer(self, event_id: str, effect_days: Sequence[int]) -> Self:
        """The offer made for this event has an effect for the `effect_days` of its level, from the contact on."""
        contacts = (
            contact.model_copy(update={"held_until": contact.at + effect_days[contact.level] * DAY})
            if contact.event_id == event_id
            else contact
            for contact in self.contacts
        )
        return self.model_copy(update={"contacts": tuple(contacts)})

    def without_contact(self, event_id: str) -> Self:
        """The contact for this event did not take place."""
        contacts = tuple(contact for contact in self.contacts if contact.event_id != event_id)
        return self.model_copy(update={"contacts": contacts})

    def with_review(self, review: Review | None) -> Self:
        """Replace the review to come."""
        return self.model_copy(update={"review": review})

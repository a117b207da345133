"""The stored state of a customer: recent contacts, the messages that bounced, and the next review."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil, inf
from typing import Any, Self

from pydantic import AliasChoices, Field

from shared.messages import FrozenModel
from shared.store import Document

DAY = timedelta(days=1)
MAX_BOUNCES = 20
"""Bounces that are stored; no limit is higher."""


class Contact(FrozenModel):
    event_id: str
    at: datetime
    level: int = 0
    """Offer level."""
    offer_effect_ends_at: datetime | None = Field(
        default=None,
        validation_alias=AliasChoices("held_until", "offer_effect_ends_at"),
        serialization_alias="held_until",
    )
    """When the accepted offer stops having an effect; None if it was not accepted. Stored as `held_until`."""


class Bounce(FrozenModel):
    """A message that could not be delivered."""

    event_id: str
    at: datetime
    """When the contact was decided."""


class Review(FrozenModel):
    """A review to come: the customer is decided about again without a new event."""

    at: datetime
    event_id: str
    """Event whose decision asked for the review."""
    facts: dict[str, Any]
    """Facts about the customer at that event."""


class CustomerState(FrozenModel):
    """Contacts within the fatigue window, oldest first, and the review to come. Opt-outs are stored apart.

    Outcomes are reported in any order and any number of times, so the bounces in a row are those of contacts decided
    after the last sign of life, each counted once.
    """

    contacts: tuple[Contact, ...] = ()
    bounces: tuple[Bounce, ...] = ()
    """The bounces in a row, oldest first."""
    last_sign_of_life: datetime | None = None
    """When a message last arrived or was answered, as far as is known."""
    review: Review | None = None

    @classmethod
    def from_document(cls, document: Document | None) -> Self:
        return cls.model_validate(document or {})

    def to_document(self, customer_id: str, expires_at: datetime) -> Document:
        """The document to store. It is due at the review, or at `expires_at` if there is none."""
        due = self.review.at if self.review else expires_at
        return {**self.model_dump(mode="json", by_alias=True), "customer_id": customer_id, "due": due.timestamp()}

    def contacts_since(self, start: datetime) -> tuple[Contact, ...]:
        return tuple(contact for contact in self.contacts if contact.at > start)

    def days_since_contact(self, now: datetime) -> float:
        """Days since the last contact; infinite if none is stored."""
        return (now - self.contacts[-1].at) / DAY if self.contacts else inf

    @property
    def offer_effect_ends_at(self) -> datetime | None:
        """When the last of the accepted offers stops having an effect; None if none was accepted."""
        ends = (contact.offer_effect_ends_at for contact in self.contacts)
        return max((end for end in ends if end), default=None)

    def offer_days_left(self, now: datetime) -> int:
        """Days for which an accepted offer still has an effect, rounded up."""
        ends_at = self.offer_effect_ends_at
        return max(0, ceil((ends_at - now) / DAY)) if ends_at else 0

    def with_contact(self, contact: Contact, window: timedelta) -> Self:
        """Add a contact, and drop those from before the `window`."""
        return self.model_copy(update={"contacts": (*self.contacts_since(contact.at - window), contact)})

    def with_accepted_offer(self, event_id: str, effect_days: Sequence[int]) -> Self:
        """Let the offer made for this event have an effect for the `effect_days` of its level, from the contact on."""
        contacts = (
            contact.model_copy(update={"offer_effect_ends_at": contact.at + effect_days[contact.level] * DAY})
            if contact.event_id == event_id
            else contact
            for contact in self.contacts
        )
        return self.model_copy(update={"contacts": tuple(contacts)})

    def without_contact(self, event_id: str) -> Self:
        """Remove the contact for this event, which did not take place."""
        contacts = tuple(contact for contact in self.contacts if contact.event_id != event_id)
        return self.model_copy(update={"contacts": contacts})

    def with_bounce(self, bounce: Bounce) -> Self:
        return self._with_deliveries({*self.bounces, bounce}, self.last_sign_of_life)

    def with_sign_of_life(self, at: datetime) -> Self:
        return self._with_deliveries(self.bounces, max(at, self.last_sign_of_life or at))

    def _with_deliveries(self, bounces: Iterable[Bounce], last_sign_of_life: datetime | None) -> Self:
        in_a_row = [bounce for bounce in bounces if not last_sign_of_life or bounce.at > last_sign_of_life]
        in_a_row = sorted(in_a_row, key=lambda bounce: (bounce.at, bounce.event_id))[-MAX_BOUNCES:]
        return self.model_copy(update={"bounces": tuple(in_a_row), "last_sign_of_life": last_sign_of_life})

    def with_review(self, review: Review | None) -> Self:
        """Replace the review to come."""
        return self.model_copy(update={"review": review})

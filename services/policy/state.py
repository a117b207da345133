"""What the policy remembers of a customer."""

from datetime import datetime, timedelta
from typing import Self

from shared.messages import Value
from shared.store import Document


class Contact(Value):
    event_id: str
    at: datetime


class CustomerState(Value):
    """Contacts that still count, oldest first, and consent."""

    contacts: tuple[Contact, ...] = ()
    opted_out: bool = False

    @classmethod
    def of(cls, document: Document | None) -> Self:
        return cls.model_validate(document or {})

    def document(self) -> Document:
        return self.model_dump(mode="json")

    def since(self, start: datetime) -> tuple[Contact, ...]:
        return tuple(c for c in self.contacts if c.at > start)

    def contacted(self, event_id: str, at: datetime, memory: timedelta) -> Self:
        """One contact more; those longer ago than `memory` are forgotten."""
        return self.model_copy(update={"contacts": (*self.since(at - memory), Contact(event_id=event_id, at=at))})

    def uncontacted(self, event_id: str) -> Self:
        """The contact for this event never happened."""
        return self.model_copy(update={"contacts": tuple(c for c in self.contacts if c.event_id != event_id)})

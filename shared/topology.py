"""The topics, and which service subscribes to which: one table that wires the whole system.

The local bus, the emulator and the cloud are all set up from it.
"""

from typing import NamedTuple

from shared.messages import MESSAGE_TYPES


class Subscription(NamedTuple):
    """A service's subscription to a topic. Messages it can never handle go to the topic `dead_letter_topic`."""

    topic: str
    service: str

    @property
    def name(self) -> str:
        return f"{self.topic}.{self.service}"

    @property
    def dead_letter_topic(self) -> str:
        return f"{self.name}.dead"


SUBSCRIPTIONS = (
    Subscription("customer-events", "scorer"),
    Subscription("outcomes", "policy"),  # before the next, so that in one process an opt-out comes before a decision
    Subscription("scored-customers", "policy"),
    Subscription("planned-contacts", "messenger"),
    Subscription("drafted-messages", "shield"),
    Subscription("decisions", "gateway"),
)

TOPICS = tuple(MESSAGE_TYPES)
INPUT_TOPICS = ("customer-events", "outcomes")
"""The topics that users publish to; only services publish to the others."""


def subscriptions(service: str) -> dict[str, Subscription]:
    """The subscriptions of `service`, by name."""
    return {subscription.name: subscription for subscription in SUBSCRIPTIONS if subscription.service == service}

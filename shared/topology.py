"""Who listens to what. The wiring of the whole system, in one table.

The local bus, the emulator, the cloud and the README's table come from it.
"""

from typing import NamedTuple

from shared.messages import MESSAGE_TYPES


class Subscription(NamedTuple):
    """`service` hears what is said on `topic`. What it can never handle goes to the topic `dead`."""

    topic: str
    service: str

    @property
    def name(self) -> str:
        return f"{self.topic}.{self.service}"

    @property
    def dead(self) -> str:
        return f"{self.name}.dead"


SUBSCRIPTIONS = (
    Subscription("customer-events", "scorer"),
    Subscription("scored-customers", "policy"),
    Subscription("planned-contacts", "messenger"),
    Subscription("drafted-messages", "shield"),
    Subscription("decisions", "gateway"),
    Subscription("outcomes", "policy"),
)

TOPICS = tuple(MESSAGE_TYPES)
INPUTS = ("customer-events", "outcomes")
"""The topics that users publish to; the others are the services' own."""


def subscriptions(service: str) -> dict[str, Subscription]:
    """What `service` listens to, by the subscription's name."""
    return {s.name: s for s in SUBSCRIPTIONS if s.service == service}

"""Tests that every bus must pass."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from shared.bus import Bus, Envelope, LocalBus

Delivered = Callable[[int], Awaitable[list[Envelope]]]
"""Takes the number of messages expected; returns those delivered so far, once there are that many."""
TOPIC = "customer-events"


@pytest.fixture(params=["local", pytest.param("pubsub", marks=pytest.mark.emulator)])
async def bus_with_subscriber(request: pytest.FixtureRequest, project: str) -> AsyncIterator[tuple[Bus, Delivered]]:
    if request.param == "local":
        local, received = LocalBus(), list[Envelope]()

        async def receive(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
            received.extend(envelopes)
            return [None] * len(envelopes)

        async def drained(n: int) -> list[Envelope]:
            await local.drain()
            return received

        local.subscribe(f"{TOPIC}.test", receive)
        yield local, drained
    else:
        request.getfixturevalue("emulators")
        from google.cloud import pubsub_v1

        from shared.gcp.pubsub import PubSubBus

        topic, subscription = f"projects/{project}/topics/{TOPIC}", f"projects/{project}/subscriptions/test"
        with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
            publisher.create_topic(name=topic)
            subscriber.create_subscription(name=subscription, topic=topic)

            async def pulled(n: int) -> list[Envelope]:
                envelopes: dict[str, Envelope] = {}
                while len(envelopes) < n:
                    response = await asyncio.to_thread(
                        subscriber.pull, subscription=subscription, max_messages=1000, timeout=10
                    )
                    for m in response.received_messages:
                        envelopes[m.message.message_id] = Envelope(
                            TOPIC, m.message.data, dict(m.message.attributes), m.message.message_id
                        )
                return list(envelopes.values())

            pubsub = PubSubBus(project)
            yield pubsub, pulled
            pubsub.close()


async def test_a_published_message_is_delivered_unchanged(bus_with_subscriber: tuple[Bus, Delivered]) -> None:
    bus, delivered = bus_with_subscriber
    [message_id] = await bus.publish([Envelope(TOPIC, b'{"name": "Zo\xc3\xab"}\x00\xff', {"event_id": "☂"})])
    assert await delivered(1) == [Envelope(TOPIC, b'{"name": "Zo\xc3\xab"}\x00\xff', {"event_id": "☂"}, message_id)]


async def test_every_message_is_delivered_under_its_own_id(bus_with_subscriber: tuple[Bus, Delivered]) -> None:
    bus, delivered = bus_with_subscriber
    ids = await bus.publish([Envelope(TOPIC, str(n).encode()) for n in range(300)])
    envelopes = await delivered(300)
    assert {envelope.id for envelope in envelopes} == set(ids)
    assert sorted(int(envelope.data) for envelope in envelopes) == list(range(300))


async def test_the_check_of_a_bus_that_can_be_reached_passes(bus_with_subscriber: tuple[Bus, Delivered]) -> None:
    bus, _ = bus_with_subscriber
    await bus.check()

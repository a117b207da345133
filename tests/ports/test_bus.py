"""One suite for every bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from shared.bus import Bus, Envelope, LocalBus

Arrived = Callable[[int], Awaitable[list[Envelope]]]
TOPIC = "customer-events"


@pytest.fixture(params=["local", pytest.param("pubsub", marks=pytest.mark.emulator)])
async def bus(request: pytest.FixtureRequest, project: str) -> AsyncIterator[tuple[Bus, Arrived]]:
    """A bus with one subscriber, and what arrives there, once so many have."""
    if request.param == "local":
        local, received = LocalBus(), []

        async def receive(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
            received.extend(envelopes)
            return [None] * len(envelopes)

        async def arrived(n: int) -> list[Envelope]:
            await local.drain()
            return received

        local.subscribe(f"{TOPIC}.test", receive)
        yield local, arrived
    else:
        request.getfixturevalue("google")
        from google.cloud import pubsub_v1

        from shared.gcp import PubSubBus

        topic, subscription = f"projects/{project}/topics/{TOPIC}", f"projects/{project}/subscriptions/test"
        with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
            publisher.create_topic(name=topic)
            subscriber.create_subscription(name=subscription, topic=topic)

            async def pulled(n: int) -> list[Envelope]:
                found: dict[str, Envelope] = {}
                while len(found) < n:
                    answer = await asyncio.to_thread(
                        subscriber.pull, subscription=subscription, max_messages=1000, timeout=10
                    )
                    for m in answer.received_messages:
                        found[m.message.message_id] = Envelope(
                            TOPIC, m.message.data, dict(m.message.attributes), m.message.message_id
                        )
                return list(found.values())

            pubsub = PubSubBus(project)
            yield pubsub, pulled
            pubsub.close()


async def test_what_is_published_arrives_unchanged(bus: tuple[Bus, Arrived]) -> None:
    bus, arrived = bus
    [name] = await bus.publish([Envelope(TOPIC, b'{"name": "Zo\xc3\xab"}\x00\xff', {"event_id": "☂"})])
    assert await arrived(1) == [Envelope(TOPIC, b'{"name": "Zo\xc3\xab"}\x00\xff', {"event_id": "☂"}, name)]


async def test_every_message_arrives_under_its_own_id(bus: tuple[Bus, Arrived]) -> None:
    bus, arrived = bus
    ids = await bus.publish([Envelope(TOPIC, str(n).encode()) for n in range(300)])
    found = await arrived(300)
    assert {e.id for e in found} == set(ids)
    assert sorted(int(e.data) for e in found) == list(range(300))


async def test_a_bus_that_is_there_says_so(bus: tuple[Bus, Arrived]) -> None:
    await bus[0].check()

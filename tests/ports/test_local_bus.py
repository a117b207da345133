"""What only the in-memory bus does: the faults of a real bus on purpose, retries, dead letters and taps."""

from collections.abc import Sequence
from random import Random

from shared.bus import Envelope, LocalBus

SUBSCRIPTION = "things.subscriber"
DEAD_LETTERS = "things.subscriber.dead.keep"


class Subscriber:
    """Records every delivery; refuses each message a number of times."""

    def __init__(self, refusals: int = 0) -> None:
        self.received: list[Envelope] = []
        self.refusals = refusals

    async def receive(self, subscription: str, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        self.received += envelopes
        return [OSError("not now") if self.received.count(e) <= self.refusals else None for e in envelopes]


async def test_it_can_deliver_everything_three_times_and_out_of_order() -> None:
    bus, subscriber = LocalBus(copies=3, shuffle=Random(1)), Subscriber()
    bus.subscribe(SUBSCRIPTION, subscriber.receive)
    await bus.publish([Envelope("things", str(n).encode()) for n in range(10)])
    await bus.drain()
    order = [int(envelope.data) for envelope in subscriber.received]
    assert sorted(order) == sorted([*range(10)] * 3)
    assert order != sorted(order)


async def test_a_refused_message_is_delivered_again() -> None:
    bus, subscriber = LocalBus(), Subscriber(refusals=2)
    bus.subscribe(SUBSCRIPTION, subscriber.receive)
    await bus.publish([Envelope("things", b"x")])
    await bus.drain()
    assert len(subscriber.received) == 3


async def test_a_message_refused_too_often_becomes_a_dead_letter_with_its_reason() -> None:
    bus, subscriber, dead_letters = LocalBus(attempts=4), Subscriber(refusals=99), Subscriber()
    bus.subscribe(SUBSCRIPTION, subscriber.receive)
    bus.subscribe(DEAD_LETTERS, dead_letters.receive)
    [message_id] = await bus.publish([Envelope("things", b"x", {"event_id": "e"})])
    await bus.drain()
    assert len(subscriber.received) == 4
    [letter] = dead_letters.received
    assert letter.data == b"x"
    assert letter.attributes["event_id"] == "e"
    assert letter.attributes["message_id"] == message_id
    assert "not now" in letter.attributes["reason"]


async def test_an_exception_of_a_subscriber_refuses_the_message() -> None:
    async def broken(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        raise OSError("broken")

    bus, dead_letters = LocalBus(), Subscriber()
    bus.subscribe(SUBSCRIPTION, broken)
    bus.subscribe(DEAD_LETTERS, dead_letters.receive)
    await bus.publish([Envelope("things", b"x")])
    await bus.drain()
    assert "broken" in dead_letters.received[0].attributes["reason"]


async def test_a_long_reason_is_cut_to_what_pubsub_allows_for_an_attribute() -> None:
    async def broken(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        raise OSError("ü" * 5000)

    bus, dead_letters = LocalBus(), Subscriber()
    bus.subscribe(SUBSCRIPTION, broken)
    bus.subscribe(DEAD_LETTERS, dead_letters.receive)
    await bus.publish([Envelope("things", b"x")])
    await bus.drain()
    assert len(dead_letters.received[0].attributes["reason"].encode()) <= 1024


async def test_messages_published_before_the_bus_closes_are_delivered() -> None:
    bus, subscriber = LocalBus(), Subscriber()
    bus.subscribe(SUBSCRIPTION, subscriber.receive)
    await bus.publish([Envelope("things", b"x")])
    bus.close()
    await bus.run()
    assert len(subscriber.received) == 1


async def test_a_tap_sees_each_delivery_and_can_drop_it() -> None:
    bus, subscriber, tapped = LocalBus(), Subscriber(), list[tuple[str, bytes]]()
    bus.subscribe(SUBSCRIPTION, subscriber.receive)

    def drop_odd(subscription: str, envelope: Envelope) -> bool:
        tapped.append((subscription, envelope.data))
        return int(envelope.data) % 2 == 0

    with bus.tap(drop_odd):
        await bus.publish([Envelope("things", str(n).encode()) for n in range(4)])
        await bus.drain()
    await bus.publish([Envelope("things", b"5")])
    await bus.drain()
    assert tapped == [(SUBSCRIPTION, str(n).encode()) for n in range(4)]
    assert [envelope.data for envelope in subscriber.received] == [b"0", b"2", b"5"]

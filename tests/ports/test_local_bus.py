"""What only the in-memory bus does: the faults of a real bus on purpose, retries, dead letters and taps."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest

from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.errors import UnavailableError
from shared.inbox import INBOX, Inbox
from shared.store import SQLiteStore

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
    assert letter.attributes["reason"] == "refused 4 times: not now"


async def test_dead_letters_of_refused_messages_have_ids_of_their_own_and_are_counted() -> None:
    before = telemetry.counts["dead_letters"]
    bus, dead_letters = LocalBus(attempts=2), Subscriber()
    bus.subscribe(SUBSCRIPTION, Subscriber(refusals=99).receive)
    bus.subscribe(DEAD_LETTERS, dead_letters.receive)
    await bus.publish([Envelope("things", str(n).encode()) for n in range(5)])
    await bus.drain()
    assert len({letter.id for letter in dead_letters.received} - {""}) == 5
    assert telemetry.counts["dead_letters"] == before + 5


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


class Outage:
    """A receiver that is unavailable until it is told that the outage is over."""

    def __init__(self) -> None:
        self.tries = 0
        self.over = False
        self.received: list[Envelope] = []

    async def receive(self, subscription: str, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        self.tries += 1
        if not self.over:
            return [UnavailableError("the disk is full")] * len(envelopes)
        self.received += envelopes
        return [None] * len(envelopes)


def kept_bus(store: SQLiteStore) -> LocalBus:
    return LocalBus(inbox=Inbox(store))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_outage_uses_up_no_attempts_and_is_tried_less_and_less_often() -> None:
    bus, outage, dead_letters = kept_bus(SQLiteStore()), Outage(), Subscriber()
    bus.subscribe(SUBSCRIPTION, outage.receive)
    bus.subscribe(DEAD_LETTERS, dead_letters.receive)
    running = asyncio.create_task(bus.run())
    published = [Envelope("things", str(n).encode()) for n in range(600)]
    await bus.publish(published)
    await asyncio.sleep(0.5)
    assert 2 <= outage.tries <= 6
    await asyncio.sleep(1.5)
    assert 4 <= outage.tries <= 8
    outage.over = True
    await until(lambda: len(outage.received) == 600)
    assert [envelope.data for envelope in outage.received] == [envelope.data for envelope in published]
    bus.close()
    await running
    assert dead_letters.received == []


@pytest.mark.parametrize("error", [OSError("broken"), UnavailableError("the disk is full")])
async def test_a_dead_letter_that_cannot_be_written_stays_until_it_can(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.MIN_RETRY_SECONDS", 0.0001)
    bus, refusing, written, errors = kept_bus(SQLiteStore()), Subscriber(refusals=99), list[Envelope](), [error] * 8

    async def write(_: str, envelopes: Sequence[Envelope]) -> list[None]:
        if errors:
            raise errors.pop()
        written.extend(envelopes)
        return [None] * len(envelopes)

    bus.subscribe(SUBSCRIPTION, refusing.receive)
    bus.subscribe(DEAD_LETTERS, write)
    await bus.publish([Envelope("things", b"x")])
    await asyncio.wait_for(bus.drain(), 20)
    assert [letter.data for letter in written] == [b"x"]


async def test_without_an_inbox_an_outage_that_lasts_is_raised_and_nothing_is_lost() -> None:
    bus, outage = LocalBus(attempts=3), Outage()
    bus.subscribe(SUBSCRIPTION, outage.receive)
    await bus.publish([Envelope("things", b"x")])
    with pytest.raises(UnavailableError, match="the disk is full"):
        await bus.drain()
    assert outage.tries == 3
    outage.over = True
    await bus.drain()
    assert len(outage.received) == 1


async def test_a_message_stays_in_the_inbox_until_all_that_it_causes_is_handled() -> None:
    store = SQLiteStore()
    bus, outage = kept_bus(store), Outage()

    async def forward(_: str, envelopes: Sequence[Envelope]) -> list[None]:
        await bus.publish([Envelope("followers", envelope.data) for envelope in envelopes])
        return [None] * len(envelopes)

    bus.subscribe(SUBSCRIPTION, forward)
    bus.subscribe("followers.subscriber", outage.receive)
    running = asyncio.create_task(bus.run())
    ids = await bus.publish([Envelope("things", b"1"), Envelope("things", b"2")])
    await until(lambda: outage.tries > 0)
    assert list(store.all(INBOX)) == ids
    outage.over = True
    await until(lambda: len(outage.received) == 2)
    bus.close()
    await running
    assert store.all(INBOX) == {}


async def test_a_bus_that_is_closed_in_an_outage_stops_and_the_next_delivers_what_was_left() -> None:
    store, outage, works = SQLiteStore(), Outage(), Subscriber()
    bus = kept_bus(store)
    bus.subscribe(SUBSCRIPTION, outage.receive)
    running = asyncio.create_task(bus.run())
    ids = await bus.publish([Envelope("things", str(n).encode(), {"n": str(n)}) for n in range(3)])
    await until(lambda: outage.tries > 1)
    bus.close()
    await asyncio.wait_for(running, 1)

    second = kept_bus(store)
    second.subscribe(SUBSCRIPTION, works.receive)
    await second.resume()
    await second.drain()
    assert works.received == [Envelope("things", str(n).encode(), {"n": str(n)}, ids[n]) for n in range(3)]
    assert store.all(INBOX) == {}


async def test_a_message_without_subscribers_is_handled_at_once() -> None:
    store = SQLiteStore()
    bus = kept_bus(store)
    await bus.publish([Envelope("nobody", b"x")])
    await bus.drain()
    assert store.all(INBOX) == {}


async def test_a_retry_waits_longer_after_each_refusal() -> None:
    loop, times = asyncio.get_running_loop(), list[float]()

    async def refuse(_: str, envelopes: Sequence[Envelope]) -> list[Exception]:
        times.append(loop.time())
        return [OSError("not now")] * len(envelopes)

    bus = LocalBus(attempts=4)
    bus.subscribe(SUBSCRIPTION, refuse)
    await bus.publish([Envelope("things", b"x")])
    await bus.drain()
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    assert pauses[0] > 0.05

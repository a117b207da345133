"""What the bus of one process does on purpose, and the cloud now and then."""

from collections.abc import Sequence
from random import Random

from shared.bus import Envelope, LocalBus


class Ear:
    """Hears everything; refuses each message as often as told."""

    def __init__(self, refusals: int = 0) -> None:
        self.heard: list[Envelope] = []
        self.refusals = refusals

    async def receive(self, subscription: str, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        self.heard += envelopes
        return [OSError("not now") if self.heard.count(e) <= self.refusals else None for e in envelopes]


async def test_it_can_deliver_everything_three_times_and_out_of_order() -> None:
    bus, ear = LocalBus(copies=3, shuffle=Random(1)), Ear()
    bus.subscribe("things.ear", ear.receive)
    await bus.publish([Envelope("things", str(n).encode()) for n in range(10)])
    await bus.drain()
    order = [int(e.data) for e in ear.heard]
    assert sorted(order) == sorted([*range(10)] * 3)
    assert order != sorted(order)


async def test_what_is_refused_comes_again() -> None:
    bus, ear = LocalBus(), Ear(refusals=2)
    bus.subscribe("things.ear", ear.receive)
    await bus.publish([Envelope("things", b"x")])
    await bus.drain()
    assert len(ear.heard) == 3


async def test_what_is_refused_too_often_is_kept_with_its_reason() -> None:
    bus, ear, keeper = LocalBus(attempts=4), Ear(refusals=99), Ear()
    bus.subscribe("things.ear", ear.receive)
    bus.subscribe("things.ear.dead.keep", keeper.receive)
    [name] = await bus.publish([Envelope("things", b"x", {"event_id": "e"})])
    await bus.drain()
    assert len(ear.heard) == 4
    [letter] = keeper.heard
    assert letter.data == b"x"
    assert letter.attributes["event_id"] == "e"
    assert letter.attributes["message_id"] == name
    assert "not now" in letter.attributes["reason"]


async def test_a_subscriber_that_breaks_down_is_a_refusal() -> None:
    async def broken(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        raise OSError("broken")

    bus, keeper = LocalBus(), Ear()
    bus.subscribe("things.broken", broken)
    bus.subscribe("things.broken.dead.keep", keeper.receive)
    await bus.publish([Envelope("things", b"x")])
    await bus.drain()
    assert "broken" in keeper.heard[0].attributes["reason"]


async def test_a_long_reason_is_cut_to_what_an_attribute_holds() -> None:
    async def broken(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        raise OSError("ü" * 5000)

    bus, keeper = LocalBus(), Ear()
    bus.subscribe("things.broken", broken)
    bus.subscribe("things.broken.dead.keep", keeper.receive)
    await bus.publish([Envelope("things", b"x")])
    await bus.drain()
    assert len(keeper.heard[0].attributes["reason"].encode()) <= 1024


async def test_what_was_published_before_it_closed_is_delivered() -> None:
    bus, ear = LocalBus(), Ear()
    bus.subscribe("things.ear", ear.receive)
    await bus.publish([Envelope("things", b"x")])
    bus.close()
    await bus.run()
    assert len(ear.heard) == 1

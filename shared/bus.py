"""Where messages leave, and the bus of one process. Knows bytes and topics, not what they mean."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from gzip import compress, decompress
from itertools import count, islice
from random import Random
from typing import NamedTuple, Protocol
from uuid import uuid4

GZIP_ABOVE_BYTES = 1024 * 1024
"""Bytes from which a dead letter is packed."""
MAX_ATTRIBUTES = 100
"""Of a message, at most."""
DEAD_LETTER_ATTRIBUTES = ("reason", "subscription", "message_id", "encoding")
"""Attributes of a dead letter, besides those that it came with."""
REPLAY_OF = "replay_of"
"""Attribute of what is sent again: the id of the message that failed first, by which it is still known."""


class Envelope(NamedTuple):
    """What travels. `id` is the bus's own, given at publishing."""

    topic: str
    data: bytes
    attributes: Mapping[str, str] = {}
    id: str = ""


class Bus(Protocol):
    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Hand over all of them, in no order; returns their ids once the bus is answerable for them."""

    async def check(self) -> None:
        """Raise if the bus cannot be reached."""


Receive = Callable[[str, Sequence[Envelope]], Awaitable[Sequence[Exception | None]]]
"""A subscription's name and what arrived on it; for each, None acknowledges and an exception asks for it again."""


class LocalBus:
    """At least once, in memory: what is in flight is lost with the process.

    Carries bytes, so what cannot be serialised fails here too. Delivers everything `copies` times, and out of order
    where `shuffle` is given: what the cloud does now and then, this does on purpose. After `attempts` refusals a
    message goes to its subscription's dead-letter topic, like a message that cannot be handled.
    """

    def __init__(self, *, copies: int = 1, shuffle: Random | None = None, batch: int = 256, attempts: int = 5) -> None:
        self._copies, self._shuffle, self._batch, self._attempts = copies, shuffle, batch, attempts
        self._queues: dict[str, deque[tuple[Envelope, int]]] = {}
        self._receive: dict[str, Receive] = {}
        self._subscribers: dict[str, list[str]] = {}
        self._ids = map(f"{uuid4()}-{{}}".format, count(1))
        self._published = asyncio.Event()
        self._closing = False

    def subscribe(self, subscription: str, receive: Receive) -> None:
        """Deliver what is published on `TOPIC` from now on to `receive`; `subscription` is `TOPIC.NAME`."""
        self._queues[subscription] = deque()
        self._receive[subscription] = receive
        self._subscribers.setdefault(subscription.rpartition(".")[0], []).append(subscription)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        identified = [e if e.id else e._replace(id=next(self._ids)) for e in envelopes]
        for envelope in identified:
            for subscription in self._subscribers.get(envelope.topic, ()):
                self._queues[subscription].extend([(envelope, 1)] * self._copies)
        self._published.set()
        return [e.id for e in identified]

    async def check(self) -> None:
        pass

    async def run(self) -> None:
        """Deliver until `close`, and then what is under way."""
        while True:
            await self._published.wait()
            self._published.clear()
            await self.drain()
            if self._closing:
                return

    def close(self) -> None:
        self._closing = True
        self._published.set()

    async def drain(self) -> None:
        """Deliver until nobody has anything left to say."""
        while waiting := [s for s, queue in self._queues.items() if queue]:
            for subscription in waiting:
                await self._deliver(subscription)
                await asyncio.sleep(0)  # others share this process

    async def _deliver(self, subscription: str) -> None:
        queue = self._queues[subscription]
        if self._shuffle:
            self._shuffle.shuffle(queue)
        arrived = [queue.popleft() for _ in range(min(self._batch, len(queue)))]
        try:
            answers = await self._receive[subscription](subscription, [envelope for envelope, _ in arrived])
        except Exception as error:
            answers = [error] * len(arrived)
        for (envelope, attempt), refusal in zip(arrived, answers, strict=True):
            if refusal and attempt < self._attempts:
                queue.append((envelope, attempt + 1))
            elif refusal:
                await self.publish([dead_letter(envelope, subscription, f"refused {attempt} times: {refusal!r}")])


def dead_letter(envelope: Envelope, subscription: str, reason: str) -> Envelope:
    """What failed for good, as it came, with the reason in its attributes.

    Pub/Sub limits an attribute to 1,024 bytes, a message to 100 of them, and both together to 10 MB: so a large one is
    packed, and attributes beyond that are left behind.
    """
    large = len(envelope.data) > GZIP_ABOVE_BYTES
    why = {
        "reason": reason.encode()[:1000].decode(errors="ignore"),
        "subscription": subscription,
        "message_id": envelope.id,
        "encoding": "gzip" if large else "identity",
    }
    data = compress(envelope.data) if large else envelope.data
    theirs = dict(islice(envelope.attributes.items(), MAX_ATTRIBUTES - len(why)))
    return Envelope(f"{subscription}.dead", data, {**theirs, **why})


def original_message(letter: Envelope) -> Envelope:
    """The message of a dead letter, to be published where it first was. However often that is, it is the same one."""
    why = letter.attributes
    theirs = {name: value for name, value in why.items() if name not in DEAD_LETTER_ATTRIBUTES}
    data = decompress(letter.data) if why.get("encoding") == "gzip" else letter.data
    return Envelope(why["subscription"].rpartition(".")[0], data, {REPLAY_OF: why["message_id"], **theirs})

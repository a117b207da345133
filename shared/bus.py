"""The port through which messages are published, and an in-memory bus. Independent of what the messages mean."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from gzip import compress, decompress
from itertools import count, islice
from random import Random
from typing import NamedTuple, Protocol
from uuid import uuid4

GZIP_ABOVE_BYTES = 1024 * 1024
"""Size above which the data of a dead letter is compressed."""
MAX_ATTRIBUTES = 100
"""Limit of Pub/Sub on the attributes of a message."""
DEAD_LETTER_ATTRIBUTES = ("reason", "subscription", "message_id", "encoding")
"""Attributes added to a dead letter; those of the original message are kept too."""
REPLAY_OF = "replay_of"
"""Attribute of a replayed message: the id under which it was first published, which still identifies it."""


class Envelope(NamedTuple):
    """A message as the bus carries it."""

    topic: str
    data: bytes
    attributes: Mapping[str, str] = {}
    id: str = ""
    """Given by the bus when it is published."""


class Bus(Protocol):
    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Publish messages, in any order. Returns their ids once the bus guarantees delivery."""

    async def check(self) -> None:
        """Raise if the bus cannot be reached."""


Receive = Callable[[str, Sequence[Envelope]], Awaitable[Sequence[Exception | None]]]
"""Takes the name of a subscription and a batch; returns None to acknowledge a message, or an exception to retry it."""

Tap = Callable[[str, Envelope], bool]
"""Takes the name of a subscription and an envelope about to be delivered; returns whether to deliver it."""


class LocalBus:
    """An in-memory bus with at-least-once delivery. Undelivered messages are lost when the process ends.

    For tests it can behave as Pub/Sub sometimes does: everything is delivered `copies` times, and in random order if
    `shuffle` is given. A message that is refused `attempts` times goes to its subscription's dead-letter topic.
    """

    def __init__(self, *, copies: int = 1, shuffle: Random | None = None, batch: int = 256, attempts: int = 5) -> None:
        self._copies, self._shuffle, self._batch, self._attempts = copies, shuffle, batch, attempts
        self._queues: dict[str, deque[tuple[Envelope, int]]] = {}
        self._receivers: dict[str, Receive] = {}
        self._subscribers: dict[str, list[str]] = {}
        self._ids = map(f"{uuid4()}-{{}}".format, count(1))
        self._published = asyncio.Event()
        self._closing = False
        self._tap: Tap | None = None

    def subscribe(self, subscription: str, receive: Receive) -> None:
        """Deliver what is published from now on to `receive`; `subscription` is TOPIC.NAME."""
        self._queues[subscription] = deque()
        self._receivers[subscription] = receive
        self._subscribers.setdefault(subscription.rpartition(".")[0], []).append(subscription)

    @contextmanager
    def tap(self, tap: Tap) -> Iterator[None]:
        """Within this context, show each envelope to `tap` before it is delivered. For tests.

        Where `tap` returns False the envelope is not delivered, and counts as acknowledged.
        """
        outer, self._tap = self._tap, tap
        try:
            yield
        finally:
            self._tap = outer

    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        identified = [envelope if envelope.id else envelope._replace(id=next(self._ids)) for envelope in envelopes]
        for envelope in identified:
            for subscription in self._subscribers.get(envelope.topic, ()):
                self._queues[subscription].extend([(envelope, 1)] * self._copies)
        self._published.set()
        return [envelope.id for envelope in identified]

    async def check(self) -> None:
        pass

    async def run(self) -> None:
        """Deliver messages until `close` is called and nothing is left to deliver."""
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
        """Deliver messages, and those that they cause, until none is left."""
        while nonempty := [subscription for subscription, queue in self._queues.items() if queue]:
            for subscription in nonempty:
                await self._deliver(subscription)
                await asyncio.sleep(0)  # let other tasks run

    async def _deliver(self, subscription: str) -> None:
        queue = self._queues[subscription]
        if self._shuffle:
            self._shuffle.shuffle(queue)
        batch = [queue.popleft() for _ in range(min(self._batch, len(queue)))]
        if self._tap:
            batch = [(envelope, attempt) for envelope, attempt in batch if self._tap(subscription, envelope)]
        try:
            results = await self._receivers[subscription](subscription, [envelope for envelope, _ in batch])
        except Exception as error:
            results = [error] * len(batch)
        for (envelope, attempt), refusal in zip(batch, results, strict=True):
            if refusal and attempt < self._attempts:
                queue.append((envelope, attempt + 1))
            elif refusal:
                await self.publish([dead_letter(envelope, subscription, f"refused {attempt} times: {refusal!r}")])


def dead_letter(envelope: Envelope, subscription: str, reason: str) -> Envelope:
    """The dead letter of a message that will not be retried: its data, with the reason in the attributes.

    Pub/Sub limits an attribute to 1,024 bytes, a message to 100 attributes, and all of it to 10 MB. So large data is
    compressed, and surplus attributes are dropped.
    """
    is_large = len(envelope.data) > GZIP_ABOVE_BYTES
    added = {
        "reason": reason.encode()[:1000].decode(errors="ignore"),
        "subscription": subscription,
        "message_id": envelope.id,
        "encoding": "gzip" if is_large else "identity",
    }
    data = compress(envelope.data) if is_large else envelope.data
    original = dict(islice(envelope.attributes.items(), MAX_ATTRIBUTES - len(added)))
    return Envelope(f"{subscription}.dead", data, {**original, **added})


def original_message(letter: Envelope) -> Envelope:
    """The message of a dead letter, to publish on its topic again. It stays identified by its first id."""
    attributes = letter.attributes
    original = {name: value for name, value in attributes.items() if name not in DEAD_LETTER_ATTRIBUTES}
    data = decompress(letter.data) if attributes.get("encoding") == "gzip" else letter.data
    topic = attributes["subscription"].rpartition(".")[0]
    return Envelope(topic, data, {REPLAY_OF: attributes["message_id"], **original})

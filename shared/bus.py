"""The port through which messages are published, and an in-memory bus. Independent of what the messages mean."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from gzip import compress, decompress
from itertools import count, islice
from random import Random
from typing import NamedTuple, Protocol
from uuid import uuid4

from shared import telemetry
from shared.errors import UnavailableError

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.05, 2.0
"""Time until a message is delivered again: doubled with each attempt, up to a maximum."""
GZIP_ABOVE_BYTES = 1024 * 1024
"""Size above which the data of a dead letter is compressed."""
MAX_ATTRIBUTES = 100
"""Limit of Pub/Sub on the attributes of a message."""
DEAD_LETTER_ATTRIBUTES = ("reason", "subscription", "message_id", "encoding")
"""Attributes added to a dead letter; those of the original message are kept too."""
DEAD = ".dead"
"""End of the name of a dead-letter topic. What is published there is delivered until it is acknowledged."""
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
        """Publish messages, in any order. Returns their ids once the bus guarantees delivery.

        Raises `UnavailableError` or `OverloadedError` where it cannot.
        """

    async def check(self) -> None:
        """Raise if the bus cannot be reached."""


Receive = Callable[[str, Sequence[Envelope]], Awaitable[Sequence[Exception | None]]]
"""Takes the name of a subscription and a batch; returns None to acknowledge a message, or an exception to retry it."""

Tap = Callable[[str, Envelope], bool]
"""Takes the name of a subscription and an envelope about to be delivered; returns whether to deliver it."""


class Inbox(Protocol):
    """Keeps messages until they are handled (`shared.inbox.Inbox`)."""

    async def add(self, envelopes: Sequence[Envelope]) -> None: ...

    async def remove(self, ids: Collection[str]) -> None: ...

    async def load(self) -> list[Envelope]: ...


class Batch:
    """Messages on their way that have a cause in common. When none is left, what caused them is handled."""

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self.ids = ids
        """Ids of the messages that are then handled."""
        self.causes: list[Batch] = []
        """The batches of the messages that caused these, one for each message."""
        self.open = 1
        """Number of deliveries that are not acknowledged, and 1 until all are under way."""


class Delivery(NamedTuple):
    envelope: Envelope
    attempt: int
    batch: Batch


_current = ContextVar[Batch | None]("_current", default=None)
"""The batch of what is published by the receiver that is running."""


class LocalBus:
    """An in-memory bus with at-least-once delivery.

    With an `inbox`, what is published by anybody but a receiver is kept there until it and all that it causes is
    handled, so that it is delivered again by `resume` if the process ends before. Without one it is lost then.

    A message that is refused `attempts` times goes to its subscription's dead-letter topic; those times at which the
    store or another bus was unavailable do not count. For tests it can behave as Pub/Sub sometimes does: everything is
    delivered `copies` times, and in random order if `shuffle` is given.
    """

    def __init__(
        self,
        *,
        copies: int = 1,
        shuffle: Random | None = None,
        batch: int = 256,
        attempts: int = 5,
        inbox: Inbox | None = None,
    ) -> None:
        self._copies, self._shuffle, self._batch, self._attempts = copies, shuffle, batch, attempts
        self._inbox = inbox
        self._queues: dict[str, deque[Delivery]] = {}
        self._receivers: dict[str, Receive] = {}
        self._subscribers: dict[str, list[str]] = {}
        self._ids = map(f"{uuid4()}-{{}}".format, count(1))
        self._handled: list[str] = []
        """Ids of the messages that are to be removed from the inbox."""
        self._outages: dict[str, int] = {}
        """How often in a row each subscription's receiver was unavailable."""
        self._paused = set[str]()
        """Subscriptions that wait until their receiver may be available again."""
        self._timers = 0
        self._published = asyncio.Event()
        self._closing = False
        self._tap: Tap | None = None

    def subscribe(self, subscription: str, receive: Receive) -> None:
        """Deliver what is published from now on to `receive`; `subscription` is TOPIC.NAME."""
        self._queues[subscription] = deque()
        self._outages[subscription] = 0
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
        if batch := _current.get():
            self._enqueue(identified, batch)
        else:
            if self._inbox:
                await self._inbox.add(identified)
            self._start(identified)
        return [envelope.id for envelope in identified]

    async def resume(self) -> None:
        """Deliver what was left in the inbox when the process last ended. Call once all have subscribed."""
        if self._inbox:
            self._start(await self._inbox.load())

    async def check(self) -> None:
        pass

    async def run(self) -> None:
        """Deliver messages until `close` is called and nothing is left that can be delivered."""
        while True:
            await self._published.wait()
            self._published.clear()
            with suppress(UnavailableError):
                await self.drain()
            if self._closing:
                return

    def close(self) -> None:
        self._closing = True
        self._published.set()

    async def drain(self) -> None:
        """Deliver messages, and those that they cause, until none is left.

        Where a receiver stays unavailable, it goes on until the bus is closed, if there is an inbox to keep the rest;
        otherwise it raises the receiver's `UnavailableError` after a number of attempts.
        """
        while True:
            ready = [name for name, queue in self._queues.items() if queue and name not in self._paused]
            for subscription in ready:
                await self._deliver(subscription)
                await asyncio.sleep(0)  # let other tasks run
            await self._remove_handled()
            if not ready:
                if not self._timers or (self._closing and self._inbox):
                    return
                await self._published.wait()
                self._published.clear()

    async def _deliver(self, subscription: str) -> None:
        """Deliver a batch. Without an inbox, raises the error of a receiver that stays unavailable."""
        queue, batch = self._queues[subscription], Batch()
        if self._shuffle:
            self._shuffle.shuffle(queue)
        deliveries = [queue.popleft() for _ in range(min(self._batch, len(queue)))]
        if self._tap:
            taken = [self._tap(subscription, delivery.envelope) for delivery in deliveries]
            batch.causes += [delivery.batch for delivery, take in zip(deliveries, taken, strict=True) if not take]
            deliveries = [delivery for delivery, take in zip(deliveries, taken, strict=True) if take]
        refusals = await self._receive(subscription, deliveries, batch)
        outages = [refusal for refusal in refusals if isinstance(refusal, UnavailableError)]
        for delivery, refusal in reversed(list(zip(deliveries, refusals, strict=True))):
            if refusal is None:
                batch.causes.append(delivery.batch)
            elif isinstance(refusal, UnavailableError):
                queue.appendleft(delivery)
            elif delivery.attempt < self._attempts or delivery.envelope.topic.endswith(DEAD):
                self._later(delivery.attempt, queue.append, delivery._replace(attempt=delivery.attempt + 1))
            else:
                reason = f"refused {delivery.attempt} times: {str(refusal) or repr(refusal)}"
                telemetry.count("dead_letters", subscription=subscription, reason=type(refusal).__name__)
                letter = dead_letter(delivery.envelope, subscription, reason)._replace(id=next(self._ids))
                self._enqueue([letter], batch)
                batch.causes.append(delivery.batch)
        self._close(batch)
        self._pause(subscription, outages)

    async def _receive(
        self, subscription: str, deliveries: Sequence[Delivery], batch: Batch
    ) -> Sequence[Exception | None]:
        """The receiver's answers. What it publishes meanwhile belongs to `batch`."""
        token = _current.set(batch)
        try:
            return await self._receivers[subscription](subscription, [delivery.envelope for delivery in deliveries])
        except Exception as error:
            return [error] * len(deliveries)
        finally:
            _current.reset(token)

    def _start(self, envelopes: Sequence[Envelope]) -> None:
        """Deliver messages that no other message caused."""
        for envelope in envelopes:
            batch = Batch([envelope.id] if self._inbox else [])
            self._enqueue([envelope], batch)
            self._close(batch)

    def _enqueue(self, envelopes: Sequence[Envelope], batch: Batch) -> None:
        for envelope in envelopes:
            for subscription in self._subscribers.get(envelope.topic, ()):
                self._queues[subscription].extend([Delivery(envelope, 1, batch)] * self._copies)
                batch.open += self._copies
        self._published.set()

    def _close(self, batch: Batch) -> None:
        """Count one of the batch as done; where it is the last, all that caused the batch is handled."""
        batches = [batch]
        while batches:
            batch = batches.pop()
            batch.open -= 1
            if not batch.open:
                self._handled += batch.ids
                batches += batch.causes

    async def _remove_handled(self) -> None:
        if not (self._inbox and self._handled):
            return
        handled, self._handled = self._handled, []
        try:
            await self._inbox.remove(handled)
        except UnavailableError:
            self._handled += handled
            if not self._closing:
                self._later(self._attempts, lambda: None)

    def _pause(self, subscription: str, outages: Sequence[UnavailableError]) -> None:
        """Deliver nothing to a subscription for a while after an outage, the longer the more follow each other."""
        if not outages:
            self._outages[subscription] = 0
            return
        self._outages[subscription] += 1
        self._paused.add(subscription)
        self._later(self._outages[subscription], self._paused.discard, subscription)
        if not self._inbox and self._outages[subscription] >= self._attempts:
            raise outages[0]

    def _later(self, attempt: int, action: Callable[..., object], *arguments: object) -> None:
        """Call `action` after the pause that follows the attempt of this number."""

        def act() -> None:
            self._timers -= 1
            action(*arguments)
            self._published.set()

        self._timers += 1
        seconds = min(MAX_RETRY_SECONDS, MIN_RETRY_SECONDS * 2 ** min(attempt, 16))
        asyncio.get_running_loop().call_later(seconds, act)


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
    return Envelope(subscription + DEAD, data, {**original, **added})


def original_message(letter: Envelope) -> Envelope:
    """The message of a dead letter, to publish on its topic again. It stays identified by its first id."""
    attributes = letter.attributes
    original = {name: value for name, value in attributes.items() if name not in DEAD_LETTER_ATTRIBUTES}
    data = decompress(letter.data) if attributes.get("encoding") == "gzip" else letter.data
    topic = attributes["subscription"].rpartition(".")[0]
    return Envelope(topic, data, {REPLAY_OF: attributes["message_id"], **original})

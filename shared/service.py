"""A service: a name and its handlers. Knows neither the web nor Google."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from shared import telemetry
from shared.bus import REPLAY_OF, Bus, Envelope, dead_letter
from shared.messages import Message
from shared.topology import subscriptions

MAX_BYTES = 256 * 1024
"""Of one message. The largest that a publisher could mean is a hundredth of it."""

Handler = Callable[[Sequence[Any]], Awaitable[Sequence[Sequence[Message]]]]
"""Messages that wait together in; for each of them, the messages that follow out. Idempotent: it may run again."""

Tick = Callable[[], Awaitable[Mapping[str, int]]]
"""Does what is due by now, and says how much of it there was."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def tune_garbage_collector() -> None:
    """Call once everything is built.

    Models and modules stay, so no garbage is looked for among them; and it is looked for seldom, because the messages
    of a batch live together and die together.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def nothing_due() -> dict[str, int]:
    return {}


class UnprocessableError(ValueError):
    """This message can never be handled, however often it comes."""


class NotReadyError(Exception):
    """This message cannot be handled yet: what it follows from is still to come."""


class Service:
    def __init__(
        self,
        name: str,
        bus: Bus,
        handlers: Mapping[type[Message], Handler],
        stop: Callable[[], None] = lambda: None,
        tick: Tick = nothing_due,
    ) -> None:
        """`tick` is called now and then, and `stop` when nothing will be handled any more."""
        self.name = name
        self.stop = stop
        self.tick = tick
        self.subscriptions = subscriptions(name)
        self._bus = bus
        self._kinds = {kind.topic: (kind, handler) for kind, handler in handlers.items()}
        if self._kinds.keys() != {s.topic for s in self.subscriptions.values()}:
            raise ValueError(f"{name} listens to {list(self.subscriptions)} but handles {list(self._kinds)}")

    async def receive(self, subscription: str, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        """Handle what arrived and publish what follows. For each: None acknowledges, an exception asks for a retry.

        What can never be handled is forwarded to the dead-letter topic with its reason, and acknowledged.
        """
        kind, handler = self._kinds[self.subscriptions[subscription].topic]
        answers: list[Exception | None] = [None] * len(envelopes)
        messages: dict[int, Message] = {}
        for i, envelope in enumerate(envelopes):
            try:
                if len(envelope.data) > MAX_BYTES:
                    raise UnprocessableError(f"{len(envelope.data):,} bytes; a message has at most {MAX_BYTES:,}")
                messages[i] = kind.parse(envelope.data, envelope.attributes.get(REPLAY_OF, envelope.id))
            except ValueError as error:
                answers[i] = await self._bury(envelope, subscription, error)
        try:
            await self._handle(handler, list(messages.values()))
        except Exception:  # one of them; the others are innocent, and handlers are idempotent
            for i, message in messages.items():
                try:
                    await self._handle(handler, [message])
                except UnprocessableError as error:
                    answers[i] = await self._bury(envelopes[i], subscription, error)
                except NotReadyError as error:
                    telemetry.count("early", service=self.name, event_id=message.event_id)
                    answers[i] = error
                except Exception as error:
                    telemetry.log_failure(self.name, message.event_id, error)
                    answers[i] = error
        return answers

    async def _handle(self, handler: Handler, messages: Sequence[Message]) -> None:
        following = [m for each in await handler(messages) for m in each] if messages else []
        if following:
            await self._bus.publish([Envelope(m.topic, m.data, attributes(m)) for m in following])

    async def _bury(self, envelope: Envelope, subscription: str, error: ValueError) -> Exception | None:
        reason = error_summary(error)
        telemetry.count("dead_letters", service=self.name, reason=reason)
        try:
            await self._bus.publish([dead_letter(envelope, subscription, reason)])
        except Exception as refusal:  # not forwarded, so not acknowledged
            return refusal
        return None


class OverloadedError(Exception):
    """More wait already than may: ask again later."""


class Queue:
    """Messages that arrive one by one while others are being handled: they wait, and are then handled together.

    No more than `limit` are here at once. Who comes then is refused, so the sender slows down and memory is bounded.
    """

    def __init__(self, service: Service, together: int = 64, limit: int = 1_000) -> None:
        self._service, self._together, self._limit = service, together, limit
        self._here = 0
        self._waiting: dict[str, list[tuple[Envelope, asyncio.Future[Exception | None]]]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    async def receive(self, subscription: str, envelope: Envelope) -> Exception | None:
        """None acknowledges; an exception asks for a retry."""
        if self._here >= self._limit:
            return OverloadedError(f"{self._limit:,} messages wait")
        self._here += 1
        answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subscription, []).append((envelope, answer))
        if subscription not in self._working:
            self._working[subscription] = asyncio.create_task(self._work(subscription))
        return await answer

    async def _work(self, subscription: str) -> None:
        while waiting := self._waiting.pop(subscription, []):
            for start in range(0, len(waiting), self._together):
                some = waiting[start : start + self._together]
                try:
                    answers = await self._service.receive(subscription, [envelope for envelope, _ in some])
                except Exception as error:  # nobody may wait for ever
                    answers = [error] * len(some)
                self._here -= len(some)
                for (_, future), answer in zip(some, answers, strict=True):
                    if not future.done():  # who asked may have gone
                        future.set_result(answer)
        del self._working[subscription]


def attributes(message: Message) -> dict[str, str]:
    """What a subscriber may filter by without reading the message."""
    return {"event_id": message.event_id, "customer_id": message.customer_id}


def error_summary(error: ValueError) -> str:
    """Which field is wrong, and how; never the value, which may be personal."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors(include_input=False)
    )

"""A service: handles messages of its subscriptions, and decides on acknowledgement, retry or dead letter for each.

Independent of the web and of Google.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared import opt_outs, telemetry
from shared.bus import REPLAY_OF, Bus, Envelope, dead_letter
from shared.errors import OverloadedError, UnavailableError
from shared.messages import Message, Outcome
from shared.opt_outs import read_opt_outs
from shared.topology import subscriptions

MAX_MESSAGE_BYTES = 256 * 1024
"""Size limit of a message, about a hundred times a large genuine one."""

Handler = Callable[[Sequence[Any]], Awaitable[Sequence[Sequence[Message]]]]
"""Takes a batch of messages; returns, for each, the messages to publish. Idempotent, because it may be retried."""

Tick = Callable[[], Awaitable[Mapping[str, int]]]
"""Does the work that is due by now; returns how much of each kind was done."""

Clock = Callable[[], datetime]
"""Returns the present time, with a time zone."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def tune_garbage_collector() -> None:
    """Exclude everything built so far from garbage collection, and collect less often. Call once when all is loaded.

    Models and modules stay until the process ends, and reference counts free the messages of a batch, so scanning for
    cycles is wasted.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def nothing_due() -> dict[str, int]:
    return {}


class UnprocessableError(ValueError):
    """The message can never be handled, however often it is delivered."""


class NotReadyError(Exception):
    """The message cannot be handled yet, because one that it depends on has not arrived."""


class Service:
    def __init__(
        self,
        name: str,
        bus: Bus,
        handlers: Mapping[type[Message], Handler],
        stop: Callable[[], None] = lambda: None,
        tick: Tick = nothing_due,
    ) -> None:
        """`tick` is called periodically, `stop` once at the end.

        Raises ValueError where `handlers` are not for the topics that `shared.topology` subscribes the service to.
        """
        self.name = name
        self.stop = stop
        self.tick = tick
        self.subscriptions = subscriptions(name)
        self._bus = bus
        self._handlers = {message_type.topic: (message_type, handler) for message_type, handler in handlers.items()}
        if self._handlers.keys() != {subscription.topic for subscription in self.subscriptions.values()}:
            raise ValueError(f"{name} subscribes to {list(self.subscriptions)} but handles {list(self._handlers)}")

    async def receive(self, subscription: str, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        """Handle a batch and publish what follows. Returns None to acknowledge a message, an exception to retry it.

        A message that can never be handled goes to the dead-letter topic with the reason, and is acknowledged. What a
        customer says in it about being contacted is published before.
        """
        message_type, handler = self._handlers[self.subscriptions[subscription].topic]
        results: list[Exception | None] = [None] * len(envelopes)
        messages: dict[int, Message] = {}
        for i, envelope in enumerate(envelopes):
            try:
                if len(envelope.data) > MAX_MESSAGE_BYTES:
                    raise UnprocessableError(
                        f"the message has {len(envelope.data):,} bytes; send at most {MAX_MESSAGE_BYTES:,}"
                    )
                messages[i] = message_type.parse(envelope.data, envelope.attributes.get(REPLAY_OF, envelope.id))
            except ValueError as error:
                results[i] = await self._dead_letter(envelope, subscription, error)
        try:
            await self._handle(handler, list(messages.values()))
        except UnavailableError as error:  # none of them caused it
            telemetry.count("unavailable", service=self.name, reason=str(error))
            for i in messages:
                results[i] = error
        except Exception:  # one of them caused it: handle each alone, which is safe because handlers are idempotent
            for i, message in messages.items():
                try:
                    await self._handle(handler, [message])
                except UnprocessableError as error:
                    results[i] = await self._dead_letter(envelopes[i], subscription, error, message)
                except NotReadyError as error:
                    telemetry.count("early", service=self.name, event_id=message.event_id)
                    results[i] = error
                except Exception as error:
                    telemetry.log_failure(self.name, message.event_id, error)
                    results[i] = await self._publish([*self._opt_outs(envelopes[i], message)]) or error
        return results

    async def _handle(self, handler: Handler, messages: Sequence[Message]) -> None:
        results = await handler(messages) if messages else []
        if following := [message for result in results for message in result]:
            await self._bus.publish(
                [Envelope(message.topic, message.data, attributes(message)) for message in following]
            )

    async def _dead_letter(
        self, envelope: Envelope, subscription: str, error: ValueError, message: Message | None = None
    ) -> Exception | None:
        reason = error_summary(error)
        telemetry.count("dead_letters", service=self.name, reason=reason)
        return await self._publish([*self._opt_outs(envelope, message), dead_letter(envelope, subscription, reason)])

    def _opt_outs(self, envelope: Envelope, message: Message | None) -> list[Envelope]:
        """What a customer says in an envelope that is not handled; `message` is its content if that could be parsed.

        Nothing for an outcome that could be: its handler records what it says first.
        """
        if envelope.topic not in opt_outs.TOPICS or isinstance(message, Outcome):
            return []
        return opt_out_envelopes(
            envelope.data, envelope.attributes.get(REPLAY_OF, envelope.id), envelope.attributes, self.name
        )

    async def _publish(self, envelopes: Sequence[Envelope]) -> Exception | None:
        """Returns the failure where they are not published, so the message must not be acknowledged."""
        try:
            await self._bus.publish(envelopes)
        except Exception as failure:
            return failure
        return None


class Queue:
    """Collects messages that arrive one by one while a batch is being handled; they form the next batch.

    At most `max_pending` messages are held at once. Further ones are refused, so that the sender slows down and memory
    is bounded.
    """

    def __init__(self, service: Service, batch_size: int = 64, max_pending: int = 1_000) -> None:
        self._service, self._batch_size, self._max_pending = service, batch_size, max_pending
        self._pending = 0
        self._waiting: dict[str, list[tuple[Envelope, asyncio.Future[Exception | None]]]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}

    async def receive(self, subscription: str, envelope: Envelope) -> Exception | None:
        """Wait until the message is handled. Returns None to acknowledge it, an exception to retry it."""
        if self._pending >= self._max_pending:
            return OverloadedError(f"{self._max_pending:,} messages are waiting; try again later")
        self._pending += 1
        result: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subscription, []).append((envelope, result))
        if subscription not in self._workers:
            self._workers[subscription] = asyncio.create_task(self._work(subscription))
        return await result

    async def _work(self, subscription: str) -> None:
        while waiting := self._waiting.pop(subscription, []):
            for start in range(0, len(waiting), self._batch_size):
                batch = waiting[start : start + self._batch_size]
                try:
                    results = await self._service.receive(subscription, [envelope for envelope, _ in batch])
                except Exception as error:  # otherwise `receive` would never return
                    results = [error] * len(batch)
                self._pending -= len(batch)
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():  # it is cancelled if the sender has disconnected
                        future.set_result(result)
        del self._workers[subscription]


def attributes(message: Message) -> dict[str, str]:
    """Attributes by which subscribers can filter without reading the message."""
    return {"event_id": message.event_id, "customer_id": message.customer_id}


def opt_out_envelopes(data: bytes, message_id: str, given: Mapping[str, str], service: str) -> list[Envelope]:
    """What customers say about being contacted in a message with the attributes `given`, which cannot be handled."""
    outcomes = read_opt_outs(data, message_id, given)
    for outcome in outcomes:
        telemetry.count("opt_outs_of_dead_letters", service=service, outcome=outcome.outcome)
    return [Envelope(outcome.topic, outcome.data, attributes(outcome)) for outcome in outcomes]


TIME = "send ISO 8601 with a time zone, such as 2026-11-27T09:30:00Z"
PLAIN_ERRORS = {
    "missing": "required",
    "string_type": "no text; send text",
    "list_type": "no list; send a list",
    "dict_type": "no JSON object; send an object",
    "model_type": "no JSON object; send an object",
    "too_short": "too short; send at least {min_length}",
    "too_long": "too long; send at most {max_length}",
    "json_invalid": "not JSON: {error}",
    "literal_error": "unknown; send one of {expected}",
    "timezone_aware": f"without a time zone; {TIME}",
    "datetime_type": f"no time; {TIME}",
    "datetime_parsing": f"no time; {TIME}",
    "datetime_object_invalid": f"no time; {TIME}",
    "datetime_from_date_parsing": f"no time; {TIME}",
    "value_error": "{error}",
}
"""What is wrong and what to send, for pydantic's types of error."""


def error_summary(error: ValueError) -> str:
    """Which fields are wrong, and what to send. Never contains a value, which may be personal data."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        ": ".join(filter(None, [".".join(map(str, detail["loc"])), _plain_error(detail)]))
        for detail in error.errors(include_input=False, include_url=False)
    )


def _plain_error(detail: ErrorDetails) -> str:
    return PLAIN_ERRORS.get(detail["type"], "{msg}").format(**detail.get("ctx", {}), msg=detail["msg"])

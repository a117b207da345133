"""A service: a name and its handlers. Knows neither the web nor Google."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from shared import telemetry
from shared.bus import Bus, Envelope, dead_letter
from shared.messages import Message
from shared.topology import subscriptions

MAX_BYTES = 256 * 1024
"""Of one message. The largest that a publisher could mean is a hundredth of it."""

Handler = Callable[[Sequence[Any]], Awaitable[Sequence[Sequence[Message]]]]
"""Messages that wait together in; for each of them, the messages that follow out. Idempotent: it may run again."""


Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Unprocessable(ValueError):
    """This message can never be handled, however often it comes."""


class Service:
    def __init__(self, name: str, bus: Bus, handlers: Mapping[type[Message], Handler]) -> None:
        self.name = name
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
                    raise Unprocessable(f"{len(envelope.data):,} bytes; a message has at most {MAX_BYTES:,}")
                messages[i] = kind.parse(envelope.data, envelope.id)
            except ValueError as error:
                answers[i] = await self._bury(envelope, subscription, error)
        try:
            await self._handle(handler, list(messages.values()))
        except Exception:  # one of them; the others are innocent, and handlers are idempotent
            for i, message in messages.items():
                try:
                    await self._handle(handler, [message])
                except Unprocessable as error:
                    answers[i] = await self._bury(envelopes[i], subscription, error)
                except Exception as error:
                    telemetry.failed(self.name, message.event_id, error)
                    answers[i] = error
        return answers

    async def _handle(self, handler: Handler, messages: Sequence[Message]) -> None:
        following = [m for each in await handler(messages) for m in each] if messages else []
        if following:
            await self._bus.publish([Envelope(m.topic, m.model_dump_json().encode(), attributes(m)) for m in following])

    async def _bury(self, envelope: Envelope, subscription: str, error: ValueError) -> Exception | None:
        telemetry.count("dead_letters", service=self.name, reason=in_words(error))
        try:
            await self._bus.publish([dead_letter(envelope, subscription, in_words(error))])
        except Exception as refusal:  # not forwarded, so not acknowledged
            return refusal
        return None


def attributes(message: Message) -> dict[str, str]:
    """What a subscriber may filter by without reading the message."""
    return {"event_id": message.event_id, "customer_id": message.customer_id}


def in_words(error: ValueError) -> str:
    """Which field is wrong, and how; never the value, which may be personal."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors(include_input=False)
    )

"""Whether a customer may be contacted, by what they said: the document that the policy and the shield read.

Messages arrive in any order and any number of times, and the result depends only on the set of them: the time of the
last request to stop, that of the last to resume, and the unclear replies since. The document names a pseudonym only.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from pydantic import AliasChoices, AwareDatetime, Field

from shared.messages import FrozenModel
from shared.store import Document

MAX_MESSAGES = 100
"""Messages of a customer that are remembered of each kind, so that the document stays small."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No message is older: a clock that was never set says 1970."""

Statement = Literal["stop", "resume", "unclear"]
"""What a customer said about being contacted."""


class Consent(FrozenModel):
    """What a customer said about being contacted.

    A message without a usable time counts when it first arrives. Its id is remembered with that time, because it may be
    delivered again after the customer has changed their mind.
    """

    stopped_at: AwareDatetime | None = Field(
        default=None, validation_alias=AliasChoices("at", "stopped_at"), serialization_alias="at"
    )
    """When the customer last asked for no more messages. Stored as `at`."""
    resumed_at: AwareDatetime | None = None
    """When the customer last asked for messages again."""
    unread: Mapping[str, AwareDatetime] = {}
    """The unclear replies that wait for a person, by id, with their times."""
    stop_arrivals: Mapping[str, AwareDatetime] = {}
    resume_arrivals: Mapping[str, AwareDatetime] = {}
    settled: tuple[str, ...] = ()
    """Ids of unclear replies that wait no longer."""

    @classmethod
    def from_document(cls, document: Document | None) -> Self:
        return cls.model_validate(document or {})

    def to_document(self) -> Document:
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @property
    def opted_out(self) -> bool:
        """Whether the last request is to stop, not to resume; of two at the same time the one to stop counts."""
        return self.stopped_at is not None and (self.resumed_at is None or self.resumed_at <= self.stopped_at)

    @property
    def objections(self) -> tuple[str, ...]:
        """Why no message may be sent: `opted-out`, `unread-reply`, or neither."""
        reasons = {"opted-out": self.opted_out, "unread-reply": bool(self.unread)}
        return tuple(reason for reason, holds in reasons.items() if holds)

    def with_statement(
        self, statement: Statement, message_id: str, occurred_at: datetime | None, now: datetime
    ) -> Self:
        """After a message of the customer, written at `occurred_at` if that is known and can be: not after `now`."""
        if message_id in self.settled:
            return self
        at = self._arrivals(statement).get(message_id)
        if at is None and occurred_at and EARLIEST <= occurred_at <= now:
            return self._with(statement, message_id, occurred_at)
        if at is None and statement == "resume" and len(self.resume_arrivals) >= MAX_MESSAGES:
            return self  # one forgotten and delivered again would undo a later request to stop
        return self._with_arrival(statement, message_id, at or self._next_time(now))

    def settle(self, reply_id: str, statement: Statement | None) -> Self:
        """After an unclear reply has been read: it says this, or nothing about being contacted (None)."""
        if (at := self.unread.get(reply_id)) is None:
            return self
        read = self._update(
            unread={name: time for name, time in self.unread.items() if name != reply_id},
            settled=(*self.settled, reply_id)[-MAX_MESSAGES:],
        )
        return read._with(statement, reply_id, at) if statement else read

    def _arrivals(self, statement: Statement) -> Mapping[str, datetime]:
        return {"stop": self.stop_arrivals, "resume": self.resume_arrivals, "unclear": self.unread}[statement]

    def _with_arrival(self, statement: Statement, message_id: str, at: datetime) -> Self:
        if statement == "unclear":
            return self._with(statement, message_id, at)
        arrivals = {**self._arrivals(statement), message_id: at}
        if len(arrivals) > MAX_MESSAGES:  # of requests to stop only
            del arrivals[min(arrivals, key=lambda name: arrivals[name])]
        return self._update(**{f"{statement}_arrivals": arrivals})._with(statement, message_id, at)

    def _with(self, statement: Statement, message_id: str, at: datetime) -> Self:
        """After a message at this time. A request to stop or resume settles the unclear replies before it."""
        if statement == "unclear" and len({*self.unread, message_id}) <= MAX_MESSAGES:
            after = self._update(unread={**self.unread, message_id: at})
        elif statement == "resume":
            after = self._update(resumed_at=max(at, self.resumed_at or at))
        else:  # an unclear reply to stop, too, where as many wait already that nobody seems to read them
            after = self._update(stopped_at=max(at, self.stopped_at or at))
        last = max((time for time in (after.stopped_at, after.resumed_at) if time), default=None)
        answered = [name for name, time in after.unread.items() if last and time < last]
        if not answered:
            return after
        return after._update(
            unread={name: time for name, time in after.unread.items() if name not in answered},
            settled=(*after.settled, *answered)[-MAX_MESSAGES:],
        )

    def _next_time(self, now: datetime) -> datetime:
        """The time of a message that arrives now: later than any before, which may be of the same batch."""
        times = [time for time in (self.stopped_at, self.resumed_at, *self.unread.values()) if time]
        return max([now, *(time + timedelta(microseconds=1) for time in times)])

    def _update(self, **fields: object) -> Self:
        return self.model_copy(update=fields)

"""A writer that is slow or down: messages leave in time, and it is counted."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from services.messenger.handler import draft
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from services.messenger.writers import Writer
from shared import telemetry
from shared.messages import Brief, DraftedMessage
from tests.messenger.builders import SAM, BrokenWriter, FixedWriter, SlowWriter, noon, planned


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting(FixedWriter):
    """Says how many briefs it is asked for together, and how often at once."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.together: list[int] = []
        self.at_once = self.most = 0

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        self.together.append(len(briefs))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        return await super().write(briefs)


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    monkeypatch.setattr(telemetry, "counts", Counter())
    return telemetry.counts


@pytest.fixture
def clock() -> Clock:
    return Clock()


def guarded(
    writer: Writer, timeout_seconds: float = 5, breaker: CircuitBreaker | None = None, **sizes: int
) -> ResilientWriter:
    return ResilientWriter(
        writer, timeout_seconds, breaker or CircuitBreaker(), **{"batch_size": 64, "max_concurrency": 1, **sizes}
    )


def test_a_breaker_opens_after_failures_in_a_row(clock: Clock) -> None:
    breaker = CircuitBreaker(failure_threshold=3, recovery_seconds=30, clock=clock)
    for outcome in (
        breaker.record_failure,
        breaker.record_failure,
        breaker.record_success,
        breaker.record_failure,
        breaker.record_failure,
    ):
        outcome()
        assert breaker.allow_request()
    breaker.record_failure()

    assert not breaker.allow_request()


def test_an_open_breaker_lets_one_try_through_each_rest(clock: Clock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, recovery_seconds=30, clock=clock)
    breaker.record_failure()

    clock.now = 29
    assert not breaker.allow_request()
    clock.now = 30
    assert [breaker.allow_request() for _ in range(3)] == [True, False, False]
    clock.now = 60  # what became of the try was never said
    assert [breaker.allow_request() for _ in range(3)] == [True, False, False]


def test_a_try_that_fails_keeps_it_open_and_one_that_succeeds_closes_it(clock: Clock) -> None:
    breaker = CircuitBreaker(failure_threshold=3, recovery_seconds=30, clock=clock)
    for _ in range(3):
        breaker.record_failure()

    clock.now = 30
    assert breaker.allow_request()
    clock.now = 31
    breaker.record_failure()
    clock.now = 60
    assert not breaker.allow_request()
    clock.now = 61
    assert breaker.allow_request()
    breaker.record_success()
    assert breaker.allow_request()
    assert breaker.allow_request()


async def test_a_guarded_writer_writes_as_the_writer_does(counts: Counter[str]) -> None:
    writer = guarded(FixedWriter("Hi [NAME]!"))

    assert (writer.name, writer.version) == ("fixed", "fixed/1")
    assert await writer.write([SAM, SAM]) == [["Hi [NAME]!"], ["Hi [NAME]!"]]
    assert counts == {}


async def test_a_slow_writer_gives_way_in_time_and_is_counted_once_a_message(counts: Counter[str]) -> None:
    start = time.monotonic()

    assert await guarded(SlowWriter(10, "Hi!"), timeout_seconds=0.05).write([SAM, SAM]) == [[], []]
    assert time.monotonic() - start < 2
    assert counts == {"writer_fallback": 2}


async def test_why_there_was_no_text_is_said(caplog: pytest.LogCaptureFixture) -> None:
    await guarded(SlowWriter(10), timeout_seconds=0.01).write([SAM])
    await guarded(BrokenWriter()).write([SAM])
    await guarded(FixedWriter()).write([SAM])

    said = [getattr(record, "fields")["reason"] for record in caplog.records]  # noqa: B009
    assert said == ["timeout", "OSError: no such server", "no text reached its end"]


async def test_a_broken_writer_is_left_alone_until_it_has_rested(clock: Clock, counts: Counter[str]) -> None:
    writer = BrokenWriter("Hi!")
    watched = guarded(writer, breaker=CircuitBreaker(failure_threshold=2, recovery_seconds=30, clock=clock))
    for _ in range(5):
        assert await watched.write([SAM]) == [[]]
    assert len(writer.shown) == 2
    assert counts == {"writer_fallback": 5}

    clock.now, writer.broken = 30, False
    assert await watched.write([SAM]) == [["Hi!"]]
    assert await watched.write([SAM]) == [["Hi!"]]
    assert counts == {"writer_fallback": 5}


async def test_while_the_one_try_is_under_way_others_do_not_wait_for_it(clock: Clock) -> None:
    slow = SlowWriter(0.05, "Hi!")
    breaker = CircuitBreaker(failure_threshold=1, recovery_seconds=30, clock=clock)
    breaker.record_failure()
    clock.now = 30

    written = await guarded(slow, breaker=breaker, batch_size=1, max_concurrency=8).write([SAM] * 8)

    assert written == [["Hi!"], *([[]] * 7)]


@pytest.mark.parametrize(
    ("together", "at_once", "asked", "most"), [(64, 1, [64, 64, 22], 1), (1, 8, [1] * 150, 8), (256, 1, [150], 1)]
)
async def test_a_writer_is_asked_in_the_portions_it_likes(
    together: int, at_once: int, asked: list[int], most: int
) -> None:
    writer = Counting("Hi!")

    assert await guarded(writer, batch_size=together, max_concurrency=at_once).write([SAM] * 150) == [["Hi!"]] * 150
    assert (writer.together, writer.most) == (asked, most)


async def test_the_time_of_a_portion_starts_when_its_turn_comes() -> None:
    writer = guarded(SlowWriter(0.2, "Hi!"), timeout_seconds=0.5, batch_size=1)

    assert await writer.write([SAM] * 4) == [["Hi!"]] * 4


async def test_one_slow_answer_does_not_hold_the_others_back() -> None:
    class SlowForAna(FixedWriter):
        async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
            await asyncio.sleep(10 if briefs[0].first_name == "Ana" else 0)
            return await super().write(briefs)

    ana = SAM.model_copy(update={"first_name": "Ana"})
    writer = guarded(SlowForAna("Hi!"), timeout_seconds=0.2, batch_size=1, max_concurrency=8)

    assert await writer.write([SAM, ana, SAM]) == [["Hi!"], [], ["Hi!"]]


async def test_a_message_leaves_with_the_template_and_says_which_writer_was_asked() -> None:
    [[message]] = await draft([planned()], writer=guarded(BrokenWriter("Hi [NAME]!")), clock=noon)

    assert isinstance(message, DraftedMessage)
    assert {candidate.writer for candidate in message.candidates} == {"template"}
    assert message.versions["messenger"] == "fixed/1"


async def test_an_end_from_outside_is_no_failure_of_the_writer() -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    writing = asyncio.create_task(guarded(SlowWriter(10), breaker=breaker).write([SAM]))
    await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert breaker.allow_request()

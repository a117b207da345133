"""Messages leave in time, and are counted, whether the writer is slow or down."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from services.messenger.handler import draft
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from services.messenger.writers import Writer
from shared import telemetry
from shared.messages import Brief
from tests.messenger.builders import BrokenWriter, FixedWriter, SlowWriter, planned
from tests.support.briefs import FULL_BRIEF
from tests.support.clock import noon


class FakeClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class RecordingWriter(FixedWriter):
    """Records the size of each call, and how many calls ran at once."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.batch_sizes: list[int] = []
        self.concurrency = self.max_concurrency = 0

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        self.batch_sizes.append(len(briefs))
        self.concurrency += 1
        self.max_concurrency = max(self.max_concurrency, self.concurrency)
        await asyncio.sleep(0.001)
        self.concurrency -= 1
        return await super().write(briefs)


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    monkeypatch.setattr(telemetry, "counts", Counter())
    return telemetry.counts


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def resilient(
    writer: Writer,
    timeout_seconds: float = 5,
    breaker: CircuitBreaker | None = None,
    batch_size: int = 64,
    max_concurrency: int = 1,
) -> ResilientWriter:
    return ResilientWriter(
        writer, timeout_seconds, breaker or CircuitBreaker(), batch_size=batch_size, max_concurrency=max_concurrency
    )


def open_breaker(clock: FakeClock, failure_threshold: int = 1) -> CircuitBreaker:
    breaker = CircuitBreaker(failure_threshold, recovery_seconds=30, clock=clock)
    for _ in range(failure_threshold):
        breaker.record_failure()
    return breaker


def test_a_circuit_breaker_opens_after_consecutive_failures(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_threshold=3, recovery_seconds=30, clock=clock)
    fail, succeed = breaker.record_failure, breaker.record_success
    for record in (fail, fail, succeed, fail, fail):
        record()
        assert breaker.allow_request()
    fail()

    assert not breaker.allow_request()


def test_an_open_circuit_breaker_allows_one_trial_in_each_recovery_period(clock: FakeClock) -> None:
    breaker = open_breaker(clock)

    clock.now = 29
    assert not breaker.allow_request()
    clock.now = 30
    assert [breaker.allow_request() for _ in range(3)] == [True, False, False]
    clock.now = 60  # the trial's result was never recorded
    assert [breaker.allow_request() for _ in range(3)] == [True, False, False]


def test_a_failed_trial_keeps_a_circuit_breaker_open_and_a_successful_one_closes_it(clock: FakeClock) -> None:
    breaker = open_breaker(clock, failure_threshold=3)

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


async def test_a_resilient_writer_returns_the_writers_texts(counts: Counter[str]) -> None:
    writer = resilient(FixedWriter("Hi [NAME]!"))

    assert (writer.name, writer.version) == ("fixed", "fixed/1")
    assert await writer.write([FULL_BRIEF, FULL_BRIEF]) == [["Hi [NAME]!"], ["Hi [NAME]!"]]
    assert counts == {}


async def test_a_slow_writer_times_out_and_is_counted_once_a_message(counts: Counter[str]) -> None:
    start = time.monotonic()

    assert await resilient(SlowWriter(10, "Hi!"), timeout_seconds=0.05).write([FULL_BRIEF, FULL_BRIEF]) == [[], []]
    assert time.monotonic() - start < 2
    assert counts == {"writer_fallback": 2}


async def test_the_reason_for_missing_texts_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    await resilient(SlowWriter(10), timeout_seconds=0.01).write([FULL_BRIEF])
    await resilient(BrokenWriter()).write([FULL_BRIEF])
    await resilient(FixedWriter()).write([FULL_BRIEF])

    reasons = [vars(record)["fields"]["reason"] for record in caplog.records]
    assert reasons == ["timeout", "OSError: no such server", "no text reached its end"]


async def test_a_broken_writer_is_not_called_until_the_recovery_period_is_over(
    clock: FakeClock, counts: Counter[str]
) -> None:
    broken = BrokenWriter("Hi!")
    writer = resilient(broken, breaker=CircuitBreaker(failure_threshold=2, recovery_seconds=30, clock=clock))
    for _ in range(5):
        assert await writer.write([FULL_BRIEF]) == [[]]
    assert len(broken.briefs) == 2
    assert counts == {"writer_fallback": 5}

    clock.now, broken.broken = 30, False
    assert await writer.write([FULL_BRIEF]) == [["Hi!"]]
    assert await writer.write([FULL_BRIEF]) == [["Hi!"]]
    assert counts == {"writer_fallback": 5}


async def test_other_requests_do_not_wait_for_the_trial(clock: FakeClock) -> None:
    breaker = open_breaker(clock)
    clock.now = 30
    writer = resilient(SlowWriter(0.05, "Hi!"), breaker=breaker, batch_size=1, max_concurrency=8)

    assert await writer.write([FULL_BRIEF] * 8) == [["Hi!"], *([[]] * 7)]


@pytest.mark.parametrize(
    ("batch_size", "max_concurrency", "batch_sizes", "observed_concurrency"),
    [(64, 1, [64, 64, 22], 1), (1, 8, [1] * 150, 8), (256, 1, [150], 1)],
)
async def test_batch_size_and_concurrency_are_bounded(
    batch_size: int, max_concurrency: int, batch_sizes: list[int], observed_concurrency: int
) -> None:
    recording = RecordingWriter("Hi!")
    writer = resilient(recording, batch_size=batch_size, max_concurrency=max_concurrency)

    assert await writer.write([FULL_BRIEF] * 150) == [["Hi!"]] * 150
    assert (recording.batch_sizes, recording.max_concurrency) == (batch_sizes, observed_concurrency)


async def test_the_timeout_of_a_batch_starts_when_its_call_does() -> None:
    writer = resilient(SlowWriter(0.2, "Hi!"), timeout_seconds=0.5, batch_size=1)

    assert await writer.write([FULL_BRIEF] * 4) == [["Hi!"]] * 4


async def test_one_slow_call_does_not_delay_the_others() -> None:
    class SlowForAna(FixedWriter):
        async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
            await asyncio.sleep(10 if briefs[0].first_name == "Ana" else 0)
            return await super().write(briefs)

    ana = FULL_BRIEF.model_copy(update={"first_name": "Ana"})
    writer = resilient(SlowForAna("Hi!"), timeout_seconds=0.2, batch_size=1, max_concurrency=8)

    assert await writer.write([FULL_BRIEF, ana, FULL_BRIEF]) == [["Hi!"], [], ["Hi!"]]


async def test_the_fallback_message_is_the_templates_and_names_the_version_of_the_writer() -> None:
    [[message]] = await draft([planned()], writer=resilient(BrokenWriter("Hi [NAME]!")), clock=noon)

    assert {candidate.writer for candidate in message.candidates} == {"template"}
    assert message.versions["messenger"] == "fixed/1"


async def test_cancellation_is_not_a_failure_of_the_writer() -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    task = asyncio.create_task(resilient(SlowWriter(10), breaker=breaker).write([FULL_BRIEF]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert breaker.allow_request()

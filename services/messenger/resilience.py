"""Timeout and circuit breaker for a writer that may be slow or fail, so that it does not delay messages.

Where a writer returns no texts, the message is written with the template.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import chain

from services.messenger.writers import Writer
from shared import telemetry
from shared.messages import Brief


class CircuitBreaker:
    """Opens after `failure_threshold` consecutive failures.

    While open it allows one trial request every `recovery_seconds`; the first success closes it.
    """

    def __init__(
        self, failure_threshold: int = 5, recovery_seconds: float = 30, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failure_threshold, self._recovery_seconds, self._clock = failure_threshold, recovery_seconds, clock
        self._failures, self._next_trial = 0, 0.0

    def allow_request(self) -> bool:
        """Whether to make a request now. While open, True uses up the trial."""
        if self._failures < self._failure_threshold:
            return True
        if self._clock() < self._next_trial:
            return False
        self._next_trial = self._clock() + self._recovery_seconds
        return True

    def record_success(self) -> None:
        self._failures = 0

    def record_failure(self) -> None:
        self._failures += 1
        self._next_trial = self._clock() + self._recovery_seconds


class ResilientWriter:
    """Calls `writer` with `batch_size` briefs at a time, in at most `max_concurrency` calls at once.

    A brief has no texts where its call fails, exceeds `timeout_seconds` or is not allowed by the circuit breaker.
    """

    def __init__(
        self, writer: Writer, timeout_seconds: float, breaker: CircuitBreaker, *, batch_size: int, max_concurrency: int
    ) -> None:
        self.name, self.version = writer.name, writer.version
        self._writer, self._timeout_seconds, self._breaker = writer, timeout_seconds, breaker
        self._batch_size, self._semaphore = batch_size, asyncio.Semaphore(max_concurrency)

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        batches = [briefs[start : start + self._batch_size] for start in range(0, len(briefs), self._batch_size)]
        return list(chain.from_iterable(await asyncio.gather(*map(self._write_batch, batches))))

    async def _write_batch(self, briefs: Sequence[Brief]) -> list[list[str]]:
        async with self._semaphore:
            written, reason = await self._attempt(briefs)
        for texts in written:
            if not texts:
                telemetry.count("writer_fallback", reason=reason)
        return written

    async def _attempt(self, briefs: Sequence[Brief]) -> tuple[list[list[str]], str]:
        """Texts for each brief, and the reason for those that have none."""
        no_texts: list[list[str]] = [[] for _ in briefs]
        if not self._breaker.allow_request():
            return no_texts, "circuit open after failures"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                written = await self._writer.write(briefs)
        except TimeoutError:
            self._breaker.record_failure()
            return no_texts, "timeout"
        except Exception as error:
            self._breaker.record_failure()
            return no_texts, f"{type(error).__name__}: {error}"[:200]
        self._breaker.record_success()
        return written, "no text reached its end"

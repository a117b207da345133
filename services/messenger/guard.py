"""A writer that may be slow or down, so that messages leave in time all the same: with the template, and counted."""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import chain

from services.messenger.writers import Writer
from shared import telemetry
from shared.messages import Brief


class Breaker:
    """Opens after `limit` failures in a row; then lets one try through every `rest` seconds, until one succeeds."""

    def __init__(self, limit: int = 5, rest: float = 30, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._rest, self._clock = limit, rest, clock
        self._failures, self._next_try = 0, 0.0

    def allows(self) -> bool:
        """Whether to try now. Where it is open, asking takes the one try."""
        if self._failures < self._limit:
            return True
        if self._clock() < self._next_try:
            return False
        self._next_try = self._clock() + self._rest
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._next_try = self._clock() + self._rest


class GuardedWriter:
    """Asks `writer` for `together` briefs at a time, `at_once` times at once, and waits `seconds` for each answer.

    Where there is no answer, or none may be asked for, there are no texts.
    """

    def __init__(self, writer: Writer, seconds: float, breaker: Breaker, *, together: int, at_once: int) -> None:
        self.name, self.version = writer.name, writer.version
        self._writer, self._seconds, self._breaker, self._together = writer, seconds, breaker, together
        self._turns = asyncio.Semaphore(at_once)

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        parts = [briefs[start : start + self._together] for start in range(0, len(briefs), self._together)]
        return list(chain.from_iterable(await asyncio.gather(*map(self._part, parts))))

    async def _part(self, briefs: Sequence[Brief]) -> list[list[str]]:
        async with self._turns:
            written, reason = await self._asked(briefs)
        for texts in written:
            if not texts:
                telemetry.count("writer_fallback", reason=reason)
        return written

    async def _asked(self, briefs: Sequence[Brief]) -> tuple[list[list[str]], str]:
        """What was written, and why there is nothing where there is nothing."""
        nothing: list[list[str]] = [[] for _ in briefs]
        if not self._breaker.allows():
            return nothing, "resting after failures"
        try:
            async with asyncio.timeout(self._seconds):
                written = await self._writer.write(briefs)
        except TimeoutError:
            self._breaker.failed()
            return nothing, "too slow"
        except Exception as error:
            self._breaker.failed()
            return nothing, f"{type(error).__name__}: {error}"[:200]
        self._breaker.succeeded()
        return written, "no text came to an end"

"""Rate limit for each caller of the gateway."""

import time
from collections.abc import Callable
from math import ceil

from fastapi import HTTPException

MAX_CALLERS = 10_000
"""Limit of callers that are tracked; beyond it, the one whose last request is the oldest is dropped."""


class RateLimiter:
    """A token bucket for each caller: `rate` tokens per second, up to those of one second (at least 1)."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """Tokens of each caller, and when they were counted."""

    def check(self, caller: str) -> None:
        """Take a token. Raises HTTPException 429 where there is none."""
        if wait := self.acquire(caller):
            seconds = ceil(wait)
            raise HTTPException(429, f"too many requests: try again in {seconds} s", {"Retry-After": str(seconds)})

    def acquire(self, caller: str) -> float:
        """Take a token. Returns 0, or the seconds until there is one."""
        now, capacity = self._clock(), max(1.0, self._rate)
        tokens, counted_at = self._buckets.pop(caller, (capacity, now))
        tokens = min(capacity, tokens + (now - counted_at) * self._rate)
        acquired = tokens >= 1
        self._buckets[caller] = tokens - acquired, now
        if len(self._buckets) > MAX_CALLERS:
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if acquired else (1 - tokens) / self._rate

"""How often each caller may use the gateway."""

import pytest

from services.gateway import rate_limit
from services.gateway.rate_limit import RateLimiter


def test_no_more_requests_are_allowed_than_the_rate_over_any_time() -> None:
    times = iter([n / 1000 for n in range(5000)])
    limiter = RateLimiter(10, lambda: next(times))
    assert sum(limiter.acquire("c") == 0 for _ in range(5000)) == 10 + 49


def test_after_the_returned_wait_a_request_is_allowed() -> None:
    times = iter([0.0, 0.0, 4.0])
    limiter = RateLimiter(0.25, lambda: next(times))
    assert [limiter.acquire("c") for _ in range(3)] == [0, 4, 0]


def test_only_the_most_recent_callers_are_tracked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_CALLERS", 2)
    limiter = RateLimiter(1, lambda: 0.0)
    waits = [limiter.acquire(caller) for caller in ("a", "b", "a", "c", "a", "b")]
    assert waits == [0, 0, 1, 0, 1, 0]


def test_a_long_pause_saves_up_no_more_than_a_second_of_requests() -> None:
    times = iter([0.0, *[1000.0] * 10])
    limiter = RateLimiter(5, lambda: next(times))
    assert sum(limiter.acquire("c") == 0 for _ in range(11)) == 1 + 5

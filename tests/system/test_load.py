"""The ramp of `make load`, on a service that is only a capacity."""

from tests.load.load import BASE_RATES, Step, has_recovered, run_ramp

CAPACITY = 20
"""Events a second; more than that wait."""


def offer(rate: int, seconds: float) -> Step:
    answered = min(rate, CAPACITY)
    return Step("emulators", rate, answered, p50_ms=1000 * rate / answered, p99_ms=0, shed=0, lost=0)


def test_the_rate_doubles_until_the_answered_rate_stops_growing_and_then_falls() -> None:
    steps = run_ramp("emulators", offer, seconds=1, max_steps=10)
    assert [step.offered for step in steps] == [4, 8, 16, 32, 64, BASE_RATES["emulators"]]
    assert has_recovered(steps)


def test_lost_events_or_a_latency_that_stays_high_are_no_recovery() -> None:
    *steps, last = run_ramp("emulators", offer, seconds=1, max_steps=10)
    assert not has_recovered([*steps, last._replace(lost=1)])
    assert not has_recovered([*steps, last._replace(p50_ms=3_000)])

"""How `make load` goes about it, on a service that is a number."""

from tests.load.load import FIRST, Step, ramp, recovered

CAPACITY = 20


def offer(rate: int, seconds: float) -> Step:
    """What is more than it can do in a second waits."""
    answered = min(rate, CAPACITY)
    return Step("emulators", rate, answered, p50_ms=1000 * rate / answered, p99_ms=0, shed=0, lost=0)


def test_the_rate_doubles_until_no_more_comes_out_and_then_falls_off() -> None:
    steps = ramp("emulators", offer, seconds=1, doublings=10)
    assert [step.offered for step in steps] == [4, 8, 16, 32, 64, FIRST["emulators"]]
    assert recovered(steps)


def test_what_was_lost_or_stays_slow_has_not_recovered() -> None:
    *steps, last = ramp("emulators", offer, seconds=1, doublings=10)
    assert not recovered([*steps, last._replace(lost=1)])
    assert not recovered([*steps, last._replace(p50_ms=3_000)])

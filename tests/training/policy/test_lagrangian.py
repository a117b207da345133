import numpy as np
import pytest

from training.policy.lagrangian import PID, GradientAscent


def steered(rule: PID | GradientAscent, limit: float, updates: int = 400) -> list[float]:
    """What is spent where demand falls as the price rises: 100 limits at no price, a hundredth of that at 9."""
    spent = []
    for _ in range(updates):
        used = np.array([100 * limit / (1 + rule.price[0]) ** 2])
        spent.append(float(used[0] / limit))
        rule.step(used, np.array([limit]))
    return spent


@pytest.mark.parametrize("limit", [1.0, 1_000.0])
def test_a_pid_finds_the_price_and_holds_it_whatever_the_unit_of_the_limit(limit: float) -> None:
    rule = PID(np.zeros(1))

    assert steered(rule, limit)[-50:] == pytest.approx([1] * 50, abs=0.02)
    assert rule.price[0] == pytest.approx(9, rel=0.02)


def test_one_bad_batch_does_not_run_away_with_the_price() -> None:
    mild, wild = PID(np.ones(1)), PID(np.ones(1))
    mild.step(np.array([2.0]), np.ones(1))
    wild.step(np.array([1e9]), np.ones(1))

    assert wild.price == mild.price


def test_only_what_gets_worse_is_damped_by_its_change() -> None:
    worse, better = (PID(np.ones(1), integral=0, proportion=0, derivative=1) for _ in range(2))
    worse.step(np.array([2.0]), np.ones(1))
    better.step(np.array([0.0]), np.ones(1))

    assert worse.price[0] > 1
    assert better.price[0] == pytest.approx(1)


def test_no_price_is_ever_below_nothing() -> None:
    for rule in (PID(np.zeros(1)), GradientAscent(np.zeros(1))):
        for _ in range(50):
            rule.step(np.zeros(1), np.ones(1))
        assert rule.price[0] == 0


def test_plain_ascent_is_the_mission_s_rule_on_a_share_of_the_limit() -> None:
    rule = GradientAscent(np.array([0.5]), rate=0.1)
    rule.step(np.array([150.0]), np.array([100.0]))

    assert rule.price[0] == pytest.approx(0.5 + 0.1 * 0.5)


def test_a_pid_step_by_hand() -> None:
    rule = PID(np.array([1.0]), integral=0.1, proportion=0.5, derivative=0.2, smoothing=0.75)

    first = rule.step(np.array([14.0]), np.array([10.0])).copy()
    second = rule.step(np.array([8.0]), np.array([10.0]))

    # errors 0.4 and −0.2; smoothed 0.1 and 0.075 − 0.05 = 0.025, which falls
    assert np.log1p(first) == pytest.approx([np.log(2) + 0.04 + 0.5 * 0.1 + 0.2 * 0.1])
    assert np.log1p(second) == pytest.approx([np.log(2) + 0.04 - 0.02 + 0.5 * 0.025])


def test_a_long_time_below_the_limit_is_not_held_against_what_comes() -> None:
    rule = PID(np.zeros(1))
    for _ in range(500):
        rule.step(np.zeros(1), np.ones(1))
    for _ in range(20):
        rule.step(np.full(1, 2.0), np.ones(1))

    assert rule.price[0] > 0.5


def test_each_constraint_has_its_own_price() -> None:
    rule = PID(np.ones(2))
    rule.step(np.array([2.0, 0.5]), np.array([1.0, 1.0]))

    assert rule.price[0] > 1 > rule.price[1]

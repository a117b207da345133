"""Update rules of the multipliers, on a demand that falls as the price rises and by hand."""

import numpy as np
import pytest

from training.policy.lagrangian import PID, GradientAscent


def utilisation(rule: PID | GradientAscent, limit: float, updates: int = 400) -> list[float]:
    """By update, where 100 limits are used at a price of 0, and one at a price of 9."""
    shares = []
    for _ in range(updates):
        used = np.array([100 * limit / (1 + rule.price[0]) ** 2])
        shares.append(float(used[0] / limit))
        rule.step(used, np.array([limit]))
    return shares


@pytest.mark.parametrize("limit", [1.0, 1_000.0])
def test_pid_finds_the_price_and_holds_it_whatever_the_unit_of_the_limit(limit: float) -> None:
    rule = PID(np.zeros(1))

    assert utilisation(rule, limit)[-50:] == pytest.approx([1] * 50, abs=0.02)
    assert rule.price[0] == pytest.approx(9, rel=0.02)


def test_an_outlier_moves_the_price_no_more_than_an_error_of_1() -> None:
    unit_error, outlier = PID(np.ones(1)), PID(np.ones(1))
    unit_error.step(np.array([2.0]), np.ones(1))
    outlier.step(np.array([1e9]), np.ones(1))

    assert outlier.price == unit_error.price


def test_the_derivative_term_acts_only_when_the_error_rises() -> None:
    rising, falling = (PID(np.ones(1), integral_gain=0, proportional_gain=0, derivative_gain=1) for _ in range(2))
    rising.step(np.array([2.0]), np.ones(1))
    falling.step(np.array([0.0]), np.ones(1))

    assert rising.price[0] > 1
    assert falling.price[0] == pytest.approx(1)


@pytest.mark.parametrize("rule", [PID(np.zeros(1)), GradientAscent(np.zeros(1))])
def test_a_multiplier_is_never_negative(rule: PID | GradientAscent) -> None:
    for _ in range(50):
        rule.step(np.zeros(1), np.ones(1))
    assert rule.price[0] == 0


def test_gradient_ascent_takes_the_error_as_a_share_of_the_limit() -> None:
    rule = GradientAscent(np.array([0.5]), learning_rate=0.1)
    rule.step(np.array([150.0]), np.array([100.0]))

    assert rule.price[0] == pytest.approx(0.5 + 0.1 * 0.5)


def test_two_pid_steps_by_hand() -> None:
    rule = PID(np.array([1.0]), integral_gain=0.1, proportional_gain=0.5, derivative_gain=0.2, smoothing=0.75)

    first = rule.step(np.array([14.0]), np.array([10.0])).copy()
    second = rule.step(np.array([8.0]), np.array([10.0]))

    # errors 0.4 and −0.2; smoothed 0.1 and 0.075 − 0.05 = 0.025, which falls
    assert np.log1p(first) == pytest.approx([np.log(2) + 0.04 + 0.5 * 0.1 + 0.2 * 0.1])
    assert np.log1p(second) == pytest.approx([np.log(2) + 0.04 - 0.02 + 0.5 * 0.025])


def test_the_integral_does_not_wind_up_below_the_limit() -> None:
    rule = PID(np.zeros(1))
    for _ in range(500):
        rule.step(np.zeros(1), np.ones(1))
    for _ in range(20):
        rule.step(np.full(1, 2.0), np.ones(1))

    assert rule.price[0] > 0.5


def test_each_constraint_has_its_own_multiplier() -> None:
    rule = PID(np.ones(2))
    rule.step(np.array([2.0, 0.5]), np.array([1.0, 1.0]))

    assert rule.price[0] > 1 > rule.price[1]

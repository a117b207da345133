"""What the comparison rests on; the other libraries are not installed here but in an environment of their own."""

import time
from pathlib import Path

import numpy as np
import pytest

from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import Customers
from training.policy.benchmarks.customers import CustomerSplits, read, write
from training.policy.benchmarks.env import BenchmarkEnv
from training.policy.benchmarks.evaluation import Act, CampaignValue, CurvePoint, LearningCurve, evaluate, optimum
from training.policy.benchmarks.report import TrainingResult, summary

PRICE = 1.0
CONTACT_EVERY_DAY = np.array([1, 0, 0])
NO_CONTACT = np.array([0, 0, 0])


def make_customers(number: int) -> Customers:
    rng = np.random.default_rng(7)
    accept = np.sort(rng.uniform(0.02, 0.5, size=(number, 4)), axis=1)
    return Customers(rng.uniform(0.0005, 0.01, number), accept, rng.uniform(20, 110, number))


def constant_policy(action: np.ndarray) -> Act:
    return lambda observations, eligible, greedy: np.tile(action, (len(eligible), 1))


def dynamic_program(customers: Customers, price: float) -> Act:
    """Its optimal actions, when called once for each day of the campaign."""
    days = list(DynamicProgram(customers).solve(price))

    def act(observations: np.ndarray, eligible: np.ndarray, greedy: bool) -> np.ndarray:
        day, rows = days.pop(), np.arange(len(eligible))
        contacts = np.minimum((observations[:, 8] * 3).round().astype(int), 2)
        contact = day.contact[:, rows, contacts]
        better = contact.max(axis=0) > day.wait[rows, contacts]
        return np.stack([better, contact.argmax(axis=0), np.zeros(len(eligible), dtype=int)], axis=1)

    return act


def test_the_dynamic_program_has_the_value_that_the_bound_says() -> None:
    customers = make_customers(4_000)
    value, expected = evaluate(dynamic_program(customers, PRICE), customers, PRICE), optimum(customers, PRICE)

    assert value.net(PRICE) == pytest.approx(expected.net(PRICE), rel=0.01)
    assert value.spend == pytest.approx(expected.spend, rel=0.02)


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("delay", [0, 7])
def test_no_policy_has_more_value_than_the_dynamic_program(level: int, delay: int) -> None:
    customers = make_customers(500)
    value = evaluate(constant_policy(np.array([1, level, delay])), customers, PRICE)

    assert value.net(PRICE) < optimum(customers, PRICE).net(PRICE)


def test_contacting_nobody_has_no_value() -> None:
    assert evaluate(constant_policy(NO_CONTACT), make_customers(50), PRICE) == CampaignValue(0, 0)


def test_a_contact_that_the_gate_forbids_is_not_made() -> None:
    env = BenchmarkEnv(make_customers(50), 50, seed=0, price=PRICE)
    rewards = [env.step(np.tile(CONTACT_EVERY_DAY, (50, 1))).rewards for _ in range(14)]

    assert (rewards[0] != 0).all()
    assert not np.any(rewards[1:])


def test_the_observed_price_is_the_one_charged() -> None:
    env, env_at_higher_price = (
        BenchmarkEnv(make_customers(50), 50, seed=0, price=price) for price in (PRICE, PRICE + 1)
    )
    assert env.observe()[:, 5] == pytest.approx(np.full(50, 1 / 2))

    offer = np.tile([1, 3, 0], (50, 1))
    step, step_at_higher_price = env.step(offer), env_at_higher_price.step(offer)

    assert step.rewards - step_at_higher_price.rewards == pytest.approx(step.costs / env.mean_bill)


def test_rewards_of_churning_customers_sum_to_the_evaluated_value() -> None:
    customers, number = make_customers(500), 20_000
    env, total, running = BenchmarkEnv(customers, number, seed=0, price=PRICE), 0.0, np.ones(number, dtype=bool)
    while running.any():
        step = env.step(np.tile([1, 2, 3], (number, 1)))
        total += step.rewards[running].sum() * env.mean_bill
        running &= ~step.done

    value = evaluate(constant_policy(np.array([1, 2, 3])), customers, PRICE)
    assert total / number == pytest.approx(value.net(PRICE), rel=0.03)


def test_the_clock_of_a_learning_curve_stops_during_evaluation() -> None:
    def slow(observations: np.ndarray, eligible: np.ndarray, greedy: bool) -> np.ndarray:
        time.sleep(0.001)
        return np.tile(NO_CONTACT, (len(eligible), 1))

    curve = LearningCurve(make_customers(5), PRICE, interval=100)
    curve.start()
    for steps in (60, 120, 180, 240):
        curve.record(steps, slow)

    assert [point.steps for point in curve.points] == [120, 240]
    assert curve.seconds < 0.1


def test_seconds_to_80_percent_are_by_the_fastest_measured_speed() -> None:
    customers = make_customers(50)
    net_value = optimum(customers, PRICE).net(PRICE)
    points = [
        CurvePoint(steps, 99.0, CampaignValue(share * net_value, 0), CampaignValue(0, 0))
        for steps, share in ((10, 0.7), (20, 0.9))
    ]
    speeds = {learner: [10.0, 20.0] for learner in ("ours", "sb3", "sb3_defaults")}
    results = [TrainingResult("ours", PRICE, 0, points), TrainingResult("sb3", PRICE, 0, points[:1])]

    learnt = summary(customers, speeds, results)["learnt"]["price 1.0"]

    assert learnt["ours"]["seconds_to_80_percent"] == [1.0]
    assert learnt["ours"]["share_of_optimum"]["mean"] == pytest.approx(0.9)
    assert learnt["sb3"]["seconds_to_80_percent"] == [None]


def test_customers_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    splits = CustomerSplits(make_customers(3), make_customers(2))
    write(tmp_path / "customers.npz", splits)

    for written, read_back in zip(splits, read(tmp_path / "customers.npz"), strict=True):
        for expected, array in zip(written, read_back, strict=True):
            np.testing.assert_array_equal(expected, array)

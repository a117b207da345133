"""What the comparison rests on; the libraries themselves are not here, and live in an environment of their own."""

import time
from pathlib import Path

import numpy as np
import pytest

from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import Customers
from training.policy.benchmarks.episodes import Episodes
from training.policy.benchmarks.judge import Curve, Decide, Point, Value, best, value
from training.policy.benchmarks.people import People, read, write
from training.policy.benchmarks.report import Outcome, summary

PRICE = 1.0
EVERY_DAY = np.array([1, 0, 0])
NEVER = np.array([0, 0, 0])


def some(number: int) -> Customers:
    rng = np.random.default_rng(7)
    accept = np.sort(rng.uniform(0.02, 0.5, size=(number, 4)), axis=1)
    return Customers(rng.uniform(0.0005, 0.01, number), accept, rng.uniform(20, 110, number))


def always(action: np.ndarray) -> Decide:
    return lambda observations, may, greedy: np.tile(action, (len(may), 1))


def optimal(customers: Customers, price: float) -> Decide:
    """The dynamic program, asked every day once."""
    stages = list(DynamicProgram(customers).solve(price))

    def decide(observations: np.ndarray, may: np.ndarray, greedy: bool) -> np.ndarray:
        stage, who = stages.pop(), np.arange(len(may))
        contacts = np.minimum((observations[:, 8] * 3).round().astype(int), 2)
        contact = stage.contact[:, who, contacts]
        better = contact.max(axis=0) > stage.wait[who, contacts]
        return np.stack([better, contact.argmax(axis=0), np.zeros(len(may), dtype=int)], axis=1)

    return decide


def test_the_dynamic_program_gains_what_it_promises() -> None:
    customers = some(4_000)
    found, promised = value(optimal(customers, PRICE), customers, PRICE), best(customers, PRICE)
    assert found.priced(PRICE) == pytest.approx(promised.priced(PRICE), rel=0.01)
    assert found.spend == pytest.approx(promised.spend, rel=0.02)


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("delay", [0, 7])
def test_nobody_is_judged_better_than_the_dynamic_program(level: int, delay: int) -> None:
    customers = some(500)
    found = value(always(np.array([1, level, delay])), customers, PRICE)
    assert found.priced(PRICE) < best(customers, PRICE).priced(PRICE)


def test_who_does_nothing_gains_nothing() -> None:
    assert value(always(NEVER), some(50), PRICE) == Value(0, 0)


def test_a_contact_that_the_gate_forbids_is_none() -> None:
    episodes = Episodes(some(50), 50, seed=0, price=PRICE)
    rewards = [episodes.step(np.tile(EVERY_DAY, (50, 1))).rewards for _ in range(14)]
    assert (rewards[0] != 0).all()
    assert not np.any(rewards[1:])


def test_what_is_shown_is_the_price_that_is_charged() -> None:
    episodes, dearer = (Episodes(some(50), 50, seed=0, price=price) for price in (PRICE, PRICE + 1))
    assert episodes.observe()[:, 5] == pytest.approx(np.full(50, 1 / 2))
    offered = np.tile([1, 3, 0], (50, 1))
    ours, theirs = episodes.step(offered), dearer.step(offered)
    assert ours.rewards - theirs.rewards == pytest.approx(ours.costs / episodes.bill)


def test_rewards_of_customers_who_leave_add_up_to_what_the_judge_finds() -> None:
    customers, number = some(500), 20_000
    episodes, total, going = Episodes(customers, number, seed=0, price=PRICE), 0.0, np.ones(number, dtype=bool)
    while going.any():
        moved = episodes.step(np.tile([1, 2, 3], (number, 1)))
        total += moved.rewards[going].sum() * episodes.bill
        going &= ~moved.done
    found = value(always(np.array([1, 2, 3])), customers, PRICE)
    assert total / number == pytest.approx(found.priced(PRICE), rel=0.03)


def test_the_clock_stops_while_a_learner_is_judged() -> None:
    def slow(observations: np.ndarray, may: np.ndarray, greedy: bool) -> np.ndarray:
        time.sleep(0.001)
        return np.tile(NEVER, (len(may), 1))

    curve = Curve(some(5), PRICE, every=100)
    curve.start()
    for steps in (60, 120, 180, 240):
        curve.follow(steps, slow)
    assert [point.steps for point in curve.points] == [120, 240]
    assert curve.seconds < 0.1


def test_seconds_to_80_percent_are_those_of_a_quiet_machine() -> None:
    customers = some(50)
    optimum = best(customers, PRICE).priced(PRICE)
    points = [Point(steps, 99.0, Value(share * optimum, 0), Value(0, 0)) for steps, share in ((10, 0.7), (20, 0.9))]
    pace = {name: [10.0, 20.0] for name in ("ours", "sb3", "sb3_defaults")}
    runs = [
        Outcome("ours", PRICE, 0, points),
        *(Outcome(name, PRICE, 0, points[:1]) for name in ("sb3",)),
    ]
    learnt = summary(customers, pace, runs)["learnt"]["price 1.0"]
    assert learnt["ours"]["seconds_to_80_percent"] == [1.0]
    assert learnt["ours"]["share_of_optimum"]["mean"] == pytest.approx(0.9)
    assert learnt["sb3"]["seconds_to_80_percent"] == [None]


def test_customers_come_back_from_their_file(tmp_path: Path) -> None:
    people = People(some(3), some(2))
    write(tmp_path / "people.npz", people)
    for side, back in zip(people, read(tmp_path / "people.npz"), strict=True):
        for fact, its in zip(side, back, strict=True):
            np.testing.assert_array_equal(fact, its)

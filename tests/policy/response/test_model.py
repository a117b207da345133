from math import exp

import numpy as np
import pytest

from services.policy.response.model import DISCOUNTS, WORLD, Customers, World, gain, hazard_of, strain, worth

OTHER = World(effect=0.8, held_days=(2, 20, 7, 9), annoyance=0.3, annoyed_days=9, contact_cost=1.0)


def day_by_day(hazard: float, bill: float, days: int, held: int, annoyed: int, contacts: int, world: World) -> float:
    """What one customer is expected to pay, written out."""
    paid, there = 0.0, 1.0
    for day in range(days):
        paid += there * bill / 30
        there *= exp(-hazard * (1 - world.effect * (day < held) + world.annoyance * contacts * (day < annoyed)))
    return paid


@pytest.mark.parametrize("world", [WORLD, OTHER])
@pytest.mark.parametrize("held", [0, 1, 9, 14, 60])
@pytest.mark.parametrize("annoyed", [0, 1, 9, 14])
@pytest.mark.parametrize("days", [0, 1, 9, 40, 365])
def test_worth_is_the_sum_of_all_days(world: World, held: int, annoyed: int, days: int) -> None:
    hazards, bills, contacts = np.array([1e-9, 0.001, 0.02, 1.5]), np.array([20.0, 30.0, 65.0, 120.0]), 3
    customers = Customers(hazards, np.zeros((4, 4)), bills)

    expected = [day_by_day(h, b, days, held, annoyed, contacts, world) for h, b in zip(hazards, bills, strict=True)]

    assert worth(customers, days, held, annoyed, contacts, world) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("world", [WORLD, OTHER])
def test_a_contact_gains_what_the_days_written_out_say(world: World) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        hazard, bill, accept = rng.uniform(0, 0.05), rng.uniform(10, 120), rng.uniform(0, 1, 4)
        level, days, held = int(rng.integers(4)), int(rng.integers(1, 366)), int(rng.integers(0, 30))
        contacts, annoyed = int(rng.integers(0, 4)), int(rng.integers(0, world.annoyed_days))
        customers = Customers(np.array([hazard]), accept[None], np.array([bill]))

        [gained], [cost] = gain(customers, np.array([level]), days, held, contacts, world, annoyed)

        def paid(held: int, annoyed: int, contacts: int, fixed: tuple = (hazard, bill, days)) -> float:
            return day_by_day(*fixed, held, annoyed, contacts, world)

        accepted = paid(max(held, world.held_days[level]), world.annoyed_days, contacts + 1) - bill * DISCOUNTS[level]
        declined = paid(held, world.annoyed_days, contacts + 1)
        mean = accept[level] * accepted + (1 - accept[level]) * declined
        assert gained == pytest.approx(mean - paid(held, annoyed, contacts) - world.contact_cost, abs=1e-8)
        assert cost == pytest.approx(accept[level] * bill * DISCOUNTS[level])


def test_a_hazard_makes_its_churn_risk_come_true() -> None:
    risk = np.array([0.01, 0.3, 0.99])

    assert 1 - np.exp(-hazard_of(risk) * strain(WORLD.risk_days, 0, 0, 0)) == pytest.approx(risk)
    assert np.isfinite(hazard_of(np.array([0.0, 1.0]))).all()
    assert (hazard_of(np.array([0.0, 1.0])) > 0).all()


def test_days_add_up() -> None:
    """Two spells in a row are one: so it does not matter when somebody looks."""
    for held in (0, 3, 20):
        for annoyed in (0, 2, 14):
            first, rest = strain(5, held, annoyed, 2), strain(7, max(held - 5, 0), max(annoyed - 5, 0), 2)
            assert first + rest == pytest.approx(strain(12, held, annoyed, 2))


def test_some_customers_are_customers_too() -> None:
    customers = Customers(np.array([0.1, 0.2, 0.3]), np.arange(12.0).reshape(3, 4), np.array([1.0, 2.0, 3.0]))

    hazard, accept, bill = customers[np.array([2, 0])]

    assert hazard.tolist() == [0.3, 0.1]
    assert accept.tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert bill.tolist() == [3, 1]
    assert customers[1:].bill.tolist() == [2, 3]

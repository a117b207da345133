"""Simulated customers: their common random numbers, and outcomes where the scorer is wrong."""

import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.simulation.customer_simulator import CustomerSimulator

RNG = np.random.default_rng(4)
CUSTOMERS = Customers(RNG.uniform(0.001, 0.02, 50), RNG.uniform(0, 1, (50, 4)), RNG.uniform(20, 115, 50))
ROWS, LEVELS = np.arange(100), np.tile([0, 1, 2, 3], 25)


def simulator(seed: int = 1, truth: Customers | None = None) -> CustomerSimulator:
    return CustomerSimulator(CUSTOMERS, 2, seed, truth=truth)


def churned_by_day(customers: CustomerSimulator) -> list[list[int]]:
    return [customers.end_of_day().tolist() for _ in range(90)]


def test_after_a_reset_customers_accept_and_churn_as_before() -> None:
    customers = simulator()
    accepted = customers.contact(ROWS, LEVELS, day=0)[0].tolist()
    churned = churned_by_day(customers)
    customers.reset()

    assert customers.contact(ROWS, LEVELS, day=0)[0].tolist() == accepted
    assert churned_by_day(customers) == churned


def test_another_contact_does_not_change_the_random_number_of_the_next() -> None:
    """A policy that contacts others, or later, meets the same customers."""
    customers, others = simulator(), simulator()
    others.contact(ROWS[50:], LEVELS[50:], day=0)
    others.end_of_day()

    assert others.contact(ROWS[:50], LEVELS[:50], day=1)[0].tolist() == (
        customers.contact(ROWS[:50], LEVELS[:50], day=0)[0].tolist()
    )


def test_another_seed_gives_other_customers() -> None:
    assert simulator(1).contact(ROWS, LEVELS, 0)[0].tolist() != simulator(2).contact(ROWS, LEVELS, 0)[0].tolist()


def test_every_customer_who_churns_is_reported_once_and_stays_inactive() -> None:
    customers = simulator()
    churned = [row for rows in churned_by_day(customers) for row in rows]

    assert len(churned) == len(set(churned)) > 10
    assert set(churned) == set(np.flatnonzero(~customers.state.active))


def test_outcomes_and_values_follow_the_truth_and_policies_see_the_customers() -> None:
    hazard, accept, bill = CUSTOMERS
    customers = simulator(truth=Customers(hazard, accept * 0, bill))
    accepted, values = customers.contact(ROWS, LEVELS, day=0)

    assert customers.customers.accept.tolist() == CUSTOMERS[np.tile(np.arange(50), 2)].accept.tolist()
    assert not accepted.any()
    assert values.max() < 0, "a contact that nobody accepts only costs"


def test_more_contacts_than_the_cap_have_outcomes_too() -> None:
    """As when the gate of a service fails: the audit is to see them."""
    customers = simulator()
    accepted = [customers.contact(ROWS, LEVELS, day=0)[0] for _ in range(customers.rules.contact_cap + 2)]

    assert accepted[-1].tolist() == accepted[-3].tolist()
    assert customers.state.contacts == pytest.approx(customers.rules.contact_cap + 2)

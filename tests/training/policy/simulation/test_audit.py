"""The audit, on contacts and outcomes by hand."""

import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.simulation.audit import Audit, Offer
from training.policy.simulation.campaign import HOURS_PER_DAY
from training.policy.simulation.customer_simulator import CustomerSimulator

OFFER = Offer("event", customer=0, level=3, hour=5, accepted=True)


@pytest.fixture
def customers() -> CustomerSimulator:
    """One customer with a bill of 100."""
    return CustomerSimulator(Customers(np.array([0.01]), np.full((1, 4), 0.5), np.array([100.0])), 1, seed=0)


def test_an_offer_counts_as_reserved_until_its_outcome(customers: CustomerSimulator) -> None:
    audit = Audit(customers, 20.0)
    audit.record_contact(OFFER)
    audit.check_budget()
    audit.record_outcome(OFFER, False)
    audit.record_contact(OFFER._replace(level=2, hour=5 + 14 * HOURS_PER_DAY))
    audit.check_budget()

    assert (audit.peak_used, audit.reserved, audit.spent) == (1500, 1000, 0)
    assert not any(audit.violations.values())


def test_more_reserved_and_spent_than_the_budget_is_a_violation(customers: CustomerSimulator) -> None:
    audit = Audit(customers, 14.99)
    audit.record_contact(OFFER)
    audit.check_budget()

    assert audit.violations["budget"] == 1


def test_a_contact_an_hour_too_early_is_a_violation(customers: CustomerSimulator) -> None:
    audit = Audit(customers, 1_000.0)
    audit.record_contact(OFFER)
    audit.record_contact(OFFER._replace(hour=5 + 14 * HOURS_PER_DAY - 1))
    assert audit.violations["cooldown"] == 1

    audit.record_outcome(OFFER, True)  # holds 60 days
    audit.record_contact(OFFER._replace(hour=5 + 60 * HOURS_PER_DAY - 1))
    assert audit.violations == {"cooldown": 1, "offer-holds": 1, "cap": 0, "budget": 0}

    audit.record_contact(OFFER._replace(hour=5 + 80 * HOURS_PER_DAY))
    assert audit.violations["cap"] == 1

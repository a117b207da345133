"""Contacts and answers worked by hand, and what is counted of them."""

import numpy as np

from services.policy.response.model import Customers
from training.policy.simulation.audit import Audit, Offer
from training.policy.simulation.campaign import HOURS_PER_DAY, CampaignSimulator


def test_what_is_promised_counts_until_it_is_answered() -> None:
    quarter = CampaignSimulator(Customers(np.array([0.01]), np.full((1, 4), 0.5), np.array([100.0])), 1, seed=0)
    audit, offer = Audit(quarter, 20.0), Offer("event", 0, 3, 5, True)
    audit.record_contact(offer)
    audit.check_budget()
    audit.record_outcome(offer, False)
    audit.record_contact(offer._replace(level=2, hour=5 + 14 * HOURS_PER_DAY))
    audit.check_budget()

    assert (audit.peak_committed, audit.reserved, audit.spent) == (1500, 1000, 0)
    assert not any(audit.violations.values())


def test_a_contact_a_moment_early_counts() -> None:
    quarter = CampaignSimulator(Customers(np.array([0.01]), np.full((1, 4), 0.5), np.array([100.0])), 1, seed=0)
    audit = Audit(quarter, 1_000.0)
    first = Offer("event", 0, 3, 5, True)
    audit.record_contact(first)
    audit.record_contact(first._replace(hour=5 + 14 * HOURS_PER_DAY - 1))
    assert audit.violations["cooldown"] == 1

    audit.record_outcome(first, True)  # holds 60 days
    audit.record_contact(first._replace(hour=5 + 60 * HOURS_PER_DAY - 1))
    assert audit.violations == {"cooldown": 1, "offer-holds": 1, "cap": 0, "budget": 0}

    audit.record_contact(first._replace(hour=5 + 80 * HOURS_PER_DAY))
    assert audit.violations["cap"] == 1

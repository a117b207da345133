"""Independent check of the rules of gate and ledger, from outside the policy service."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from services.policy.response.model import DISCOUNTS
from training.policy.simulation.campaign import HOURS_PER_DAY
from training.policy.simulation.customer_simulator import CENTS, CustomerSimulator
from training.policy.simulation.dynamics import NEVER_CONTACTED

AUDITED_RULES = ("cooldown", "offer-holds", "cap", "budget")


class Offer(NamedTuple):
    """A contact that the service decided on, with the customer's answer, which is reported later."""

    event_id: str
    customer: int
    """Row of the customer in the simulator."""
    level: int
    hour: int
    """Hours since the campaign began."""
    accepted: bool


class Audit:
    """Counts violations by the service's decisions, given the outcomes that were reported to it."""

    def __init__(self, customers: CustomerSimulator, budget: float) -> None:
        self.rules, self.effect_days = customers.rules, customers.response_model.effect_days
        self.costs, self.budget = customers.offer_costs.tolist(), round(budget * CENTS)
        self.last_contact, self.offer_end, self.contacts = np.zeros((3, customers.n), dtype=int)  # hours, hours, number
        self.last_contact -= NEVER_CONTACTED * HOURS_PER_DAY
        self.violations = Counter(dict.fromkeys(AUDITED_RULES, 0))
        self.contacts_by_level = [0] * len(DISCOUNTS)
        self.reserved = self.spent = self.peak_used = 0
        """Amounts in cents; the peak is that of reserved plus spent."""

    def record_contact(self, offer: Offer) -> None:
        customer, hour = offer.customer, offer.hour
        cooldown_over = hour - self.last_contact[customer] >= self.rules.cooldown_days * HOURS_PER_DAY
        self.violations["cooldown"] += int(not cooldown_over)
        self.violations["offer-holds"] += int(hour < self.offer_end[customer])
        self.violations["cap"] += int(self.contacts[customer] >= self.rules.contact_cap)
        self.last_contact[customer] = hour
        self.contacts[customer] += 1
        self.contacts_by_level[offer.level] += 1
        self.reserved += self.costs[customer][offer.level]

    def record_outcome(self, offer: Offer, accepted: bool) -> None:
        cost = self.costs[offer.customer][offer.level]
        self.reserved -= cost
        if accepted:
            self.spent += cost
            end = offer.hour + self.effect_days[offer.level] * HOURS_PER_DAY
            self.offer_end[offer.customer] = max(self.offer_end[offer.customer], end)

    def check_budget(self) -> None:
        """To be called after each batch of decisions."""
        used = self.reserved + self.spent
        self.peak_used = max(self.peak_used, used)
        self.violations["budget"] += int(used > self.budget)

"""Whether the policy service keeps its promises, counted again from outside."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from services.policy.response.model import DISCOUNTS
from training.policy.simulation.campaign import CENTS, HOURS, CampaignSimulator
from training.policy.simulation.env import NEVER

RULES_KEPT = ("cooldown", "offer-holds", "cap", "budget")


class Offer(NamedTuple):
    event_id: str
    who: int
    level: int
    hour: int
    """Since the quarter began."""
    accepted: bool


class Audit:
    """What gate and ledger promise, counted again from what came out of the service and what was reported to it."""

    def __init__(self, quarter: CampaignSimulator, budget: float) -> None:
        self.rules, self.effect_days, self.costs = (
            quarter.rules,
            quarter.response_model.effect_days,
            quarter.costs.tolist(),
        )
        self.cents = round(budget * CENTS)
        self.last, self.until, self.contacts = np.zeros((3, quarter.n), dtype=int)  # hours, hours, a number
        self.last -= NEVER * HOURS
        self.broken = Counter(dict.fromkeys(RULES_KEPT, 0))
        self.offers = [0] * len(DISCOUNTS)
        self.promised = self.spent = self.worst = 0

    def contacted(self, offer: Offer) -> None:
        who, hour = offer.who, offer.hour
        self.broken["cooldown"] += int(hour - self.last[who] < self.rules.cooldown * HOURS)
        self.broken["offer-holds"] += int(hour < self.until[who])
        self.broken["cap"] += int(self.contacts[who] >= self.rules.cap)
        self.last[who] = hour
        self.contacts[who] += 1
        self.offers[offer.level] += 1
        self.promised += self.costs[who][offer.level]

    def reported(self, offer: Offer, accepted: bool) -> None:
        cents = self.costs[offer.who][offer.level]
        self.promised -= cents
        if accepted:
            self.spent += cents
            self.until[offer.who] = max(self.until[offer.who], offer.hour + self.effect_days[offer.level] * HOURS)

    def batch(self) -> None:
        """At the end of one."""
        self.worst = max(self.worst, self.promised + self.spent)
        self.broken["budget"] += int(self.promised + self.spent > self.cents)

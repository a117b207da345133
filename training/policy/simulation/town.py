"""The customers of a quarter, as the policy service meets them: their events, their answers, and who leaves."""

from uuid import uuid5

import numpy as np

from services.policy.response.model import gain, strain
from shared.messages import EVENTS, ScoredCustomer
from training.policy.simulation.campaign import Quarter
from training.policy.simulation.env import NEVER


class Town:
    """The customers of a quarter, and what becomes of them. Every array is [n]."""

    def __init__(self, quarter: Quarter) -> None:
        self.luck, self.leaves_at, self.n = quarter.luck, quarter.leaves_at, quarter.n
        self.customers, self.world = quarter.customers, quarter.world
        self.risk = -np.expm1(-self.customers.hazard * self.world.risk_days)
        self.since, self.held, self.contacts, self.suffered = np.zeros((4, self.n))
        self.since += NEVER
        self.there, self.gain = np.ones(self.n, dtype=bool), 0.0

    def event(self, who: int, event_id: str) -> ScoredCustomer:
        return ScoredCustomer(
            id=uuid5(EVENTS, event_id),
            event_id=event_id,
            customer_id=str(who),
            churn_risk=self.risk[who],
            accept_probs=tuple(self.customers.accept[who]),
            monthly_charges=self.customers.bill[who],
        )

    def contact(self, who: int, level: int, day: int) -> bool:
        """Whether they accept."""
        one, left, contacts = self.customers[who : who + 1], self.world.value_days - day, int(self.contacts[who])
        self.gain += float(gain(one, np.array([level]), left, self.held[who], contacts, self.world)[0][0])
        accepts = bool(self.luck[who, min(contacts, self.luck.shape[1] - 1)] < one.accept[0, level])
        self.held[who] = max(self.held[who], accepts * self.world.held_days[level])
        self.since[who] = 0
        self.contacts[who] += 1
        return accepts

    def night(self) -> list[int]:
        """Who leaves."""
        annoyed, before = np.maximum(self.world.annoyed_days - self.since, 0), self.there
        self.suffered += strain(1, self.held, annoyed, self.contacts, self.world) * self.customers.hazard
        self.there = before & (self.suffered < self.leaves_at)
        self.since += 1
        self.held = np.maximum(self.held - 1, 0)
        return np.flatnonzero(before & ~self.there).tolist()

"""The index policy: what is best for each customer alone, where money has its price. It knows the assumed world."""

import numpy as np

from services.policy.policies.base import GREEDY, DecisionContext, Exploration, PolicyAction, uniform
from services.policy.policies.one_step import bill
from services.policy.response.dynamic_program import RULES, DynamicProgram, Rules
from services.policy.response.model import RESPONSE_MODEL, Customers, Floats, daily_hazard, expected_revenue
from services.policy.response.scalar import value


class IndexPolicy:
    """Contacts where that is worth more than to wait, with what is worth most. It explores uniformly."""

    name = "index"
    version = "index-1"

    def __init__(self, exploration: Exploration = GREEDY, rules: Rules = RULES) -> None:
        self._exploration = exploration
        # Within a shorter cooldown it would have to tell how annoyed a customer still is; it waits for that to pass.
        self._rules = rules._replace(cooldown=max(rules.cooldown, RESPONSE_MODEL.fatigue_days))

    def choose(self, situation: DecisionContext) -> PolicyAction:
        best = self._best(situation) if situation.allowed.contact else None
        event_id = situation.customer.event_id
        drawn = self._exploration.sample(event_id, best, lambda: uniform(situation.allowed))
        return PolicyAction(
            drawn.level, *value(situation, drawn.level), drawn.propensity, action_probs=drawn.action_probs
        )

    def _best(self, situation: DecisionContext) -> int | None:
        s, customer = situation, situation.customer
        facts = Customers(
            daily_hazard(np.array([customer.churn_risk])), np.array([customer.accept_probs]), np.array([bill(customer)])
        )
        contact, wait = SingleCustomerDP(facts, rules=self._rules).action_values(s.price, s.day, s.contacts)
        best = max((level for level, free in enumerate(s.allowed.offers) if free), key=contact.__getitem__)
        return best if contact[best] > wait else None


class SingleCustomerDP(DynamicProgram):
    """One customer on one day. All days go together here, not one by one as in `stages`: a tenth of the time."""

    def action_values(self, price: float, day: int, contacts: int) -> tuple[list[float], float]:
        """Money of a contact on that day by level, and of waiting, after so many contacts."""
        days, rules = np.arange(self.rules.quarter - day), self.rules
        rest = expected_revenue(
            self.customers,
            self.response_model.value_days - day - days - self.longest_effect,
            0,
            0,
            0,
            self.response_model,
        )
        at_once = self._at_once - (1 + price) * self._cost - self.response_model.contact_cost
        best = np.zeros(len(days) + self._pause.max() + 1)  # by days from now, after one contact more; at the cap none
        for made in reversed(range(contacts, rules.cap)):
            accepted = self._accepted[:, :, made] * best[self._pause[:, None] + days]
            declined = self._declined[:, :, made] * best[rules.cooldown + days]
            contact = at_once[:, :, made] + self._in_time[:, :, made] * rest + accepted + declined
            best[: len(days)] = _whenever(contact.max(axis=0), self._tomorrow[0, 0])
        return contact[:, 0].tolist(), float(self._tomorrow[0, 0] * best[1])


def _whenever(gained: Floats, tomorrow: float) -> Floats:
    """What is best of one gain, on whichever day from each on, or never; a day later it counts `tomorrow` of it."""
    discount = tomorrow ** np.arange(len(gained))
    latest: Floats = np.maximum.accumulate((gained * discount)[::-1])[::-1] / discount
    return np.maximum(latest, 0)

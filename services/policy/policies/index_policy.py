"""The index policy: the best action for each customer alone at the budget's shadow price, under the response model."""

import numpy as np

from services.policy.customer.billing import monthly_bill
from services.policy.policies.action_value import action_value, unless_it_loses
from services.policy.policies.base import GREEDY, DecisionContext, Exploration, PolicyAction, uniform
from services.policy.response.dynamic_program import RULES, DynamicProgram, Rules
from services.policy.response.model import RESPONSE_MODEL, Customers, Floats, daily_hazard, expected_revenue


class IndexPolicy:
    """Contacts at the best level if that is worth more than to wait. It explores uniformly."""

    name = "index"
    version = "index-1"

    def __init__(self, exploration: Exploration = GREEDY, rules: Rules = RULES) -> None:
        self._exploration = exploration
        # The dynamic program has no state for the days of fatigue left, so no cooldown may be shorter than they are.
        self._rules = rules._replace(cooldown_days=max(rules.cooldown_days, RESPONSE_MODEL.fatigue_days))

    def choose(self, context: DecisionContext) -> PolicyAction:
        customer, allowed = context.customer, context.allowed
        best = unless_it_loses(context, self._best_level(context)) if allowed.contact else None
        level, propensity, action_probs = self._exploration.sample(customer.event_id, best, lambda: uniform(allowed))
        return PolicyAction(level, *action_value(context, level), propensity, action_probs=action_probs)

    def _best_level(self, context: DecisionContext) -> int | None:
        """The allowed level of the highest value, or None if waiting is worth as much."""
        customer = context.customer
        customers = Customers(
            daily_hazard(np.array([customer.churn_risk])),
            np.array([customer.accept_probs]),
            np.array([monthly_bill(customer)]),
        )
        program = SingleCustomerDP(customers, rules=self._rules)
        contact, wait = program.action_values(context.price, context.day, context.contacts)
        levels = (level for level, is_allowed in enumerate(context.allowed.offers) if is_allowed)
        best = max(levels, key=contact.__getitem__)
        return best if contact[best] > wait else None


class SingleCustomerDP(DynamicProgram):
    """The dynamic program for one customer on one day.

    It is vectorised over days where `solve` goes day by day, and takes a tenth of the time.
    """

    def action_values(self, price: float, day: int, contacts: int) -> tuple[list[float], float]:
        """Money gained by a contact at each level on `day`, and by waiting, after `contacts` contacts so far."""
        days, rules = np.arange(self.rules.campaign_days - day), self.rules
        remaining_days = self.response_model.value_days - day - days - self.longest_effect
        remaining_revenue = expected_revenue(self.customers, remaining_days, 0, 0, 0, self.response_model)
        immediate_value = self._immediate_gain - (1 + price) * self._cost - self.response_model.contact_cost
        # best: by days from now, after one more contact; at the cap no contact is left, so it starts at 0.
        best = np.zeros(len(days) + self._days_to_next.max() + 1)
        for contacts_made in reversed(range(contacts, rules.contact_cap)):
            accepted = self._accepted_survival[:, :, contacts_made] * best[self._days_to_next[:, None] + days]
            declined = self._declined_survival[:, :, contacts_made] * best[rules.cooldown_days + days]
            later_revenue = self._survival_change[:, :, contacts_made] * remaining_revenue
            contact = immediate_value[:, :, contacts_made] + later_revenue + accepted + declined
            best[: len(days)] = _best_from(contact.max(axis=0), self._daily_survival[0, 0])
        return contact[:, 0].tolist(), float(self._daily_survival[0, 0] * best[1])


def _best_from(gains: Floats, survival: float) -> Floats:
    """The best gain [days] of one contact on any day from each day on, or of none.

    `survival` is the probability of staying through a day, by which later gains are discounted.
    """
    discount = survival ** np.arange(len(gains))
    best_later: Floats = np.maximum.accumulate((gains * discount)[::-1])[::-1] / discount
    return np.maximum(best_later, 0)

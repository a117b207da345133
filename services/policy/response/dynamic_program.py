"""The optimal value of contacts over no contact at a shadow price of the budget: exact, by dynamic programming.

The recursion runs over gains: compared with doing nothing, all that a contact changes is the customer's value right
after it (the performance difference lemma, Kakade and Langford 2002). During a cooldown, and while an accepted offer
has an effect, no contact is allowed, so the state is the day and the number of contacts so far.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from services.policy.response.model import (
    DISCOUNTS,
    RESPONSE_MODEL,
    Customers,
    Floats,
    Numbers,
    ResponseModel,
    expected_revenue,
    hazard_exposure,
)


class Rules(NamedTuple):
    """The rules of the gate, in whole days."""

    cooldown_days: int = 14
    """Smallest number of days from one contact to the next."""
    contact_cap: int = 3
    """Largest number of contacts with a customer in the campaign."""
    campaign_days: int = 90
    """Length of the campaign."""


RULES = Rules()


class DayValues(NamedTuple):
    """Values of one day, as money gained over no contact from that day on; arrays are [customers, contacts so far]."""

    day: int
    wait: Floats
    """Value of no contact today."""
    contact: Floats
    """[levels, customers, contacts so far], value of a contact today."""
    best: Floats
    """Value of the best action."""
    spend: Floats
    """Money expected to be spent on discounts from that day on under the best actions."""


class DynamicProgram:
    """Solves the problem of each customer alone. What does not depend on the price and the day is computed once.

    After `longest_effect` days a contact has no effect any more: expected_revenue(days) is
    expected_revenue(longest_effect) + P(not left by then) · the revenue of the other days, which is the same in every
    state.

    Raises ValueError for parameters for which the state is not sufficient.
    """

    def __init__(
        self, customers: Customers, response_model: ResponseModel = RESPONSE_MODEL, rules: Rules = RULES
    ) -> None:
        self.customers, self.response_model, self.rules = customers, response_model, rules
        self.longest_effect = max(*response_model.effect_days, response_model.fatigue_days)
        if response_model.fatigue_days > rules.cooldown_days:
            raise ValueError(
                f"fatigue_days: {response_model.fatigue_days} is longer than the cooldown of {rules.cooldown_days} "
                "days. The state does not hold fatigue; use at most the cooldown."
            )
        if response_model.value_days < rules.campaign_days + self.longest_effect:
            raise ValueError(
                f"value_days: {response_model.value_days} is too short for an offer on the campaign's last day. "
                f"Use at least {rules.campaign_days + self.longest_effect}."
            )
        column_vectors = Customers(customers.hazard[:, None], customers.accept, customers.bill[:, None])
        after_contact = np.arange(1, rules.contact_cap + 1), response_model
        offer_days_left = np.array(response_model.effect_days)[:, None, None]

        def survival(days: Numbers, offer_days_left: Numbers, fatigue_days_left: Numbers) -> Floats:
            exposure = hazard_exposure(days, offer_days_left, fatigue_days_left, *after_contact)
            return np.asarray(np.exp(-column_vectors.hazard * exposure))

        def expected_change(accepted: Floats, declined: Floats, without_contact: Floats) -> Floats:
            return self._accept * accepted + (1 - self._accept) * declined - without_contact

        # [levels, customers, contacts so far], or what broadcasts to it
        fatigue_days = response_model.fatigue_days
        self._accept = customers.accept.T[:, :, None]
        self._cost = self._accept * (DISCOUNTS[:, None] * customers.bill)[:, :, None]
        self._immediate_gain = expected_change(
            expected_revenue(column_vectors, self.longest_effect, offer_days_left, fatigue_days, *after_contact),
            expected_revenue(column_vectors, self.longest_effect, 0, fatigue_days, *after_contact),
            expected_revenue(column_vectors, self.longest_effect, 0, 0, 0, response_model),
        )
        self._survival_change = expected_change(
            survival(self.longest_effect, offer_days_left, fatigue_days),
            survival(self.longest_effect, 0, fatigue_days),
            survival(self.longest_effect, 0, 0),
        )
        self._daily_survival = np.exp(-column_vectors.hazard)
        self._declined_survival = (1 - self._accept) * survival(rules.cooldown_days, 0, fatigue_days)
        self._days_to_next = np.maximum(rules.cooldown_days, response_model.effect_days)
        self._accepted_survival = self._accept * survival(
            self._days_to_next[:, None, None], offer_days_left, fatigue_days
        )

    def solve(self, price: float) -> Iterator[DayValues]:
        """Backward induction over the days of the campaign, last first; 1 unit of spend counts as 1 + `price`."""
        immediate_value = self._immediate_gain - (1 + price) * self._cost - self.response_model.contact_cost
        days = self.rules.campaign_days + max(self.longest_effect, self.rules.cooldown_days) + 1
        best = np.zeros(
            (days, len(self.customers.hazard), self.rules.contact_cap + 1)
        )  # 0 at the cap: no contact is left
        spend = best.copy()
        for day in range(self.rules.campaign_days - 1, -1, -1):
            remaining_revenue = expected_revenue(
                self.customers, self.response_model.value_days - day - self.longest_effect, 0, 0, 0, self.response_model
            )
            contact = (
                immediate_value + self._survival_change * remaining_revenue[:, None] + self._continuation(best, day)
            )
            wait = self._daily_survival * best[day + 1, :, :-1]
            level = contact.argmax(axis=0)[None]
            gained = np.take_along_axis(contact, level, axis=0)[0]
            spent = np.take_along_axis(self._cost + self._continuation(spend, day), level, axis=0)[0]
            best[day, :, :-1] = np.maximum(wait, gained)
            spend[day, :, :-1] = np.where(gained > wait, spent, self._daily_survival * spend[day + 1, :, :-1])
            yield DayValues(day, wait, contact, best[day, :, :-1], spend[day, :, :-1])

    def _continuation(self, values: Floats, day: int) -> Floats:
        """Expected value of the day when the next contact is allowed, after a contact on `day`."""
        return (
            self._accepted_survival * values[day + self._days_to_next, :, 1:]
            + self._declined_survival * values[day + self.rules.cooldown_days, :, 1:]
        )

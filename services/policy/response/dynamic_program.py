"""What a customer is worth more if contacts are chosen best, where money has a price: exact, by dynamic programming.

Against doing nothing, all that a contact changes is in the worth of the customer a moment later (the performance
difference lemma, Kakade and Langford 2002), so the recursion runs over gains. While the cooldown lasts or an accepted
offer holds nothing can be done, so a state is the day and the contacts so far.
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
    """What the gate allows, in whole days."""

    cooldown: int = 14
    cap: int = 3
    """Contacts in the quarter."""
    quarter: int = 90


RULES = Rules()


class DayValues(NamedTuple):
    """A day's gains over doing nothing, money: [customers, contacts so far]."""

    day: int
    wait: Floats
    """From tomorrow on."""
    contact: Floats
    """From now on with a contact today, by level: [levels, customers, contacts so far]."""
    best: Floats
    spend: Floats
    """Money that is expected to be spent on discounts from now on, if the best is done."""


class DynamicProgram:
    """Customers, each alone. What a contact changes at once is worked out once, whatever money costs and the day is.

    After `longest` days nothing of a contact holds: expected_revenue(days) = expected_revenue(longest)
    + P(still there then) · that of the other days, which is the same in every state.
    """

    def __init__(
        self, customers: Customers, response_model: ResponseModel = RESPONSE_MODEL, rules: Rules = RULES
    ) -> None:
        self.customers, self.response_model, self.rules = customers, response_model, rules
        self.longest_effect = max(*response_model.effect_days, response_model.fatigue_days)
        if response_model.fatigue_days > rules.cooldown:
            raise ValueError(
                f"fatigue_days {response_model.fatigue_days} is longer than the cooldown of {rules.cooldown} days"
            )
        if response_model.value_days < rules.quarter + self.longest_effect:
            raise ValueError(
                f"within value_days {response_model.value_days} an offer of the quarter's last day does not end"
            )
        one = Customers(customers.hazard[:, None], customers.accept, customers.bill[:, None])
        after = np.arange(1, rules.cap + 1), response_model  # contacts
        offer_days_left = np.array(response_model.effect_days)[:, None, None]

        def stays(days: Numbers, offer_days_left: Numbers, fatigue_days_left: Numbers) -> Floats:
            return np.asarray(np.exp(-one.hazard * hazard_exposure(days, offer_days_left, fatigue_days_left, *after)))

        def change(accepted: Floats, declined: Floats, before: Floats) -> Floats:
            return self._accept * accepted + (1 - self._accept) * declined - before

        self._accept = customers.accept.T[:, :, None]
        self._cost = self._accept * (DISCOUNTS[:, None] * customers.bill)[:, :, None]
        self._at_once = change(
            expected_revenue(one, self.longest_effect, offer_days_left, response_model.fatigue_days, *after),
            expected_revenue(one, self.longest_effect, 0, response_model.fatigue_days, *after),
            expected_revenue(one, self.longest_effect, 0, 0, 0, response_model),
        )
        self._in_time = change(
            stays(self.longest_effect, offer_days_left, response_model.fatigue_days),
            stays(self.longest_effect, 0, response_model.fatigue_days),
            stays(self.longest_effect, 0, 0),
        )
        self._tomorrow = np.exp(-one.hazard)
        self._declined = (1 - self._accept) * stays(rules.cooldown, 0, response_model.fatigue_days)
        self._pause = np.maximum(rules.cooldown, response_model.effect_days)
        self._accepted = self._accept * stays(self._pause[:, None, None], offer_days_left, response_model.fatigue_days)

    def solve(self, price: float) -> Iterator[DayValues]:
        """The quarter's days, last first. A unit of money that is spent counts 1 + `price`."""
        at_once = self._at_once - (1 + price) * self._cost - self.response_model.contact_cost
        nothing = np.zeros((len(self.customers.hazard), self.rules.cap + 1))  # the last: at the cap nothing is gained
        best = np.array([nothing] * (self.rules.quarter + max(self.longest_effect, self.rules.cooldown) + 1))
        spend = best.copy()
        for day in range(self.rules.quarter - 1, -1, -1):
            rest = expected_revenue(
                self.customers, self.response_model.value_days - day - self.longest_effect, 0, 0, 0, self.response_model
            )
            contact = at_once + self._in_time * rest[:, None] + self._later(best, day)
            wait = self._tomorrow * best[day + 1, :, :-1]
            level = contact.argmax(axis=0)[None]
            gained = np.take_along_axis(contact, level, axis=0)[0]
            spent = np.take_along_axis(self._cost + self._later(spend, day), level, axis=0)[0]
            best[day, :, :-1] = np.maximum(wait, gained)
            spend[day, :, :-1] = np.where(gained > wait, spent, self._tomorrow * spend[day + 1, :, :-1])
            yield DayValues(day, wait, contact, best[day, :, :-1], spend[day, :, :-1])

    def _later(self, values: Floats, day: int) -> Floats:
        """What of them is left, after a contact on that day, when the next may come."""
        return (
            self._accepted * values[day + self._pause, :, 1:]
            + self._declined * values[day + self.rules.cooldown, :, 1:]
        )

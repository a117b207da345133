"""Customers of a campaign whose random numbers are drawn beforehand: the same under every policy.

Such common random numbers make the difference of two policies far less noisy than the value of either.
"""

import numpy as np

from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, ResponseModel, incremental_value
from training.policy.simulation.dynamics import SimulationState

CENTS = 100
"""Cents in a unit of money."""


class CustomerSimulator:
    """`copies` of each customer, n in all: their state, and the outcomes of contacts and days."""

    def __init__(
        self,
        customers: Customers,
        copies: int,
        seed: int,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
        truth: Customers | None = None,
    ) -> None:
        """Policies observe `customers`; outcomes follow `truth`, if it is given."""
        rng = np.random.default_rng(seed)
        self.customer_index = np.tile(np.arange(len(customers.bill)), copies)
        """Index in the given customers [n]."""
        self.n, self.response_model, self.rules = len(self.customer_index), response_model, rules
        self.customers = customers[self.customer_index]
        self._true_customers = self.customers if truth is None else truth[self.customer_index]
        self._churn_threshold = rng.exponential(size=self.n)
        self.arrival_order = rng.permutation(self.n)
        self._acceptance_draws = rng.random((self.n, rules.contact_cap))
        self.offer_costs = np.ceil(np.round(self.customers.bill[:, None] * DISCOUNTS * CENTS, 6)).astype(np.int64)
        """Cost of an accepted offer in cents [n, levels]."""
        self.rng = np.random.default_rng([seed, 1])
        """Random numbers for policies that sample."""
        self.reset()

    def reset(self) -> None:
        """Begin the campaign again, with the same random numbers."""
        self.state = SimulationState.start(self._churn_threshold)

    def contact(self, rows: np.ndarray, level: np.ndarray, day: int) -> tuple[np.ndarray, np.ndarray]:
        """Contact the customers `rows` [k] with the offer `level` [k].

        Returns whether they accept [k], and the incremental value of each contact [k]: money that it gains over doing
        nothing, after its cost, in expectation over acceptance and churn.
        """
        customers, contacts = self._true_customers[rows], self.state.contacts[rows]
        value, _ = incremental_value(
            customers,
            level,
            self.response_model.value_days - day,
            self.state.offer_days_left[rows],
            contacts,
            self.response_model,
            self.state.fatigue_days_left(self.response_model)[rows],
        )
        draw = np.minimum(contacts.astype(int), self.rules.contact_cap - 1)
        accepted = self._acceptance_draws[rows, draw] < customers.accept[np.arange(len(rows)), level]
        self.state.contact(rows, level, accepted, self.response_model)
        return accepted, value

    def end_of_day(self) -> np.ndarray:
        """Let a day pass; return the customers who churn, as rows [k]."""
        active = self.state.active
        self.state.advance(1, self._true_customers.hazard, self.response_model)
        return np.flatnonzero(active & ~self.state.active)

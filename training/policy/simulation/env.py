"""A customer's quarter, as a Gymnasium environment; `vector_env` has the same transitions for many at once.

The customer stays through the episode, and pays, contacted or not: spam does not pay, because it changes what comes
later. What a contact changes is `services.policy.response.model`. A step is a decision and the days until the next; the
quarter cuts the episode, it does not end the customer, so values bootstrap there (`truncated`).
"""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, MultiDiscrete

from services.policy.customer.gate import is_eligible
from services.policy.policies.network import NUM_DELAYS
from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import DISCOUNTS, MONTH, RESPONSE_MODEL, Customers, ResponseModel, hazard_exposure
from shared.messages import OFFERS

OBSERVATIONS = Box(0, 1, (len(OBSERVATION),), np.float32)
ACTIONS = MultiDiscrete([2, len(OFFERS), NUM_DELAYS])
"""Contact or not, the level of the offer, days of delay: the next decision is 1 + delay days later."""
NEVER = 1_000
"""Days since a contact, of who was not contacted."""
TERMS = ("revenue_retained", "offer_cost", "contact_cost", "budget_violation", "fatigue_violation")


class Terms(NamedTuple):
    """Of a step; money, but `fatigue_violation`, which is contacts that the gate forbids."""

    revenue_retained: Any
    offer_cost: Any
    """Discounts on the next bill, of offers accepted."""
    contact_cost: Any
    budget_violation: Any
    """Spent beyond the budget."""
    fatigue_violation: Any


class Penalties(NamedTuple):
    """λ₁ and λ₂."""

    budget: float = 0.0
    fatigue: float = 0.0

    def reward(self, terms: Terms) -> Any:
        paid = terms.revenue_retained - terms.offer_cost - terms.contact_cost
        return paid - self.budget * terms.budget_violation - self.fatigue * terms.fatigue_violation


UNPENALISED = Penalties()


class RetentionEnv(gym.Env[np.ndarray, np.ndarray]):
    """One customer, day by day: the readable one. `budget` is the customer's share, money a quarter."""

    metadata = {"render_modes": []}

    def __init__(
        self,
        customers: Customers,
        budget: float = np.inf,
        price: float = 0.0,
        penalties: Penalties = UNPENALISED,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
    ) -> None:
        self.customers, self.budget, self.price, self.penalties = customers, budget, price, penalties
        self.response_model, self.rules = response_model, rules
        self.observation_space, self.action_space = OBSERVATIONS, ACTIONS

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        customer = self.np_random.integers(len(self.customers.hazard))
        self._hazard, self._accept, self._bill = (fact[customer] for fact in self.customers)
        self._leaves_at = self.np_random.exponential()  # when what they suffered adds up to this
        self._day, self._since, self._held, self._contacts, self._suffered, self._spent = 0, NEVER, 0, 0, 0.0, 0.0
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        contact, level, delay = (int(choice) for choice in action)
        costs = self._contact(level) if contact else (0.0, 0.0, 0.0, 0.0)
        revenue, alive = 0.0, True
        for _ in range(min(1 + delay, self.rules.quarter - self._day)):
            if alive:
                revenue += self._bill / MONTH
                alive = self._stays()
            self._day, self._since, self._held = self._day + 1, self._since + 1, max(self._held - 1, 0)
        terms = Terms(revenue, *costs)
        cut = alive and self._day >= self.rules.quarter
        return self._observation(), float(self.penalties.reward(terms)), not alive, cut, terms._asdict()

    def _contact(self, level: int) -> tuple[float, float, float, float]:
        """What it costs, and breaks."""
        allowed = is_eligible(self._since, self._held, self._contacts, self.rules.cooldown, self.rules.cap)
        self._since, self._contacts, cost, over = 0, self._contacts + 1, 0.0, max(self._spent - self.budget, 0.0)
        if self.np_random.random(dtype=np.float32) < self._accept[level]:
            self._held, cost = max(self._held, self.response_model.effect_days[level]), self._bill * DISCOUNTS[level]
        self._spent += cost
        return cost, self.response_model.contact_cost, max(self._spent - self.budget, 0.0) - over, float(not allowed)

    def _stays(self) -> bool:
        """Through one day more."""
        fatigue_days_left = max(self.response_model.fatigue_days - self._since, 0)
        self._suffered += self._hazard * hazard_exposure(
            1, self._held, fatigue_days_left, self._contacts, self.response_model
        )
        return bool(self._suffered < self._leaves_at)

    def _observation(self) -> np.ndarray:
        price = self.price if self._spent < self.budget else np.inf
        hazard, price, days_since_contact, offer_days_left, contacts = np.array(
            [[self._hazard], [price], [self._since], [self._held], [self._contacts]], np.float32
        )
        out, accept = np.empty((len(OBSERVATION), 1), np.float32), self._accept[:, None]
        return np.asarray(
            observe(
                out,
                hazard,
                accept,
                price,
                days_since_contact,
                offer_days_left,
                contacts,
                self.response_model,
                self.rules,
            )[:, 0]
        )

"""One customer's campaign as a Gymnasium environment; `vector_env` steps many customers at once.

The customer pays while they stay, contacted or not, so a contact has value only through what it changes later.
Transitions are in `dynamics`, the effects of a contact in `services.policy.response.model`. A step is a decision and
the days until the next one. The end of the campaign truncates the episode, it does not end the customer: values
bootstrap there.
"""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, MultiDiscrete

from services.policy.policies.network import NUM_DELAYS
from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import DISCOUNTS, MONTH, RESPONSE_MODEL, Customers, ResponseModel
from shared.messages import OFFERS
from training.policy.simulation.dynamics import SimulationState

OBSERVATIONS = Box(0, 1, (len(OBSERVATION),), np.float32)
ACTIONS = MultiDiscrete([2, len(OFFERS), NUM_DELAYS])
"""Contact or not, the level of the offer, days of delay: the next decision is 1 + delay days later."""


class RewardTerms(NamedTuple):
    """Terms of a step's reward, in money; `fatigue_violation` is the number of contacts that the gate forbids."""

    revenue_retained: Any
    offer_cost: Any
    """Discounts on the next bill, of accepted offers."""
    contact_cost: Any
    budget_violation: Any
    """Money spent beyond the budget."""
    fatigue_violation: Any


class PenaltyWeights(NamedTuple):
    """Lagrange multipliers λ₁ of the budget and λ₂ of fatigue."""

    budget: float = 0.0
    fatigue: float = 0.0

    def reward(self, terms: RewardTerms) -> Any:
        profit = terms.revenue_retained - terms.offer_cost - terms.contact_cost
        return profit - self.budget * terms.budget_violation - self.fatigue * terms.fatigue_violation


UNPENALISED = PenaltyWeights()


class RetentionEnv(gym.Env[np.ndarray, np.ndarray]):
    """One customer, day by day. `budget` is the customer's share of it: money for the campaign."""

    metadata = {"render_modes": []}

    def __init__(
        self,
        customers: Customers,
        budget: float = np.inf,
        price: float = 0.0,
        penalties: PenaltyWeights = UNPENALISED,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
    ) -> None:
        """Each episode is of one of `customers`, drawn at random; `price` of money is observed and not charged."""
        self.customers, self.budget, self.price, self.penalties = customers, budget, price, penalties
        self.response_model, self.rules = response_model, rules
        self.observation_space, self.action_space = OBSERVATIONS, ACTIONS

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        row = self.np_random.integers(len(self.customers.hazard))
        self._customer = self.customers[np.array([row])]
        self._bill = float(self._customer.bill[0])
        self.state = SimulationState.start(np.array([self.np_random.exponential()]))
        self._day, self._spent = 0, 0.0
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        contact, level, delay = (int(choice) for choice in action)
        costs = self._contact(level) if contact else (0.0, 0.0, 0.0, 0.0)
        revenue = 0.0
        for _ in range(min(1 + delay, self.rules.campaign_days - self._day)):
            if self._active:
                revenue += self._bill / MONTH
            self.state.advance(1, self._customer.hazard, self.response_model)
            self._day += 1
        terms = RewardTerms(revenue, *costs)
        truncated = self._active and self._day >= self.rules.campaign_days
        reward = float(self.penalties.reward(terms))
        return self._observation(), reward, not self._active, truncated, terms._asdict()

    @property
    def _active(self) -> bool:
        return bool(self.state.active[0])

    def _contact(self, level: int) -> tuple[float, float, float, float]:
        """Make a contact; return the terms of the reward that come after the revenue."""
        violation = float(not self.state.eligible(self.rules)[0])
        accepted = self.np_random.random(dtype=np.float32) < self._customer.accept[0, level]
        cost = self._bill * DISCOUNTS[level] if accepted else 0.0
        self.state.contact(np.array([0]), np.array([level]), np.array([accepted]), self.response_model)
        overspent = max(self._spent - self.budget, 0.0)
        self._spent += cost
        return cost, self.response_model.contact_cost, max(self._spent - self.budget, 0.0) - overspent, violation

    def _observation(self) -> np.ndarray:
        price = self.price if self._spent < self.budget else np.inf
        state = self.state.days_since_contact, self.state.offer_days_left, self.state.contacts
        facts = np.array([self._customer.hazard, [price], *state], np.float32)
        hazard, out, accept = facts[0], np.empty((len(OBSERVATION), 1), np.float32), self._customer.accept.T
        observed = observe(out, hazard, accept, facts[1], facts[2], facts[3], facts[4], self.response_model, self.rules)
        return np.asarray(observed[:, 0])

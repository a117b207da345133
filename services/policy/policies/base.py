"""What a policy decides on and returns, and how it explores: epsilon-greedily, seeded by the event's id."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple, Protocol

from services.policy.customer.gate import ActionMask
from services.policy.policies.observation import observation_of
from services.policy.response.dynamic_program import RULES, Rules
from shared.messages import OFFERS, ScoredCustomer

Probabilities = Sequence[float]
"""Probability of each action: no contact, then contact at each offer level."""


@dataclass(frozen=True)
class DecisionContext:
    """What a decision about one customer may depend on."""

    customer: ScoredCustomer
    allowed: ActionMask
    days_since_contact: float
    """Infinite if there was no contact."""
    contacts: int
    """Within the fatigue window."""
    offer_days_left: int
    """Days for which an accepted offer still has an effect, rounded up."""
    price: float
    """Shadow price of the budget: 1 unit of spend counts as 1 + price."""
    day: int
    """Day of the campaign that ends with the budget's calendar, from 0."""
    rules: Rules = RULES

    @cached_property
    def observation(self) -> tuple[float, ...]:
        """The features of `OBSERVATION`."""
        history = self.days_since_contact, self.offer_days_left, self.contacts
        return observation_of(self.customer, self.price, *history, self.rules)


class PolicyAction(NamedTuple):
    """A contact at an offer level, or no contact (level None)."""

    level: int | None
    expected_value: float
    """Money that the action is expected to gain over no contact."""
    retention_prob: float
    """Probability that the customer stays after this action."""
    propensity: float
    """Probability with which the policy took this action."""
    delay_days: int = 0
    """Days until the customer is reviewed without a new event; 0 means only at their next event."""
    action_probs: tuple[float, ...] = ()
    """Probability of no contact, then of contact at each offer level."""


class Policy(Protocol):
    name: str
    version: str

    def choose(self, context: DecisionContext) -> PolicyAction:
        """One of the allowed actions, and the probability with which it was sampled."""


class SampledAction(NamedTuple):
    level: int | None
    propensity: float
    action_probs: tuple[float, ...]


class Exploration(NamedTuple):
    """Samples from (1 − epsilon) · greedy + epsilon · exploration distribution: 0 is greedy, 1 always explores."""

    epsilon: float = 0.0

    def sample(self, event_id: str, greedy: int | None, explore: Callable[[], Probabilities]) -> SampledAction:
        """Sample a level, or None; `explore` is called only if epsilon is above 0.

        The event's id is the seed, so a repeated event samples the same action.
        """
        greedy_action = 0 if greedy is None else greedy + 1
        if not self.epsilon:
            return SampledAction(greedy, 1.0, ONE_HOT[greedy_action])
        probs = [self.epsilon * prob for prob in explore()]
        probs[greedy_action] += 1 - self.epsilon
        action = _sample(event_id, probs, greedy_action)
        return SampledAction(action - 1 if action else None, probs[action], tuple(probs))


GREEDY = Exploration()
ONE_HOT = [tuple(float(i == j) for j in range(1 + len(OFFERS))) for i in range(1 + len(OFFERS))]


def uniform(allowed: ActionMask) -> Probabilities:
    """The uniform distribution over no contact and the allowed levels."""
    mask = (True, *allowed.offers)
    return [is_allowed / sum(mask) for is_allowed in mask]


def _sample(event_id: str, probs: Probabilities, greedy: int) -> int:
    """Inverse transform sampling by the hash of the id; the greedy action if the probabilities sum to just below 1."""
    remaining = int.from_bytes(sha256(f"explore/{event_id}".encode()).digest()[:6]) / 2**48
    for action, prob in enumerate(probs):
        remaining -= prob
        if remaining < 0:
            return action
    return greedy

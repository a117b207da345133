"""What a policy is asked and answers, and how it explores: by drawing, as the event's id says, so a repeat repeats."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

from services.policy.customer.gate import ActionMask
from shared.messages import OFFERS, ScoredCustomer

Probabilities = Sequence[float]
"""Of the five actions: nothing, then contact at each offer level."""


class DecisionContext(NamedTuple):
    """What a policy looks at."""

    customer: ScoredCustomer
    allowed: ActionMask
    days_since_contact: float
    """Days since the last contact; endless if there was none."""
    contacts: int
    """Within the fatigue window."""
    offer_days_left: int
    """Days that an accepted offer still holds; one that has begun counts."""
    price: float
    """What a unit of the budget's money counts beyond itself."""
    day: int
    """Of the quarter that ends with the budget's calendar."""


class PolicyAction(NamedTuple):
    """A contact at an offer level, or no contact (level None)."""

    level: int | None
    expected_value: float
    retention: float
    propensity: float
    delay_days: int = 0
    """When to look at the customer again, of itself: 0 is at the next event."""
    action_probs: tuple[float, ...] = ()


class Policy(Protocol):
    name: str
    version: str

    def choose(self, situation: DecisionContext) -> PolicyAction:
        """One of the allowed actions, and the probability with which it was drawn from them."""


class SampledAction(NamedTuple):
    level: int | None
    propensity: float
    action_probs: tuple[float, ...]


class Exploration(NamedTuple):
    """Draws from (1 − share) · greedy + share · what to explore by: 0 is greedy, 1 is sampled."""

    epsilon: float = 0.0

    def sample(self, event_id: str, best: int | None, by: Callable[[], Probabilities]) -> SampledAction:
        """`best` is the greedy level; `by` is asked only where there is something to explore."""
        greedy = 0 if best is None else best + 1
        if not self.epsilon:
            return SampledAction(best, 1.0, ONE_HOT[greedy])
        probs = [self.epsilon * p for p in by()]
        probs[greedy] += 1 - self.epsilon
        taken = _drawn(event_id, probs, greedy)
        return SampledAction(taken - 1 if taken else None, probs[taken], tuple(probs))


GREEDY = Exploration()
ONE_HOT = [tuple(float(i == j) for j in range(1 + len(OFFERS))) for i in range(1 + len(OFFERS))]


def uniform(allowed: ActionMask) -> Probabilities:
    """Over nothing and each level that is allowed."""
    free = (True, *allowed.offers)
    return [is_free / sum(free) for is_free in free]


def _drawn(event_id: str, probs: Probabilities, greedy: int) -> int:
    """The action in whose share of [0, 1) the event's number lies; the greedy one where rounding left a gap."""
    left = int.from_bytes(sha256(f"explore/{event_id}".encode()).digest()[:6]) / 2**48
    for action, p in enumerate(probs):
        left -= p
        if left < 0:
            return action
    return greedy

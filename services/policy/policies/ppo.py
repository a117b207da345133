"""The trained policy: what its network prefers of what the gate allows."""

from math import exp, inf

import numpy as np

from services.policy.customer.gate import ActionMask
from services.policy.policies.base import GREEDY, DecisionContext, Exploration, PolicyAction, Probabilities
from services.policy.policies.network import Network
from services.policy.policies.observation import observation_of
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.scalar import value
from shared.messages import OFFERS

OFFER = slice(2, 2 + len(OFFERS))
"""Where the offers stand in what the network says: after no contact and contact, before the delays and the worth."""
DELAY = slice(OFFER.stop, -1)


class PPOPolicy:
    """Contacts where that is likelier than not, with the likeliest offer and delay. It explores by its own preference.

    The delay is always the likeliest: it is not part of what is drawn.
    """

    name = "ppo"

    def __init__(self, network: Network, exploration: Exploration = GREEDY, rules: Rules = RULES) -> None:
        self.version = network.manifest.version
        self._network, self._exploration, self._rules = network, exploration, rules

    def choose(self, situation: DecisionContext) -> PolicyAction:
        allowed = situation.allowed
        said = self._network(np.array(observation_of(situation, self._rules), np.float32)).tolist()
        waits = situation.customer.monthly_charges is not None
        level, delay = greedy_action(said, allowed, waits)
        drawn = self._exploration.sample(
            situation.customer.event_id, level, lambda: action_distribution(said, allowed, waits)
        )
        return PolicyAction(drawn.level, *value(situation, drawn.level), drawn.propensity, delay, drawn.action_probs)


def greedy_action(said: list[float], allowed: ActionMask, waits: bool) -> tuple[int | None, int]:
    """The level, or None for no contact, and the days of delay.

    Where it `waits`, a preferred offer that is not allowed is waited for, a day at least: the money may be free again
    tomorrow, and a lesser offer would use up a contact. Where the bill is not known it would wait for ever.
    """
    delays = said[DELAY]
    delay = delays.index(max(delays))
    no, yes, offers = said[0], said[1], said[OFFER]
    if yes <= no or not allowed.contact:
        return None, delay
    preferred = offers.index(max(offers))
    if allowed.offers[preferred]:
        return preferred, delay
    if waits:
        return None, max(delay, 1)
    return max((level for level, free in enumerate(allowed.offers) if free), key=offers.__getitem__), delay


def action_distribution(said: list[float], allowed: ActionMask, waits: bool) -> Probabilities:
    """Of nothing and of contact at each level; what is not allowed is masked or, where it `waits`, nothing instead."""
    if not allowed.contact:
        return [1.0, *(0.0 for _ in OFFERS)]
    contact = 1 / (1 + exp(said[0] - said[1]))
    counted = [logit if free or waits else -inf for logit, free in zip(said[OFFER], allowed.offers, strict=True)]
    weights = [exp(logit - max(counted)) for logit in counted]
    share = contact / sum(weights)
    offers = [share * weight if free else 0.0 for weight, free in zip(weights, allowed.offers, strict=True)]
    waited = share * sum(weight for weight, free in zip(weights, allowed.offers, strict=True) if not free)
    return [1 - contact + waited, *offers]

"""The trained policy: what its network prefers of what the gate allows."""

from math import exp, inf

import numpy as np

from services.policy.customer.gate import ActionMask
from services.policy.policies.base import GREEDY, DecisionContext, Exploration, PolicyAction, Probabilities
from services.policy.policies.network import CONTACT, DELAY, OFFER, Network
from services.policy.policies.observation import observation_of
from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.scalar import value
from shared.messages import OFFERS


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


def greedy_action(outputs: list[float], allowed: ActionMask, can_wait: bool) -> tuple[int | None, int]:
    """The likeliest offer level, or None for no contact, and the likeliest delay in days.

    If the likeliest level is masked and the policy `can_wait`, it makes no contact and looks again after a day at
    least: the budget may hold the offer tomorrow, and a lesser offer would use up a contact. If the bill is unknown
    it cannot wait, because the offer would stay masked; it then takes the likeliest level that is allowed.
    """
    delays = outputs[DELAY]
    delay = delays.index(max(delays))
    (no_contact, contact), offers = outputs[CONTACT], outputs[OFFER]
    if contact <= no_contact or not allowed.contact:
        return None, delay
    preferred = offers.index(max(offers))
    if allowed.offers[preferred]:
        return preferred, delay
    if can_wait:
        return None, max(delay, 1)
    return max((level for level, is_allowed in enumerate(allowed.offers) if is_allowed), key=offers.__getitem__), delay


def action_distribution(outputs: list[float], allowed: ActionMask, can_wait: bool) -> Probabilities:
    """Probabilities of no contact and of contact at each level, under the network.

    The probability of a masked level goes to no contact if the policy `can_wait`, and else to the other levels.
    """
    if not allowed.contact:
        return [1.0, *(0.0 for _ in OFFERS)]
    no_contact, contact = outputs[CONTACT]
    contact_prob = 1 / (1 + exp(no_contact - contact))
    logits = [
        logit if is_allowed or can_wait else -inf
        for logit, is_allowed in zip(outputs[OFFER], allowed.offers, strict=True)
    ]
    weights = [exp(logit - max(logits)) for logit in logits]
    scale = contact_prob / sum(weights)
    probs = [scale * weight if is_allowed else 0.0 for weight, is_allowed in zip(weights, allowed.offers, strict=True)]
    waiting = scale * sum(weight for weight, is_allowed in zip(weights, allowed.offers, strict=True) if not is_allowed)
    return [1 - contact_prob + waiting, *probs]

"""The trained policy: the likeliest action of its network that the gate allows."""

from math import exp, inf

import numpy as np

from services.policy.customer.gate import ActionMask
from services.policy.policies.action_value import action_value, unless_it_loses
from services.policy.policies.base import GREEDY, DecisionContext, Exploration, PolicyAction, Probabilities
from services.policy.policies.network import CONTACT, DELAY, OFFER, Network
from shared.messages import OFFERS


class PPOPolicy:
    """Contacts if that is likelier than not, with the likeliest offer and delay, unless that is expected to lose.

    It explores by sampling its network, so an exploring contact may lose. The delay is always the likeliest; it is not
    sampled.
    """

    name = "ppo"

    def __init__(self, network: Network, exploration: Exploration = GREEDY) -> None:
        self.version = network.manifest.version
        self._network, self._exploration = network, exploration

    def choose(self, context: DecisionContext) -> PolicyAction:
        customer, allowed = context.customer, context.allowed
        outputs = self._network(np.array(context.observation, np.float32)).tolist()
        can_wait = customer.monthly_charges is not None
        greedy, delay = greedy_action(outputs, allowed, can_wait)
        level, propensity, action_probs = self._exploration.sample(
            customer.event_id, unless_it_loses(context, greedy), lambda: action_distribution(outputs, allowed, can_wait)
        )
        return PolicyAction(level, *action_value(context, level), propensity, delay, action_probs)


def greedy_action(outputs: list[float], allowed: ActionMask, can_wait: bool) -> tuple[int | None, int]:
    """The likeliest offer level, or None for no contact, and the likeliest delay in days.

    If the likeliest level is masked and the policy `can_wait`, it makes no contact and reviews the customer after a day
    at least: the budget may cover the offer tomorrow, and a lower offer would use up a contact. If the bill is unknown
    the policy cannot wait, because the offer would stay masked; it then takes the likeliest level that is allowed.
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
    masked_prob = scale * sum(
        weight for weight, is_allowed in zip(weights, allowed.offers, strict=True) if not is_allowed
    )
    return [1 - contact_prob + masked_prob, *probs]

"""The trained policy: what its network prefers of what the gate allows."""

from math import exp, inf, log1p

import numpy as np

from services.policy.gate import Allowed
from services.policy.index import RULES, Rules
from services.policy.network import Network
from services.policy.observation import LONG
from services.policy.policy import GREEDILY, Choice, Exploration, Probabilities, Situation
from services.policy.value import value
from services.policy.world import WORLD, World
from shared.messages import OFFERS

OFFER = slice(2, 2 + len(OFFERS))
"""Where the offers stand in what the network says: after no contact and contact, before the delays and the worth."""
DELAY = slice(OFFER.stop, -1)


class PPOPolicy:
    """Contacts where that is likelier than not, with the likeliest offer and delay. It explores by its own preference.

    The delay is always the likeliest: it is not part of what is drawn.
    """

    name = "ppo"

    def __init__(self, network: Network, exploration: Exploration = GREEDILY, rules: Rules = RULES) -> None:
        self.version = network.manifest.version
        self._network, self._exploration, self._rules = network, exploration, rules

    def choose(self, situation: Situation) -> Choice:
        allowed = situation.allowed
        said = self._network(np.array(observed(situation, self._rules), np.float32)).tolist()
        level, delay = greedy(said, allowed, situation.customer.monthly_charges is not None)
        event_id = situation.customer.event_id
        drawn = self._exploration.draw(event_id, level, lambda: distribution(said, allowed))
        return Choice(drawn.level, *value(situation, drawn.level), drawn.propensity, delay, drawn.action_probs)


def greedy(said: list[float], allowed: Allowed, waits: bool) -> tuple[int | None, int]:
    """The level, or None for no contact, and the days of delay.

    Where it `waits`, a preferred offer that is not allowed is waited for: the money may be free again tomorrow, and a
    lesser offer would use up a contact. Where the bill is not known it would wait for ever.
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
        return None, delay
    return max((level for level, free in enumerate(allowed.offers) if free), key=offers.__getitem__), delay


def distribution(said: list[float], allowed: Allowed) -> Probabilities:
    """Of nothing and of contact at each level, what is not allowed masked."""
    if not allowed.contact:
        return [1.0, *(0.0 for _ in OFFERS)]
    contact = 1 / (1 + exp(said[0] - said[1]))
    masked = [logit if free else -inf for logit, free in zip(said[OFFER], allowed.offers, strict=True)]
    weights = [exp(logit - max(masked)) for logit in masked]
    share = contact / sum(weights)
    return [1 - contact, *(share * weight for weight in weights)]


def observed(situation: Situation, rules: Rules = RULES, world: World = WORLD) -> tuple[float, ...]:
    """`services.policy.observation.observe` of one, in plain numbers; a test holds them equal."""
    customer, since = situation.customer, situation.since
    lowered = world.effect if situation.held > 0 else 0.0
    risk = min(max(customer.churn_risk, 1e-6), 1 - 1e-6)
    return (
        1 - exp(log1p(-risk) * (1 - lowered)),
        *customer.accept_probs,
        1 / (1 + situation.price),
        min(since, LONG) / LONG,
        float(since < rules.cooldown or situation.held > 0),
        situation.contacts / rules.cap,
    )

"""What the network sees of a customer. Training and serving both ask here, so they cannot disagree."""

import numpy as np

from services.policy.gate import cooled
from services.policy.index import Rules
from services.policy.world import Numbers, World
from shared.messages import OFFERS

OBSERVATION = (
    "churn_risk",
    *(f"accept_prob_{level}" for level in range(len(OFFERS))),
    "budget_remaining",
    "days_since_contact",
    "cooldown_active",
    "fatigue_count",
)
"""In order; all from 0 to 1."""
LONG = 30
"""Days since a contact that count as long ago."""


def observe(
    out: Numbers,
    hazard: Numbers,
    accept: Numbers,
    price: Numbers,
    since: Numbers,
    held: Numbers,
    contacts: Numbers,
    world: World,
    rules: Rules,
) -> Numbers:
    """Write [9, n] into `out`: facts of n customers, each an array [n]; `accept` is [levels, n].

    churn_risk is that of the hazard as it is now: an offer that holds has lowered it. budget_remaining is how plentiful
    money is, 1 / (1 + its price): 1 when it is free, 0 when there is none.
    """
    as_it_is = np.where(held > 0, np.float32(1 - world.effect), np.float32(1))
    np.exp(hazard * as_it_is * -world.risk_days, out=out[0])
    np.subtract(1, out[0], out=out[0])
    out[1:5] = accept
    out[5] = 1 / (1 + price)
    np.minimum(since, LONG, out=out[6])
    out[6] /= LONG
    out[7] = ~(cooled(since, rules.cooldown) & (held <= 0))
    out[8] = contacts / rules.cap
    return out

"""What `services.policy.response.model` says of one customer, in plain numbers: NumPy takes ten times as long for one.

Tests hold each equal to its array form.
"""

from math import exp, expm1, log1p
from typing import NamedTuple

from services.policy.policies.base import Situation
from services.policy.policies.one_step import bill
from services.policy.response.model import MONTH, WORLD, World
from shared.messages import OFFERS


class Value(NamedTuple):
    gain: float
    """Money that an action is expected to gain over doing nothing, if it is the last."""
    retention: float
    """Probability that the customer is still there when the churn risk has come true or not."""


def value(situation: Situation, level: int | None, world: World = WORLD) -> Value:
    """Of a contact at `level`, or of none."""
    customer, held, contacts = situation.customer, situation.held, situation.contacts
    hazard = hazard_of(customer.churn_risk, world)
    if level is None:
        annoyed = max(world.annoyed_days - situation.since, 0)
        return Value(0.0, exp(-hazard * strain(world.risk_days, held, annoyed, contacts, world)))
    accept, pays, longer = customer.accept_probs[level], bill(customer), max(held, world.held_days[level])
    days, annoyed = world.value_days - situation.day, world.annoyed_days
    before = worth(hazard, days, held, 0, 0, world)
    declined = worth(hazard, days, held, annoyed, contacts + 1, world)
    accepted = worth(hazard, days, longer, annoyed, contacts + 1, world)
    months = accept * accepted + (1 - accept) * declined - before - accept * OFFERS[level] / 100
    stays_declined = exp(-hazard * strain(world.risk_days, held, annoyed, contacts + 1, world))
    stays_accepted = exp(-hazard * strain(world.risk_days, longer, annoyed, contacts + 1, world))
    return Value(pays * months - world.contact_cost, accept * stays_accepted + (1 - accept) * stays_declined)


def hazard_of(risk: float, world: World = WORLD) -> float:
    return -log1p(-min(max(risk, 1e-6), 1 - 1e-6)) / world.risk_days


def strain(days: float, held: float, annoyed: float, contacts: int, world: World = WORLD) -> float:
    return days - world.effect * min(days, held) + world.annoyance * contacts * min(days, annoyed)


def worth(hazard: float, days: int, held: int, annoyed: int, contacts: int, world: World = WORLD) -> float:
    """In months of the bill."""
    total, start, gone = 0.0, 0, 0.0
    for end in (min(held, annoyed), max(held, annoyed), days):
        end = min(end, days)
        if end > start:
            until = strain(end, held, annoyed, contacts, world) * hazard
            rate = max((until - gone) / (end - start), 1e-12)
            total += exp(-gone) * expm1(-rate * (end - start)) / expm1(-rate)
            start, gone = end, until
    return total / MONTH

"""What a contact is assumed to change. No public data identify it: each effect is a named parameter with its reason.

A customer's hazard h is so that their churn risk comes true over `risk_days`. On a day it is h times

    1 − effect·[held] + annoyance·contacts·[annoyed]

held: for `held_days` of its level after an accepted offer; annoyed: for `annoyed_days` after each contact, by how often
they were contacted lately. A customer who is there when a day begins pays a thirtieth of the bill for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.messages import OFFERS

Floats = NDArray[np.float64]
Numbers = Any
"""A number or an array: the same formulas serve one customer and many, and NumPy has no type for both."""

MONTH = 30
"""Days a bill is for."""
DISCOUNTS = np.array(OFFERS) / 100
"""Of the next bill, by level."""


class ResponseModel(NamedTuple):
    risk_days: int = 90
    """In which the scorer's churn risk comes true. The Telco label bears no dates; a campaign lasts a quarter."""
    value_days: int = 365
    """Bills that count, from the first day of the quarter: a year, as contracts and plans of businesses run."""
    effect: float = 0.5
    """Share of the hazard that an accepted offer removes while it holds. Between nothing and all."""
    effect_days: tuple[int, ...] = (15, 35, 50, 60)
    """How long an accepted offer holds, by level: a kind word two weeks, 15 % two bills; each percent adds less."""
    fatigue: float = 0.05
    """Share of the hazard that a contact adds for each contact of the quarter so far: the first is hardly noticed."""
    fatigue_days: int = 14
    """For how long; not longer than the cooldown, so that it is over when the next contact may come."""
    contact_cost: float = 0.05
    """Money to send a message: a text. Not of the budget, which pays for discounts."""


RESPONSE_MODEL = ResponseModel()


@dataclass(frozen=True)
class Customers:
    """What decides a customer's worth."""

    hazard: Floats
    """[n], a day."""
    accept: Floats
    """[n, levels], P(accept)."""
    bill: Floats
    """[n], money a month."""

    def __iter__(self) -> Iterator[Floats]:
        yield from (self.hazard, self.accept, self.bill)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Customers":
        return Customers(*(fact[rows] for fact in self))


def daily_hazard(risk: Floats, response_model: ResponseModel = RESPONSE_MODEL) -> Floats:
    """A day's hazard of a churn risk; never quite 0 or endless."""
    return -np.log1p(-np.clip(risk, 1e-6, 1 - 1e-6)) / response_model.risk_days


def hazard_exposure(
    days: Numbers,
    offer_days_left: Numbers,
    fatigue_days_left: Numbers,
    contacts: Numbers,
    response_model: ResponseModel = RESPONSE_MODEL,
) -> Numbers:
    """Over the next `days`, the days of plain hazard that their hazard amounts to."""
    return (
        days
        - response_model.effect * np.minimum(days, offer_days_left)
        + response_model.fatigue * contacts * np.minimum(days, fatigue_days_left)
    )


def expected_revenue(
    customers: Customers,
    days: Numbers,
    offer_days_left: Numbers,
    fatigue_days_left: Numbers,
    contacts: Numbers,
    response_model: ResponseModel = RESPONSE_MODEL,
) -> Floats:
    """Money a customer pays within `days` if nobody contacts them any more: sum over days of P(still there).

    The hazard is the same throughout up to three spells, so each is a geometric sum.
    """
    ends = np.minimum(offer_days_left, fatigue_days_left), np.maximum(offer_days_left, fatigue_days_left), days
    total: Floats = np.zeros(())
    start: Numbers = 0
    gone: Numbers = 0.0
    for end in ends:
        end = np.minimum(end, days)
        until = hazard_exposure(end, offer_days_left, fatigue_days_left, contacts, response_model) * customers.hazard
        rate = (until - gone) / np.maximum(end - start, 1)
        total = total + np.exp(-gone) * _geometric(rate, end - start)
        start, gone = end, until
    return total * customers.bill / MONTH


def _geometric(rate: Numbers, days: Numbers) -> Numbers:
    """1 + q + … + q^(days − 1), where q = exp(−rate)."""
    rate = np.maximum(rate, 1e-12)
    return np.expm1(-rate * days) / np.expm1(-rate)


def incremental_value(
    customers: Customers,
    level: NDArray[np.intp],
    days: Numbers,
    offer_days_left: Numbers,
    contacts: Numbers,
    response_model: ResponseModel = RESPONSE_MODEL,
    fatigue_days_left: Numbers = 0,
) -> tuple[Floats, Floats]:
    """Money that a contact at `level` [n] is expected to gain over doing nothing, if it is the last; and to cost.

    The cost is of the discount alone, and the gain is after it. Where the gate is kept nobody is annoyed when it comes.
    """
    before = expected_revenue(customers, days, offer_days_left, fatigue_days_left, contacts, response_model)
    declined = expected_revenue(
        customers, days, offer_days_left, response_model.fatigue_days, contacts + 1, response_model
    )
    longer = np.maximum(offer_days_left, np.array(response_model.effect_days)[level])
    accepted = expected_revenue(customers, days, longer, response_model.fatigue_days, contacts + 1, response_model)
    accept = np.take_along_axis(customers.accept, level[:, None], axis=1)[:, 0]
    cost = accept * customers.bill * DISCOUNTS[level]
    return accept * accepted + (1 - accept) * declined - before - cost - response_model.contact_cost, cost

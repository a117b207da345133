"""The response model: the assumed effect of a contact on churn. Each effect is a named parameter with its reason,
because no public data identify it.

The daily hazard h of a customer is such that their churn risk comes true over `risk_days`. On any one day it is

    h · (1 − effect · [offer] + fatigue · contacts · [fatigued])

where [offer] is 1 for the `effect_days` of its level after an accepted offer, and [fatigued] is 1 for `fatigue_days`
after each contact; `contacts` are those of the campaign so far. Effect and fatigue are shares of the hazard, without
unit. A customer who has not left when a day begins pays 1/30 of the monthly bill for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.messages import OFFERS

Floats = NDArray[np.float64]
Numbers = Any
"""A number or an array: the same formulas hold for one customer and for many, and NumPy has no type for both."""

MONTH = 30
"""Days that a bill is for."""
DISCOUNTS = np.array(OFFERS) / 100
"""Share of the next bill, by offer level."""


class ResponseModel(NamedTuple):
    risk_days: int = 90
    """Days over which the scorer's churn risk is spread: those of a campaign. The Telco label is churn within a month,
    but its data have no dates to confirm that; `training.scorer.outcome_log` measures drift over these 30 days."""
    value_days: int = 365
    """Days from the first day of the campaign whose revenue counts: a year, as for contracts and budgets."""
    effect: float = 0.5
    """Share of the hazard that an accepted offer removes for its `effect_days`: midway between none (0) and all (1)."""
    effect_days: tuple[int, ...] = (15, 35, 50, 60)
    """Days that an accepted offer has an effect, by level: two weeks without a discount, two bills at 15 %, concave."""
    fatigue: float = 0.05
    """Share of the hazard that a contact adds, per contact in the campaign so far: the first adds least."""
    fatigue_days: int = 14
    """Days that a contact adds to the hazard; not longer than the cooldown, so it ends before the next contact."""
    contact_cost: float = 0.05
    """Money to send one text message. It is not paid from the budget, which is for discounts."""


RESPONSE_MODEL = ResponseModel()


@dataclass(frozen=True)
class Customers:
    """Facts of n customers that determine their value."""

    hazard: Floats
    """[n], per day."""
    accept: Floats
    """[n, levels], probability that an offer is accepted."""
    bill: Floats
    """[n], money per month."""

    def __iter__(self) -> Iterator[Floats]:
        yield from (self.hazard, self.accept, self.bill)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Customers":
        return Customers(*(fact[rows] for fact in self))


def daily_hazard(churn_risk: Floats, response_model: ResponseModel = RESPONSE_MODEL) -> Floats:
    """Constant hazard per day at which the churn risk comes true over `risk_days`; never 0 or infinite."""
    return -np.log1p(-np.clip(churn_risk, 1e-6, 1 - 1e-6)) / response_model.risk_days


def hazard_exposure(
    days: Numbers,
    offer_days_left: Numbers,
    fatigue_days_left: Numbers,
    contacts: Numbers,
    response_model: ResponseModel = RESPONSE_MODEL,
) -> Numbers:
    """Relative hazard summed over the next `days`: the cumulative hazard is the daily hazard times this."""
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
    """Money [n] that customers are expected to pay within `days` without further contact.

    It is the bill times the sum over days of the probability of staying. The hazard is constant in each of at most
    three spells, so each is a geometric sum.
    """
    ends = np.minimum(offer_days_left, fatigue_days_left), np.maximum(offer_days_left, fatigue_days_left), days
    total: Floats = np.zeros(())
    start: Numbers = 0
    cumulative_hazard: Numbers = 0.0  # at the start of the spell
    for end in ends:
        end = np.minimum(end, days)
        exposure = hazard_exposure(end, offer_days_left, fatigue_days_left, contacts, response_model)
        hazard_at_end = exposure * customers.hazard
        rate = (hazard_at_end - cumulative_hazard) / np.maximum(end - start, 1)
        total = total + np.exp(-cumulative_hazard) * _geometric_sum(rate, end - start)
        start, cumulative_hazard = end, hazard_at_end
    return total * customers.bill / MONTH


def _geometric_sum(rate: Numbers, days: Numbers) -> Numbers:
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
    """Money [n] that a contact at `level` [n] is expected to gain over no contact, if it is the last; and its cost [n].

    The cost is the expected discount, and the gain is net of it. `fatigue_days_left` is 0 for contacts that the gate
    allows.
    """
    without_contact = expected_revenue(customers, days, offer_days_left, fatigue_days_left, contacts, response_model)
    declined = expected_revenue(
        customers, days, offer_days_left, response_model.fatigue_days, contacts + 1, response_model
    )
    extended = np.maximum(offer_days_left, np.array(response_model.effect_days)[level])
    accepted = expected_revenue(customers, days, extended, response_model.fatigue_days, contacts + 1, response_model)
    accept_prob = np.take_along_axis(customers.accept, level[:, None], axis=1)[:, 0]
    cost = accept_prob * customers.bill * DISCOUNTS[level]
    return accept_prob * accepted + (
        1 - accept_prob
    ) * declined - without_contact - cost - response_model.contact_cost, cost

"""The monthly bill of a customer, and the cost of an offer."""

from functools import lru_cache
from math import ceil

from shared.messages import OFFERS, ScoredCustomer

TYPICAL_CHARGES = 64.76
"""Assumed monthly bill where it is unknown: the mean of the 7,043 Telco customers. Never used to cost an offer."""
MAX_USUAL_BILLS = 100
"""A bill of more than so many usual ones is not believed: it may be in cents."""


def monthly_bill(customer: ScoredCustomer) -> float:
    """Money a month; `TYPICAL_CHARGES` if it is unknown."""
    return TYPICAL_CHARGES if customer.monthly_charges is None else customer.monthly_charges


@lru_cache(maxsize=1024)
def offer_cost(level: int, monthly_charges: float | None) -> int | None:
    """Worst-case cost of an offer in cents: its percentage of the next bill. None if the bill is unknown."""
    if OFFERS[level] == 0:
        return 0
    return None if monthly_charges is None else ceil(round(monthly_charges * OFFERS[level], 6))


def max_offer_cost(customer: ScoredCustomer) -> int:
    """Worst-case cost of the highest offer in cents; 0 if the bill is unknown."""
    return offer_cost(len(OFFERS) - 1, customer.monthly_charges) or 0

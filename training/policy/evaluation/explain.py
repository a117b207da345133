"""Decisions on the first day of a campaign: whom the network contacts, compared with other rankings, and why."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from services.policy.policies.network import CONTACT, DELAY, OFFER, Network
from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL, Customers, incremental_value
from shared.messages import OFFERS
from training.policy.evaluation.policies import NUM_LEVELS
from training.policy.evaluation.sensitivity import optimal_levels
from training.policy.simulation.campaign import NO_CONTACT
from training.policy.simulation.dynamics import NEVER_CONTACTED


class FirstDay(NamedTuple):
    """Decisions about n customers who were never contacted, at one shadow price of the budget."""

    customers: Customers
    price: float
    values: np.ndarray
    """Expected incremental value of a single contact, by level [levels, n]; money."""
    costs: np.ndarray
    """Expected spend of that contact [levels, n]; money."""
    contact_probability: np.ndarray
    """The network's probability of a contact [n]."""
    ppo_level: np.ndarray
    """The network's most probable level [n]; NO_CONTACT if it prefers that, or if the contact is expected to lose."""
    delay_days: np.ndarray
    """The network's most probable delay [n]."""
    index_level: np.ndarray
    """Level of the dynamic program, which the index policy uses [n], or NO_CONTACT."""

    @property
    def churn_risk(self) -> np.ndarray:
        return -np.expm1(-self.customers.hazard * RESPONSE_MODEL.risk_days)


def first_day(network: Network, customers: Customers, price: float) -> FirstDay:
    """The decisions of the network and of the dynamic program."""
    n = len(customers.bill)
    by_level = [
        incremental_value(customers, np.full(n, level), RESPONSE_MODEL.value_days, 0, 0) for level in range(NUM_LEVELS)
    ]
    values, costs = (np.array(figures) for figures in zip(*by_level, strict=True))
    days_since_contact, zeros = np.full(n, NEVER_CONTACTED), np.zeros(n)
    facts = customers.hazard, customers.accept.T, price, days_since_contact, zeros, zeros
    observations = observe(np.empty((len(OBSERVATION), n), np.float32), *facts, RESPONSE_MODEL, RULES).T
    outputs = network(observations)
    contact, offer, delay = (outputs[:, head] for head in (CONTACT, OFFER, DELAY))
    preferred = offer.argmax(axis=1)
    contacts = (contact[:, 1] > contact[:, 0]) & (values[preferred, np.arange(n)] > 0)
    return FirstDay(
        customers,
        price,
        values,
        costs,
        contact_probability=1 / (1 + np.exp(contact[:, 0] - contact[:, 1])),
        ppo_level=np.where(contacts, preferred, NO_CONTACT),
        delay_days=delay.argmax(axis=1),
        index_level=optimal_levels(customers, price, RESPONSE_MODEL),
    )


class TargetGroup(NamedTuple):
    """Customers contacted once each."""

    contacts: int
    overlap: float
    """Share of them whom the network contacts too."""
    churn_risk: float
    """Mean churn risk."""
    incremental_value: float
    """Mean expected incremental value of a contact; money."""
    spend: float
    """Mean expected spend of a contact; money."""
    share_of_ppo: float
    """Their total incremental value, as a share of that of the network's contacts."""


def target_groups(day: FirstDay) -> dict[str, TargetGroup]:
    """The network's contacts, and those of simpler rankings: as many contacts, or the same expected spend.

    A ranking chooses no level: each customer gets the level with the most incremental value, the best case for it.
    """
    ppo, best_level = np.flatnonzero(day.ppo_level > NO_CONTACT), day.values.argmax(axis=0)
    spend, ppo_value = (figures[day.ppo_level[ppo], ppo].sum() for figures in (day.costs, day.values))

    def group(rows: np.ndarray, level: np.ndarray) -> TargetGroup:
        values, costs = day.values[level[rows], rows], day.costs[level[rows], rows]
        columns = np.isin(rows, ppo), day.churn_risk[rows], values, costs
        overlap, risk, value, cost = (float(column.mean()) for column in columns)
        return TargetGroup(len(rows), overlap, risk, value, cost, float(values.sum() / ppo_value))

    def within_spend(ranking: np.ndarray) -> np.ndarray:
        return ranking[np.cumsum(day.costs[best_level[ranking], ranking]) <= spend]

    by_risk, by_value = (np.argsort(-score, kind="stable") for score in (day.churn_risk, day.values.max(axis=0)))
    return {
        "ppo": group(ppo, day.ppo_level),
        "highest risk first, as many contacts": group(by_risk[: len(ppo)], best_level),
        "highest risk first, same spend": group(within_spend(by_risk), best_level),
        "highest incremental value first, same spend": group(within_spend(by_value), best_level),
    }


def decision_table(day: FirstDay, people: pd.DataFrame) -> pd.DataFrame:
    """A row per customer, in the order of `people`; money to the cent. A second `copy` has other bank facts."""
    decile = deciles(day.churn_risk)
    columns = {
        "customer_id": people["customer_id"].to_numpy(),
        "copy": people.groupby("customer_id").cumcount().to_numpy(),
        "churn_risk": day.churn_risk.round(4),
        "monthly_charges": day.customers.bill,
        **{f"accept_prob_{level}": day.customers.accept[:, level].round(4) for level in range(NUM_LEVELS)},
        "ppo": [offer_text(level) for level in day.ppo_level],
        "delay_days": day.delay_days,
        "index": [offer_text(level) for level in day.index_level],
        **{f"gain_{percent}": day.values[level].round(2) for level, percent in enumerate(OFFERS)},
        "why": [explanation(day, row, decile[row]) for row in range(len(people))],
    }
    return pd.DataFrame(columns)


def deciles(values: np.ndarray) -> np.ndarray:
    """Decile of each value [n], from 1, the highest, to 10."""
    rank = np.argsort(np.argsort(-values, kind="stable"), kind="stable")
    return 1 + rank * 10 // len(values)


def offer_text(level: int) -> str:
    return "no contact" if level == NO_CONTACT else f"{OFFERS[level]} %"


def explanation(day: FirstDay, row: int, decile: int) -> str:
    """One sentence about the decision. Values are those of a single contact, today."""
    ppo, index, values, costs = day.ppo_level[row], day.index_level[row], day.values[:, row], day.costs[:, row]
    net_values = values - day.price * costs
    level = int(net_values.argmax() if ppo == NO_CONTACT else ppo)
    accept = day.customers.accept[row, level]
    facts = (
        f"churn risk {day.churn_risk[row]:.0%} (decile {decile} of 10), "
        f"acceptance {accept:.1%} at a discount of {OFFERS[level]} %"
    )
    return f"{facts}: {_reason(ppo, values, net_values, costs, level, day.price)}{_index_policy(ppo, index)}."


def _reason(ppo: int, values: np.ndarray, net_values: np.ndarray, costs: np.ndarray, level: int, price: float) -> str:
    def spend_cost(level: int) -> str:
        cost = price * costs[level]
        return f"the {cost:.2f} that its expected spend of {costs[level]:.2f} costs at the budget's shadow price"

    if ppo != NO_CONTACT and costs[level] == 0:
        return f"a message adds {values[level]:.2f} in value and spends none of the budget"
    if ppo != NO_CONTACT:
        comparison = "more" if net_values[level] > 0 else "less"
        return f"a contact adds {values[level]:.2f} in value, {comparison} than {spend_cost(level)}"
    if values.max() <= 0:
        return "no contact adds value"
    if net_values[level] <= 0:
        level = int(values.argmax())
        return f"the best contact adds {values[level]:.2f} in value, less than {spend_cost(level)}"
    value = f"{values[level]:.2f} in value for an expected spend of {costs[level]:.2f}"
    return f"a contact now would add {value}, but the network waits"


def _index_policy(ppo: int, index: int) -> str:
    if ppo == index:
        return "; the index policy decides the same"
    if index == NO_CONTACT:
        return "; the index policy would wait"
    offer = f"offer {OFFERS[index]} %" if OFFERS[index] else "send a message without a discount"
    return f"; the index policy would {offer}"

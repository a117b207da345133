"""Decisions of a fresh day, at one price of money: whom a policy contacts, beside highest risk first, and why."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from services.policy.policies.network import CONTACT, DELAY, OFFER, Network
from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL, Customers, incremental_value
from shared.messages import OFFERS
from training.policy.evaluation.policies import NUM_LEVELS
from training.policy.evaluation.sensitivity import optimum
from training.policy.simulation.campaign import NO_CONTACT
from training.policy.simulation.dynamics import NEVER_CONTACTED


class Day(NamedTuple):
    """The customers on a day on which nobody was contacted yet. Arrays are [n] or [levels, n]."""

    customers: Customers
    price: float
    gains: np.ndarray
    """Money that a contact is expected to gain over doing nothing, if it is the last."""
    costs: np.ndarray
    probability: np.ndarray
    """With which the network contacts."""
    ppo: np.ndarray
    """Its likeliest level, or NOTHING."""
    delay: np.ndarray
    optimum: np.ndarray
    """What the dynamic program, and so the index policy, would do."""

    @property
    def risk(self) -> np.ndarray:
        return -np.expm1(-self.customers.hazard * RESPONSE_MODEL.risk_days)


def day(network: Network, customers: Customers, price: float) -> Day:
    n = len(customers.bill)
    each = [
        incremental_value(customers, np.full(n, level), RESPONSE_MODEL.value_days, 0, 0) for level in range(NUM_LEVELS)
    ]
    out = np.empty((len(OBSERVATION), n), np.float32)
    days_since_contact, nothing = np.full(n, NEVER_CONTACTED), np.zeros(n)
    seen = observe(
        out, customers.hazard, customers.accept.T, price, days_since_contact, nothing, nothing, RESPONSE_MODEL, RULES
    ).T
    outputs = network(seen)
    contact, offer, delay = (outputs[:, head] for head in (CONTACT, OFFER, DELAY))
    probability = 1 / (1 + np.exp(contact[:, 0] - contact[:, 1]))
    ppo = np.where(contact[:, 1] > contact[:, 0], offer.argmax(axis=1), NO_CONTACT)
    gains, costs = (np.array(part) for part in zip(*each, strict=True))
    best = optimum(customers, price, RESPONSE_MODEL)
    return Day(customers, price, gains, costs, probability, ppo, delay.argmax(axis=1), best)


class Target(NamedTuple):
    """Some customers, each contacted once; means are of a contact."""

    contacts: int
    overlap: float
    """Share of them whom the network contacts."""
    risk: float
    gain: float
    """Money."""
    cost: float
    of_ppo: float
    """All that they gain, as a share of what those gain whom the network contacts."""


def targets(found: Day) -> dict[str, Target]:
    """Whom the network contacts, and other orders of the customers: as many of them, or for the same money.

    An order names no level, so each is offered what gains most of them: the best that such an order can do.
    """
    ppo, best = np.flatnonzero(found.ppo > NO_CONTACT), found.gains.argmax(axis=0)
    spend, total = (money[found.ppo[ppo], ppo].sum() for money in (found.costs, found.gains))

    def target(who: np.ndarray, level: np.ndarray) -> Target:
        gains, costs = found.gains[level[who], who], found.costs[level[who], who]
        overlap, risk, gain, cost = (float(x.mean()) for x in (np.isin(who, ppo), found.risk[who], gains, costs))
        return Target(len(who), overlap, risk, gain, cost, float(gains.sum() / total))

    def paid(order: np.ndarray) -> np.ndarray:
        return order[np.cumsum(found.costs[best[order], order]) <= spend]

    by_risk, by_gain = (np.argsort(-score, kind="stable") for score in (found.risk, found.gains.max(axis=0)))
    return {
        "ppo": target(ppo, found.ppo),
        "highest risk first, as many": target(by_risk[: len(ppo)], best),
        "highest risk first, for the same money": target(paid(by_risk), best),
        "most gain first, for the same money": target(paid(by_gain), best),
    }


def decisions(found: Day, people: pd.DataFrame) -> pd.DataFrame:
    """A row a customer, in the order of `people`; money to the cent. A `copy` of one has other lent facts."""
    tenth = tenths(found.risk)
    rows = {
        "customer_id": people["customer_id"].to_numpy(),
        "copy": people.groupby("customer_id").cumcount().to_numpy(),
        "churn_risk": found.risk.round(4),
        "monthly_charges": found.customers.bill,
        **{f"accept_prob_{level}": found.customers.accept[:, level].round(4) for level in range(NUM_LEVELS)},
        "ppo": [said(level) for level in found.ppo],
        "delay_days": found.delay,
        "index": [said(level) for level in found.optimum],
        **{f"gain_{percent}": found.gains[level].round(2) for level, percent in enumerate(OFFERS)},
        "why": [why(found, who, tenth[who]) for who in range(len(people))],
    }
    return pd.DataFrame(rows)


def tenths(values: np.ndarray) -> np.ndarray:
    """[n], from 1, the highest, to 10."""
    rank = np.argsort(np.argsort(-values, kind="stable"), kind="stable")
    return 1 + rank * 10 // len(values)


def said(level: int) -> str:
    return "no contact" if level == NO_CONTACT else f"{OFFERS[level]} %"


def why(found: Day, who: int, tenth: int) -> str:
    """One sentence; what is said of worth is the one-contact gain, and of waiting the dynamic program's."""
    ppo, index, gains, costs = found.ppo[who], found.optimum[who], found.gains[:, who], found.costs[:, who]
    priced = gains - found.price * costs
    level = int(priced.argmax() if ppo == NO_CONTACT else ppo)
    accept = found.customers.accept[who, level]
    facts = f"risk {found.risk[who]:.0%}, tenth {tenth} of 10; P(accept) {accept:.1%} at {OFFERS[level]} % off"
    return f"{facts}: {_reason(ppo, gains, priced, costs, level, found.price)}{_other(ppo, index)}."


def _reason(ppo: int, gains: np.ndarray, priced: np.ndarray, costs: np.ndarray, level: int, price: float) -> str:
    worth = f"{gains[level]:.2f} for {costs[level]:.2f} of the budget"
    if ppo != NO_CONTACT and costs[level] == 0:
        return f"a message gains {gains[level]:.2f} and costs nothing of the budget"
    if ppo != NO_CONTACT:
        good = "above" if priced[level] > 0 else "below"
        return f"a contact gains {worth}, {good} its price of {price * costs[level]:.2f}"
    if gains.max() <= 0:
        return "a message would cost more than it saves"
    if priced[level] <= 0:
        level = int(gains.argmax())
        dear = f"{costs[level]:.2f} of the budget, whose price is {price * costs[level]:.2f}"
        return f"the best contact gains {gains[level]:.2f} for {dear}"
    return f"a contact now would gain {worth}, but it waits"


def _other(ppo: int, index: int) -> str:
    if ppo == index:
        return "; the index policy decides the same"
    return (
        "; the index policy would wait" if index == NO_CONTACT else f"; the index policy would offer {OFFERS[index]} %"
    )

"""Policies to compare: baselines, the index policy, and the network; each asked about many customers at once."""

import numpy as np

from services.policy.policies.network import CONTACT, DELAY, OFFER, Network
from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, ResponseModel, incremental_value
from training.policy.simulation.campaign import CENTS, NOTHING, CampaignSimulator, Choices

LEVELS = len(DISCOUNTS)
PRICES = np.expm1(np.linspace(0, np.log(12), 16))
PLANNED, UNLIMITED = 7, 1e12
"""The seed of the quarter that is planned with, and its budget."""


def daily(level: np.ndarray, urgency: np.ndarray | None = None) -> Choices:
    """They are decided about every day."""
    return Choices(level, np.zeros(len(level), dtype=int), urgency)


class Never:
    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        return daily(np.full(len(who), NOTHING))


class RandomLegal:
    """Nothing or any level, each as likely as the other."""

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        return daily(quarter.rng.integers(NOTHING, LEVELS, size=len(who)))


class TopRisk:
    """Those at the highest risk first, with the highest discount, until the money is gone."""

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        return daily(_paid_for(quarter, who, np.full(len(who), LEVELS - 1)), quarter.customers.hazard[who])


class Threshold:
    """Where risk · P(accept) · bill is above a threshold, at one level."""

    def __init__(self, threshold: float, level: int) -> None:
        self.threshold, self.level = threshold, level

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        hazard, accept, bill = quarter.customers[who]
        risk = -np.expm1(-hazard * quarter.response_model.risk_days)
        score = risk * accept[:, self.level] * bill
        return daily(_paid_for(quarter, who, np.where(score > self.threshold, self.level, NOTHING)))


class Myopic:
    """The discount that gains most for its money at once; who gains most for it first, until the money is gone."""

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        gains, costs = gains_of(quarter, who)
        ratio = np.where(gains[1:] > 0, gains[1:] / np.maximum(costs[1:], 1e-9), 0)
        level = np.where(ratio.max(axis=0) > 0, 1 + ratio.argmax(axis=0), np.where(gains[0] > 0, 0, NOTHING))
        return daily(_paid_for(quarter, who, level), ratio.max(axis=0))


class OneStep:
    """The service's `baseline`."""

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        hazard, accept, bill = quarter.customers[who]
        risk = -np.expm1(-hazard * quarter.response_model.risk_days)
        value = (
            accept * bill[:, None] * (risk[:, None] * RESPONSE_MODEL.effect - DISCOUNTS) - RESPONSE_MODEL.contact_cost
        )
        return daily(_paid_for(quarter, who, np.where(value.max(axis=1) > 0, value.argmax(axis=1), NOTHING)))


class Index:
    """The dynamic program at a price that is solved again each day for the money and the customers there are.

    The dual of what is left: at which of `prices` is the sum of what customers are worth from here, and price · funds,
    the lowest?
    """

    def __init__(
        self,
        customers: Customers,
        prices: np.ndarray,
        resolve: bool = True,
        response_model: ResponseModel = RESPONSE_MODEL,
    ) -> None:
        """`customers` are those of the quarter, once each; without `resolve` the first price is kept."""
        self.prices, self.resolve = prices, resolve
        problem = DynamicProgram(customers, response_model)
        rules = problem.rules
        shape = (len(prices), rules.quarter + problem.longest_effect + 1, len(customers.bill), rules.cap + 1)
        self.best = np.zeros(shape, dtype=np.float32)
        self.level = np.full((len(prices), rules.quarter, len(customers.bill), rules.cap), NOTHING, dtype=np.int8)
        for number, price in enumerate(prices):
            for stage in problem.solve(price):
                self.best[number, stage.day, :, :-1] = stage.best
                better = stage.contact.max(axis=0) > stage.wait
                self.level[number, stage.day] = np.where(better, stage.contact.argmax(axis=0), NOTHING)

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        if self.resolve or quarter.day == 0:
            self.number = self._price(quarter)
        quarter.account.prices.append(float(self.prices[self.number]))
        contacts = np.minimum(quarter.contacts[who].astype(int), quarter.rules.cap - 1)
        return daily(self.level[self.number, quarter.day, quarter.kind[who], contacts].astype(int))

    def _price(self, quarter: CampaignSimulator) -> int:
        """Which of the prices is the dual's."""
        active = np.flatnonzero(quarter.active)
        wait = (
            np.maximum(quarter.rules.cooldown - quarter.days_since_contact[active], quarter.offer_days_left[active])
            .clip(0)
            .astype(int)
        )
        kind, contacts = quarter.kind[active], quarter.contacts[active].astype(int)
        worth = self.best[:, quarter.day + wait, kind, contacts].sum(axis=1, dtype=float)
        return int((worth + self.prices * quarter.funds / CENTS).argmin())


def gains_of(quarter: CampaignSimulator, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a contact gains at once, and costs, expected: each [levels, len(who)]."""
    left, offer_days_left, contacts = (
        quarter.response_model.value_days - quarter.day,
        quarter.offer_days_left[who],
        quarter.contacts[who],
    )
    each = [
        incremental_value(
            quarter.customers[who], np.full(len(who), level), left, offer_days_left, contacts, quarter.response_model
        )
        for level in range(LEVELS)
    ]
    return np.array([g for g, _ in each]), np.array([cost for _, cost in each])


def _paid_for(quarter: CampaignSimulator, who: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Without offers that the funds do not hold; they would be refused."""
    cost = quarter.costs[who, np.maximum(level, 0)]
    return np.where(cost <= quarter.funds, level, NOTHING)


class Learned:
    """The service's network, greedy or sampled. Money has one price, or that at which a plan spends what is left."""

    def __init__(self, network: Network, price: "float | Plan", greedy: bool = True) -> None:
        self.network, self.price, self.greedy = network, price, greedy

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> Choices:
        price = self.price.price(quarter) if isinstance(self.price, Plan) else self.price
        quarter.account.prices.append(price)
        outputs = self.network(_see(quarter, who, price))
        heads = [outputs[:, head] for head in (CONTACT, OFFER, DELAY)]
        if not self.greedy:
            heads = [head + quarter.rng.gumbel(size=head.shape).astype(np.float32) for head in heads]
        contact, level, delay = (head.argmax(axis=1) for head in heads)
        return Choices(np.where(contact > 0, level, NOTHING), delay)


class Plan:
    """What the network goes on to spend from each day on, by the price of money: simulated, for these customers."""

    def __init__(self, network: Network, customers: Customers, greedy: bool = True) -> None:
        quarter = CampaignSimulator(customers, 2, seed=PLANNED)
        paths = [quarter.run(Learned(network, price, greedy=greedy), UNLIMITED).path for price in PRICES]
        spent = np.column_stack([np.zeros(len(PRICES)), np.array(paths)]) / quarter.n
        to_come = (spent[:, -1:] - spent)[::-1]
        self._to_come = np.maximum.accumulate(to_come, axis=0)
        """[prices, dearest first; days], money a customer; it never falls as money gets cheaper."""

    def price(self, quarter: CampaignSimulator) -> float:
        """That spends just what is left by the end."""
        return float(np.interp(quarter.funds / CENTS / quarter.n, self._to_come[:, quarter.day], PRICES[::-1]))


def _see(quarter: CampaignSimulator, who: np.ndarray, price: float) -> np.ndarray:
    hazard, accept, _ = quarter.customers[who]
    state = price, quarter.days_since_contact[who], quarter.offer_days_left[who], quarter.contacts[who]
    out = np.empty((len(OBSERVATION), len(who)), np.float32)
    return observe(out, hazard, accept.T, *state, quarter.response_model, quarter.rules).T

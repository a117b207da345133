"""Policies for the campaign simulator: the baselines, the index policy and the trained network."""

from collections.abc import Callable

import numpy as np

from services.policy.policies.network import CONTACT, DELAY, OFFER, Floats
from services.policy.policies.observation import OBSERVATION, observe
from services.policy.response.dynamic_program import DynamicProgram
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, ResponseModel, incremental_value
from training.policy.simulation.campaign import NO_CONTACT, CampaignActions, CampaignSimulator
from training.policy.simulation.customer_simulator import CENTS

NUM_LEVELS = len(DISCOUNTS)
FORECAST_PRICES = np.expm1(np.linspace(0, np.log(12), 16))
"""Shadow prices of the budget at which spend is forecast: 0 to 11, denser at low prices."""
FORECAST_SEED = 7
"""Seed of the campaign that the forecast simulates."""
UNLIMITED_BUDGET = 1e12

OutputFunction = Callable[[Floats], Floats]
"""Function from observations [n, 9] to the outputs of the network's heads [n, outputs]."""


def without_delay(level: np.ndarray, priority: np.ndarray | None = None) -> CampaignActions:
    """Actions after which the customer is decided about again on the next day."""
    return CampaignActions(level, np.zeros(len(level), dtype=int), priority)


class NoContactPolicy:
    """Contacts nobody."""

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        return without_delay(np.full(len(rows), NO_CONTACT))


class RandomPolicy:
    """No contact or any level, with equal probability, for every customer whom the gate allows to contact."""

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        return without_delay(campaign.rng.integers(NO_CONTACT, NUM_LEVELS, size=len(rows)))


class TopRiskPolicy:
    """The highest discount, to customers in order of churn risk until the budget is spent."""

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        level = _affordable(campaign, rows, np.full(len(rows), NUM_LEVELS - 1))
        return without_delay(level, campaign.customers.hazard[rows])


class ThresholdPolicy:
    """One level, to every customer whose risk · P(accept) · bill is above a threshold."""

    def __init__(self, threshold: float, level: int) -> None:
        self.threshold, self.level = threshold, level

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        hazard, accept, bill = campaign.customers[rows]
        risk = -np.expm1(-hazard * campaign.response_model.risk_days)
        score = risk * accept[:, self.level] * bill
        return without_delay(_affordable(campaign, rows, np.where(score > self.threshold, self.level, NO_CONTACT)))


class MyopicPolicy:
    """The discount with the most incremental value per unit of spend, to customers in the order of that ratio."""

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        values, costs = incremental_values(campaign, rows)
        ratio = np.where(values[1:] > 0, values[1:] / np.maximum(costs[1:], 1e-9), 0)
        message_only = np.where(values[0] > 0, 0, NO_CONTACT)
        level = np.where(ratio.max(axis=0) > 0, 1 + ratio.argmax(axis=0), message_only)
        return without_delay(_affordable(campaign, rows, level), ratio.max(axis=0))


class OneStepPolicy:
    """The policy service's `baseline`: the level of highest expected value of a single contact, if it is positive."""

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        hazard, accept, bill = campaign.customers[rows]
        risk = -np.expm1(-hazard * campaign.response_model.risk_days)
        value = (
            accept * bill[:, None] * (risk[:, None] * RESPONSE_MODEL.effect - DISCOUNTS) - RESPONSE_MODEL.contact_cost
        )
        level = np.where(value.max(axis=1) > 0, value.argmax(axis=1), NO_CONTACT)
        return without_delay(_affordable(campaign, rows, level))


class IndexPolicy:
    """The dynamic program at a shadow price of the budget that is solved again each day.

    The price, one of `prices`, minimises the dual of the rest of the campaign: the sum of the active customers' values
    from this day on, plus price · funds.
    """

    def __init__(
        self,
        customers: Customers,
        prices: np.ndarray,
        reprice: bool = True,
        response_model: ResponseModel = RESPONSE_MODEL,
    ) -> None:
        """`customers` are those of the campaign, without copies; without `reprice` the price of the first day stays."""
        self.prices, self.reprice = prices, reprice
        program = DynamicProgram(customers, response_model)
        rules = program.rules
        shape = (
            len(prices),
            rules.campaign_days + program.longest_effect + 1,
            len(customers.bill),
            rules.contact_cap + 1,
        )
        self.values = np.zeros(shape, dtype=np.float32)
        """Optimal incremental value less price · spend, from each day on [prices, days, customers, contacts so far]."""
        self.levels = np.full(
            (len(prices), rules.campaign_days, len(customers.bill), rules.contact_cap), NO_CONTACT, dtype=np.int8
        )
        """Optimal level, or NO_CONTACT; axes as of `values`."""
        for index, price in enumerate(prices):
            for day in program.solve(price):
                self.values[index, day.day, :, :-1] = day.best
                contact = day.contact.max(axis=0) > day.wait
                self.levels[index, day.day] = np.where(contact, day.contact.argmax(axis=0), NO_CONTACT)

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        if self.reprice or campaign.day == 0:
            self._price_index = self._solve_price(campaign)
        campaign.result.prices.append(float(self.prices[self._price_index]))
        contacts = np.minimum(campaign.state.contacts[rows].astype(int), campaign.rules.contact_cap - 1)
        levels = self.levels[self._price_index, campaign.day, campaign.customer_index[rows], contacts]
        return without_delay(levels.astype(int))

    def _solve_price(self, campaign: CampaignSimulator) -> int:
        """Index of the price that minimises the dual."""
        state, rows = campaign.state, np.flatnonzero(campaign.state.active)
        cooldown_left = campaign.rules.cooldown_days - state.days_since_contact[rows]
        days_to_wait = np.maximum(cooldown_left, state.offer_days_left[rows]).clip(0).astype(int)
        customers, contacts = campaign.customer_index[rows], state.contacts[rows].astype(int)
        values = self.values[:, campaign.day + days_to_wait, customers, contacts].sum(axis=1, dtype=float)
        return int((values + self.prices * campaign.funds / CENTS).argmin())


def incremental_values(campaign: CampaignSimulator, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected incremental value and spend of one contact now, by level: [levels, len(rows)] each."""
    customers, days_left = campaign.customers[rows], campaign.response_model.value_days - campaign.day
    state = campaign.state.offer_days_left[rows], campaign.state.contacts[rows], campaign.response_model
    by_level = [
        incremental_value(customers, np.full(len(rows), level), days_left, *state) for level in range(NUM_LEVELS)
    ]
    values, costs = zip(*by_level, strict=True)
    return np.array(values), np.array(costs)


def _affordable(campaign: CampaignSimulator, rows: np.ndarray, level: np.ndarray) -> np.ndarray:
    """`level`, with NO_CONTACT in place of offers that the funds do not cover: they would be refused."""
    cost = campaign.offer_costs[rows, np.maximum(level, 0)]
    return np.where(cost <= campaign.funds, level, NO_CONTACT)


class NetworkPolicy:
    """The trained network, greedy or sampled, at a fixed shadow price or one from a daily forecast of spend."""

    def __init__(self, network: OutputFunction, price: "float | SpendForecast", greedy: bool = True) -> None:
        self.network, self.price, self.greedy = network, price, greedy

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        price = self.price.price(campaign) if isinstance(self.price, SpendForecast) else self.price
        campaign.result.prices.append(price)
        outputs = self.network(_observe(campaign, rows, price))
        heads = [outputs[:, head] for head in (CONTACT, OFFER, DELAY)]
        if not self.greedy:  # the Gumbel-max trick draws from the softmax
            heads = [head + campaign.rng.gumbel(size=head.shape).astype(np.float32) for head in heads]
        contact, level, delay = (head.argmax(axis=1) for head in heads)
        return CampaignActions(np.where(contact > 0, level, NO_CONTACT), delay)


class SpendForecast:
    """The network's spend from each day to the end of the campaign, by shadow price, simulated for these customers."""

    def __init__(self, network: OutputFunction, customers: Customers, greedy: bool = True) -> None:
        campaign = CampaignSimulator(customers, 2, seed=FORECAST_SEED)
        policies = [NetworkPolicy(network, price, greedy=greedy) for price in FORECAST_PRICES]
        spend_by_day = np.array([campaign.run(policy, UNLIMITED_BUDGET).spend_by_day for policy in policies])
        spent = np.column_stack([np.zeros(len(FORECAST_PRICES)), spend_by_day]) / campaign.n
        remaining = (spent[:, -1:] - spent)[::-1]
        self._remaining = np.maximum.accumulate(remaining, axis=0)
        """[prices, highest first; days], money per customer. Made monotone: a lower price never lowers the spend."""

    def price(self, campaign: CampaignSimulator) -> float:
        """The price at which the forecast spend until the end of the campaign equals the remaining funds."""
        funds = campaign.funds / CENTS / campaign.n
        return float(np.interp(funds, self._remaining[:, campaign.day], FORECAST_PRICES[::-1]))


def _observe(campaign: CampaignSimulator, rows: np.ndarray, price: float) -> np.ndarray:
    """The network's observations of these customers, [len(rows), 9]."""
    hazard, accept, _ = campaign.customers[rows]
    state = campaign.state
    facts = price, state.days_since_contact[rows], state.offer_days_left[rows], state.contacts[rows]
    out = np.empty((len(OBSERVATION), len(rows)), np.float32)
    return observe(out, hazard, accept.T, *facts, campaign.response_model, campaign.rules).T

"""A campaign's rules, money and churn, checked apart from its own account."""

from math import exp

import numpy as np
import pytest

from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL, Customers, incremental_value
from training.policy.bound import LagrangianBound
from training.policy.evaluation.policies import IndexPolicy, NoContactPolicy
from training.policy.simulation.campaign import HOURS_PER_DAY, NO_CONTACT, CampaignActions, CampaignSimulator

RNG = np.random.default_rng(4)
CUSTOMERS = Customers(
    RNG.uniform(0.0005, 0.012, 100),
    np.sort(RNG.beta(2, 8, (100, 4)), axis=1),
    RNG.integers(20, 115, 100).astype(float),  # so that an offer costs whole cents
)


def equal_customers(number: int, accept: float = 0.5, hazard: float = 1e-9, bill: float = 100.0) -> Customers:
    return Customers(np.full(number, hazard), np.full((number, 4), accept), np.full(number, bill))


class FirstDayPolicy:
    """The highest offer for every customer on the first day, and nothing after it."""

    def __init__(self, priority: np.ndarray | None = None) -> None:
        self.priority = priority

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        level = np.full(len(rows), NO_CONTACT if campaign.day else 3)
        return CampaignActions(level, np.zeros(len(rows), int), None if campaign.day else self.priority)


class RandomActions:
    """Random levels, delays and priorities; records the state of all customers on each day."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.contacts: list[np.ndarray] = []
        self.offer_days_left: list[np.ndarray] = []
        self.active: list[np.ndarray] = []

    def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
        self.contacts.append(campaign.state.contacts.copy())
        self.offer_days_left.append(campaign.state.offer_days_left.copy())
        self.active.append(campaign.state.active.copy())
        level, delay = self.rng.integers(NO_CONTACT, 4, len(rows)), self.rng.integers(0, 8, len(rows))
        return CampaignActions(level, delay, self.rng.random(len(rows)))


@pytest.mark.parametrize("seed", range(6))
def test_budget_and_rules_are_kept_whatever_the_policy_wants(seed: int) -> None:
    budget = float(np.random.default_rng(seed).choice([0, 0.07, 3.33, 57.01, 400.5, 1e6]))
    policy, campaign = RandomActions(seed), CampaignSimulator(CUSTOMERS, 2, seed)
    result = campaign.run(policy, budget)

    new_contacts = np.diff(policy.contacts, axis=0)
    contacted = new_contacts > 0
    assert new_contacts.max() == 1
    assert np.max(policy.contacts) <= RULES.contact_cap
    assert not (contacted & (np.array(policy.offer_days_left)[:-1] > 0)).any(), "an offer held"
    assert not (contacted & ~np.array(policy.active)[:-1]).any(), "they had churned"
    for days in contacted.T:
        assert (np.diff(np.flatnonzero(days)) >= RULES.cooldown_days).all()
    assert result.spend <= result.peak_used <= budget
    assert campaign.funds == int(budget * 100) - round(result.spend * 100)
    assert result.spend_by_day == sorted(result.spend_by_day)
    assert result.spend_by_day[-1] == result.spend
    assert result.violations == 0
    assert result.contacts.sum() == campaign.state.contacts.sum()
    assert result.customers_contacted == (campaign.state.contacts > 0).sum() > 0


def test_the_highest_priority_comes_first_where_money_is_short() -> None:
    priority = np.random.default_rng(0).permutation(10).astype(float)
    campaign = CampaignSimulator(equal_customers(10, accept=1.0), 1, seed=1)
    result = campaign.run(FirstDayPolicy(priority), budget=45.0)  # 15 each

    assert set(np.flatnonzero(campaign.state.contacts)) == set(np.argsort(-priority)[:3])
    assert (result.spend, result.refused, result.contacts.tolist()) == (45, 7, [0, 0, 0, 3])


def test_without_priorities_customers_come_in_order_of_arrival() -> None:
    campaign = CampaignSimulator(equal_customers(10, accept=1.0), 1, seed=1)
    campaign.run(FirstDayPolicy(), budget=45.0)

    assert set(np.flatnonzero(campaign.state.contacts)) == set(np.argsort(campaign.arrival_order)[:3])


def test_the_reservation_of_a_declined_offer_is_free_again_an_hour_later() -> None:
    campaign = CampaignSimulator(equal_customers(2 * HOURS_PER_DAY, accept=0.0), 1, seed=1)
    result = campaign.run(FirstDayPolicy(), budget=15.0)  # one offer at a time

    assert result.contacts.sum() == result.refused == HOURS_PER_DAY
    assert (result.spend, result.peak_used) == (0, 15)


def test_an_offer_reserves_its_worst_case_in_whole_cents() -> None:
    campaign = CampaignSimulator(equal_customers(3, accept=1.0, bill=33.335), 1, seed=1)  # 15 % is 5.00025

    assert campaign.offer_costs[0].tolist() == [0, 167, 334, 501]
    assert campaign.run(FirstDayPolicy(), budget=10.01).spend == 5.01
    assert campaign.run(FirstDayPolicy(), budget=10.02).spend == 10.02


def test_a_contact_against_the_rules_is_counted_as_a_violation() -> None:
    campaign = CampaignSimulator(equal_customers(5), 1, seed=1)
    result = campaign.run(NoContactPolicy(), budget=1e6)
    for _ in range(2):
        campaign.make_contacts(np.array([0, 1]), np.array([0, 0]))

    assert result.violations == 2


def test_the_incremental_value_is_that_which_the_response_model_expects() -> None:
    result = CampaignSimulator(CUSTOMERS, 1, seed=1).run(FirstDayPolicy(), budget=1e6)

    values, _ = incremental_value(CUSTOMERS, np.full(100, 3), RESPONSE_MODEL.value_days, 0, 0)
    assert result.incremental_value == pytest.approx(values.sum())


def test_a_delay_puts_the_next_decision_off() -> None:
    days: list[int] = []

    class DelayingPolicy:
        def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
            days.extend([campaign.day] * len(rows))
            return CampaignActions(np.full(len(rows), NO_CONTACT), np.full(len(rows), 6))

    CampaignSimulator(equal_customers(1), 1, seed=1).run(DelayingPolicy(), budget=0.0)

    assert days == list(range(0, 90, 7))


def test_customers_pay_while_they_are_active_and_churn_by_their_hazard() -> None:
    campaign = CampaignSimulator(equal_customers(1, hazard=0.01, bill=60.0), 20_000, seed=1)
    result = campaign.run(NoContactPolicy(), budget=0.0)

    assert campaign.state.active.mean() == pytest.approx(exp(-0.9), abs=4 * 0.5 / 20_000**0.5)
    assert result.revenue / 20_000 == pytest.approx(2 * sum(exp(-0.01 * day) for day in range(90)), rel=0.01)


@pytest.mark.parametrize(("accept", "exposure"), [(1.0, 90 - 0.5 * 60 + 0.05 * 14), (0.0, 90 + 0.05 * 14)])
def test_contacts_change_the_hazard(accept: float, exposure: float) -> None:
    """An accepted offer halves it for 60 days, and a contact raises it for 14."""
    campaign = CampaignSimulator(equal_customers(1, accept=accept, hazard=0.01), 20_000, seed=1)
    campaign.run(FirstDayPolicy(), budget=1e9)

    assert campaign.state.cumulative_hazard == pytest.approx(np.full(20_000, 0.01 * exposure))


@pytest.mark.parametrize("price", [0.0, 1.5])
def test_the_optimal_policy_at_a_price_has_the_value_and_the_spend_of_the_dual(price: float) -> None:
    """With money enough: the dual's value is after the price of money, so the campaigns' is too."""
    dual = LagrangianBound(CUSTOMERS, copies=5).at_price(price)
    policy = IndexPolicy(CUSTOMERS, np.array([price]), reprice=False)
    results = [CampaignSimulator(CUSTOMERS, 5, seed).run(policy, 1e9) for seed in range(12)]

    for values, expected in (
        (np.array([result.incremental_value - price * result.spend for result in results]), dual.net_value),
        (np.array([result.spend for result in results]), dual.spend),
    ):
        error = values.std(ddof=1) / len(values) ** 0.5
        assert abs(values.mean() - expected) < 3 * error
        assert error < 0.03 * expected, "or an error of a tenth would not show"

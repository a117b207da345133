"""A quarter's rules and money, watched by who does not trust its own account."""

from math import exp

import numpy as np
import pytest

from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL, Customers, incremental_value
from training.policy.evaluation.bound import LagrangianBound
from training.policy.evaluation.policies import IndexPolicy, NoContactPolicy
from training.policy.simulation.campaign import HOURS_PER_DAY, NO_CONTACT, CampaignActions, CampaignSimulator

DRAWN = np.random.default_rng(4)
CUSTOMERS = Customers(
    DRAWN.uniform(0.0005, 0.012, 100),
    np.sort(DRAWN.beta(2, 8, (100, 4)), axis=1),
    DRAWN.integers(20, 115, 100).astype(float),  # so that an offer costs whole cents
)


def alike(number: int, accept: float = 0.5, hazard: float = 1e-9, bill: float = 100.0) -> Customers:
    return Customers(np.full(number, hazard), np.full((number, 4), accept), np.full(number, bill))


class FirstDay:
    """The dearest offer to everybody on the first day, and nothing after it."""

    def __init__(self, urgency: np.ndarray | None = None) -> None:
        self.urgency = urgency

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> CampaignActions:
        level = np.full(len(who), NO_CONTACT if quarter.day else 3)
        return CampaignActions(level, np.zeros(len(who), int), None if quarter.day else self.urgency)


class Drawn:
    """Anything to anybody in any order, and what it saw: by day, who had been contacted how often, and who held."""

    def __init__(self, seed: int) -> None:
        self.rng, self.seen = np.random.default_rng(seed), []

    def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> CampaignActions:
        self.seen.append(
            (quarter.state.contacts.copy(), quarter.state.offer_days_left.copy(), quarter.state.active.copy())
        )
        level, delay = self.rng.integers(NO_CONTACT, 4, len(who)), self.rng.integers(0, 8, len(who))
        return CampaignActions(level, delay, self.rng.random(len(who)))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_wanted_the_budget_and_the_rules_are_kept(seed: int) -> None:
    budget = float(np.random.default_rng(seed).choice([0, 0.07, 3.33, 57.01, 400.5, 1e6]))
    policy, quarter = Drawn(seed), CampaignSimulator(CUSTOMERS, 2, seed)
    account = quarter.run(policy, budget)

    contacts = np.array([seen[0] for seen in policy.seen])
    made, offer_days_left = np.diff(contacts, axis=0) > 0, np.array([seen[1] for seen in policy.seen])
    active = np.array([seen[2] for seen in policy.seen])
    assert np.diff(contacts, axis=0).max() == 1
    assert contacts.max() <= RULES.cap
    assert not (made & (offer_days_left[:-1] > 0)).any(), "an offer held"
    assert not (made & ~active[:-1]).any(), "they had left"
    for days in made.T:
        assert (np.diff(np.flatnonzero(days)) >= RULES.cooldown).all()
    assert account.spend <= account.peak_committed <= budget
    assert quarter.funds == int(budget * 100) - round(account.spend * 100)
    assert account.spend_by_day == sorted(account.spend_by_day)
    assert account.spend_by_day[-1] == account.spend
    assert account.violations == 0
    assert account.contacts.sum() == quarter.state.contacts.sum()
    assert account.customers_contacted == (quarter.state.contacts > 0).sum() > 0


def test_who_is_most_urgent_comes_first() -> None:
    urgency = np.random.default_rng(0).permutation(10).astype(float)
    quarter = CampaignSimulator(alike(10, accept=1.0), 1, seed=1)
    account = quarter.run(FirstDay(urgency), budget=45.0)  # 15 each

    assert set(np.flatnonzero(quarter.state.contacts)) == set(np.argsort(-urgency)[:3])
    assert (account.spend, account.refused, account.contacts.tolist()) == (45, 7, [0, 0, 0, 3])


def test_without_urgency_they_come_as_they_arrive() -> None:
    quarter = CampaignSimulator(alike(10, accept=1.0), 1, seed=1)
    quarter.run(FirstDay(), budget=45.0)

    assert set(np.flatnonzero(quarter.state.contacts)) == set(np.argsort(quarter.arrival_order)[:3])


def test_what_is_declined_is_free_again_an_hour_later() -> None:
    quarter = CampaignSimulator(alike(2 * HOURS_PER_DAY, accept=0.0), 1, seed=1)
    account = quarter.run(FirstDay(), budget=15.0)  # one offer at a time

    assert account.contacts.sum() == account.refused == HOURS_PER_DAY
    assert (account.spend, account.peak_committed) == (0, 15)


def test_an_offer_is_reserved_at_its_worst_case_in_whole_cents() -> None:
    thirds = alike(3, accept=1.0, bill=33.335)  # 15 % is 5.00025

    assert CampaignSimulator(thirds, 1, seed=1).offer_costs[0].tolist() == [0, 167, 334, 501]
    assert CampaignSimulator(thirds, 1, seed=1).run(FirstDay(), budget=10.01).spend == 5.01
    assert CampaignSimulator(thirds, 1, seed=1).run(FirstDay(), budget=10.02).spend == 10.02


def test_a_contact_against_the_rules_is_counted() -> None:
    quarter = CampaignSimulator(alike(5), 1, seed=1)
    quarter.run(NoContactPolicy(), budget=1e6)
    for _ in range(2):
        quarter.make_contacts(np.array([0, 1]), np.array([0, 0]))

    assert quarter.result.violations == 2


def test_a_contact_gains_what_it_is_expected_to() -> None:
    account = CampaignSimulator(CUSTOMERS, 1, seed=1).run(FirstDay(), budget=1e6)

    every = np.full(100, 3)
    assert account.incremental_value == pytest.approx(
        incremental_value(CUSTOMERS, every, RESPONSE_MODEL.value_days, 0, 0)[0].sum()
    )


def test_who_asks_to_wait_is_not_asked_about() -> None:
    asked = []

    class Waits:
        def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> CampaignActions:
            asked.extend([quarter.day] * len(who))
            return CampaignActions(np.full(len(who), NO_CONTACT), np.full(len(who), 6))

    CampaignSimulator(alike(1), 1, seed=1).run(Waits(), budget=0.0)

    assert asked == list(range(0, 90, 7))


def test_customers_pay_while_they_are_there_and_leave_by_their_hazard() -> None:
    quarter = CampaignSimulator(alike(1, hazard=0.01, bill=60.0), 20_000, seed=1)
    account = quarter.run(NoContactPolicy(), budget=0.0)

    assert quarter.state.active.mean() == pytest.approx(exp(-0.9), abs=4 * 0.5 / 20_000**0.5)
    assert account.revenue / 20_000 == pytest.approx(2 * sum(exp(-0.01 * day) for day in range(90)), rel=0.01)


def test_who_contacts_changes_who_stays() -> None:
    """An accepted offer of 60 days halves the hazard, and one that is declined annoys for 14 days."""
    for accept, hazard_exposure in ((1.0, 90 - 0.5 * 60 + 0.05 * 14), (0.0, 90 + 0.05 * 14)):
        quarter = CampaignSimulator(alike(1, accept=accept, hazard=0.01), 20_000, seed=1)
        quarter.run(FirstDay(), budget=1e9)
        assert quarter.state.cumulative_hazard == pytest.approx(np.full(20_000, 0.01 * hazard_exposure))


@pytest.mark.parametrize("price", [0.0, 1.5])
def test_what_is_best_at_a_price_gains_and_spends_what_the_bound_says(price: float) -> None:
    """With money enough: `Dual.net_value` is after the price of money, so the account's is too."""
    dual = LagrangianBound(CUSTOMERS, copies=5).at_price(price)
    index = IndexPolicy(CUSTOMERS, np.array([price]), reprice=False)
    accounts = [CampaignSimulator(CUSTOMERS, 5, seed).run(index, 1e9) for seed in range(12)]

    for found, said in (
        (np.array([account.incremental_value - price * account.spend for account in accounts]), dual.net_value),
        (np.array([account.spend for account in accounts]), dual.spend),
    ):
        error = found.std(ddof=1) / len(found) ** 0.5
        assert abs(found.mean() - said) < 3 * error
        assert error < 0.03 * said, "or an error of a tenth would not show"

"""Each policy on a handful of customers, by hand."""

import numpy as np
import pytest

from services.policy.customer.gate import ActionMask
from services.policy.policies.base import DecisionContext
from services.policy.policies.network import CONTACT, DELAY, NUM_DELAYS, NUM_OUTPUTS, OFFER
from services.policy.policies.one_step import BaselinePolicy
from services.policy.response.model import RESPONSE_MODEL, Customers, daily_hazard, incremental_value
from tests.policy.builders import scored
from training.policy.evaluation.bound import LagrangianBound
from training.policy.evaluation.policies import (
    FORECAST_PRICES,
    FORECAST_SEED,
    NUM_LEVELS,
    UNLIMITED_BUDGET,
    IndexPolicy,
    MyopicPolicy,
    NetworkPolicy,
    NoContactPolicy,
    OneStepPolicy,
    RandomPolicy,
    SpendForecast,
    ThresholdPolicy,
    TopRiskPolicy,
)
from training.policy.simulation.campaign import NO_CONTACT, CampaignActions, CampaignSimulator, Policy

RISK = np.array([0.9, 0.1, 0.5, 0.7])
FOUR = Customers(
    daily_hazard(RISK),
    np.array([[0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0], [0.3, 0.3, 0.3, 0.3]]),
    np.array([100.0, 80.0, 60.0, 40.0]),
)
DRAWN = np.random.default_rng(2)
MANY = Customers(
    DRAWN.uniform(0.0005, 0.012, 120), np.sort(DRAWN.beta(2, 8, (120, 4)), axis=1), DRAWN.uniform(20, 115, 120)
)


def asked(policy: Policy, customers: Customers = FOUR, budget: float = 1e6) -> CampaignActions:
    """What it chooses on the first day, of all customers."""
    answers: list[CampaignActions] = []

    class First:
        def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> CampaignActions:
            if not answers:
                answers.append(policy.choose(quarter, who))
            return CampaignActions(np.full(len(who), NO_CONTACT), np.zeros(len(who), int))

    CampaignSimulator(customers, 1, seed=1).run(First(), budget)
    return answers[0]


def test_never_is_never() -> None:
    assert asked(NoContactPolicy()).level.tolist() == [NO_CONTACT] * 4


def test_random_legal_takes_each_as_often_as_the_other() -> None:
    customers = Customers(*(np.repeat(fact, 2_500, axis=0) for fact in FOUR))
    counts = np.bincount(asked(RandomPolicy(), customers).level + 1, minlength=5)

    assert counts / 10_000 == pytest.approx([0.2] * 5, abs=0.02)


def test_top_risk_takes_the_highest_discount_to_the_highest_risk_first() -> None:
    choices = asked(TopRiskPolicy())

    assert choices.level.tolist() == [3] * 4
    assert np.argsort(-choices.priority).tolist() == [0, 3, 2, 1]


def test_who_costs_more_than_the_funds_hold_is_not_tried() -> None:
    assert asked(TopRiskPolicy(), budget=9.5).level.tolist() == [NO_CONTACT, NO_CONTACT, 3, 3]  # 15, 12, 9 and 6


def test_a_threshold_is_of_risk_times_acceptance_times_bill() -> None:
    score = RISK * FOUR.accept[:, 1] * FOUR.bill  # 18, 0.8, 0 and 8.4

    assert asked(ThresholdPolicy(8.0, level=1)).level.tolist() == [1, NO_CONTACT, NO_CONTACT, 1]
    assert asked(ThresholdPolicy(float(score[3]) + 1e-6, level=1)).level.tolist() == [
        1,
        NO_CONTACT,
        NO_CONTACT,
        NO_CONTACT,
    ]
    assert asked(ThresholdPolicy(8.0, level=3)).level.tolist() == [3, NO_CONTACT, NO_CONTACT, 3]


def test_myopic_takes_what_gains_most_for_its_money() -> None:
    choices = asked(MyopicPolicy())
    found = [incremental_value(FOUR, np.full(4, level), RESPONSE_MODEL.value_days, 0, 0) for level in range(NUM_LEVELS)]
    ratio = np.array([gained / np.maximum(cost, 1e-9) for gained, cost in found])[1:]

    best = 1 + ratio.argmax(axis=0)
    assert choices.level.tolist() == [best[0], best[1], NO_CONTACT, best[3]]
    assert choices.priority == pytest.approx(np.maximum(ratio.max(axis=0), 0))
    assert ratio[:, 2].max() < 0, "who never accepts is only annoyed"


def test_myopic_takes_words_where_only_they_gain() -> None:
    words = Customers(daily_hazard(np.array([0.8])), np.array([[0.3, 0.0, 0.0, 0.0]]), np.array([70.0]))

    assert asked(MyopicPolicy(), words).level.tolist() == [0]


def test_one_step_is_the_services_baseline() -> None:
    found = asked(OneStepPolicy(), MANY).level
    risk, policy = -np.expm1(-MANY.hazard * RESPONSE_MODEL.risk_days), BaselinePolicy()
    for customer, level in enumerate(found):
        facts = {"churn_risk": risk[customer], "accept_probs": tuple(MANY.accept[customer])}
        event = scored(**facts, monthly_charges=float(MANY.bill[customer]))
        said = policy.choose(
            DecisionContext(
                event, ActionMask((True,) * 4), days_since_contact=1e3, contacts=0, offer_days_left=0, price=0.0, day=0
            )
        )
        assert level == (NO_CONTACT if said.level is None else said.level)
    assert len(set(found.tolist())) > 2


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_the_index_does_what_the_dynamic_program_says_at_its_price(price: float) -> None:
    [problem] = LagrangianBound(MANY).programs
    first = list(problem.solve(price))[-1]
    contact = first.contact[:, :, 0]
    expected = np.where(contact.max(axis=0) > first.wait[:, 0], contact.argmax(axis=0), NO_CONTACT)

    found = asked(IndexPolicy(MANY, np.array([price]), reprice=False), MANY).level

    assert found.tolist() == expected.tolist()
    assert len(set(found.tolist())) > 1


def test_the_index_is_solved_again_each_day_for_the_money_that_is_left() -> None:
    portfolio, prices = LagrangianBound(MANY), np.linspace(0, 10, 21)
    budget = 0.3 * portfolio.unconstrained_spend
    again, once = (
        CampaignSimulator(MANY, 1, seed=1).run(IndexPolicy(MANY, prices, resolve), budget).prices for resolve in (1, 0)
    )

    assert again[0] == once[0] == pytest.approx(portfolio.at_budget(budget).price, abs=0.5)
    assert len(set(once)) == 1
    assert len(set(again)) > 3


def test_the_index_finds_money_dear_where_none_is_left_and_free_where_there_is_plenty() -> None:
    class Changed:
        """On the tenth day the money is gone, on the twentieth there is more than enough."""

        def choose(self, quarter: CampaignSimulator, who: np.ndarray) -> CampaignActions:
            quarter.funds = {10: 0, 20: 10**9}.get(quarter.day, quarter.funds)
            return index.choose(quarter, who)

    index = IndexPolicy(MANY, np.linspace(0, 10, 21))
    prices = CampaignSimulator(MANY, 1, seed=1).run(Changed(), 0.3 * LagrangianBound(MANY).unconstrained_spend).prices

    assert 0 < prices[9] < prices[10]
    assert prices[20:] == [0.0] * 70


def plentiful(seen: np.ndarray) -> np.ndarray:
    """A network that contacts at 15 % whose risk is above what is left of plenty, and waits 3 days more otherwise."""
    said = np.zeros((len(seen), NUM_OUTPUTS), np.float32)
    wanted = (seen[:, 0] > 1 - seen[:, 5]) & (seen[:, 7] == 0)
    said[:, CONTACT] = np.where(wanted, 1, -1)[:, None] * np.array([0, 1])
    said[:, OFFER.start + 3] = 1
    said[:, DELAY.start + 3] = 1
    return said


def test_a_network_is_asked_for_contact_offer_and_delay() -> None:
    choices = asked(NetworkPolicy(plentiful, price=1.0))  # half of plenty

    assert choices.level.tolist() == [3, NO_CONTACT, NO_CONTACT, 3]
    assert choices.delay.tolist() == [3] * 4


def test_a_sampled_network_does_each_as_often_as_it_says() -> None:
    logits = np.log([0.3, 0.7, 0.1, 0.2, 0.3, 0.4, *[1 / NUM_DELAYS] * NUM_DELAYS, 1.0]).astype(np.float32)
    customers = Customers(*(np.repeat(fact, 2_500, axis=0) for fact in FOUR))
    choices = asked(NetworkPolicy(lambda seen: np.tile(logits, (len(seen), 1)), price=0.0, greedy=False), customers)

    found = np.bincount(choices.level + 1, minlength=5) / 10_000
    assert found == pytest.approx([0.3, 0.07, 0.14, 0.21, 0.28], abs=0.02)
    assert np.bincount(choices.delay) / 10_000 == pytest.approx([1 / NUM_DELAYS] * NUM_DELAYS, abs=0.02)


def test_a_network_sees_the_customer_and_the_price() -> None:
    seen: list[np.ndarray] = []

    def network(observations: np.ndarray) -> np.ndarray:
        seen.append(observations)
        return plentiful(observations)

    asked(NetworkPolicy(network, price=3.0))

    never = np.tile([0.25, 1, 0, 0], (4, 1))  # plenty, long since a contact, no cooldown, no contacts
    assert seen[0] == pytest.approx(np.column_stack([RISK, FOUR.accept, never]), abs=1e-6)


def left(quarter: CampaignSimulator, money: float, day: int = 0) -> CampaignSimulator:
    quarter.run(NoContactPolicy(), 0.0)
    quarter.funds, quarter.day = int(100 * money), day
    return quarter


def test_the_price_of_a_plan_is_that_which_spends_what_is_left() -> None:
    plan, quarter = SpendForecast(plentiful, MANY), CampaignSimulator(MANY, 2, seed=FORECAST_SEED)
    for price in FORECAST_PRICES[[1, 3, 5]]:
        path = quarter.run(NetworkPolicy(plentiful, float(price)), UNLIMITED_BUDGET).spend_by_day
        for day in (0, 30):
            to_come = path[-1] - (path[day - 1] if day else 0)
            assert plan.price(left(CampaignSimulator(MANY, 2, seed=3), to_come, day)) == pytest.approx(price, rel=0.02)


def test_a_plan_is_the_same_for_more_customers_with_as_much_more_money() -> None:
    plan = SpendForecast(plentiful, MANY)
    once, thrice = (plan.price(left(CampaignSimulator(MANY, copies, seed=3), copies * 80.0)) for copies in (1, 3))

    assert 0 < once < FORECAST_PRICES[-1]
    assert once == thrice


def test_where_nothing_is_left_the_price_is_one_that_spends_nothing_and_where_there_is_plenty_it_is_free() -> None:
    plan, quarter = SpendForecast(plentiful, MANY), CampaignSimulator(MANY, 1, seed=3)
    dear = plan.price(left(quarter, 0.0))

    assert (
        CampaignSimulator(MANY, 2, seed=FORECAST_SEED).run(NetworkPolicy(plentiful, dear), UNLIMITED_BUDGET).spend == 0
    )
    assert plan.price(left(quarter, 1e9)) == FORECAST_PRICES[0] == 0


def test_a_network_with_a_plan_uses_its_budget() -> None:
    free = CampaignSimulator(MANY, 4, seed=9).run(NetworkPolicy(plentiful, 0.0), UNLIMITED_BUDGET).spend
    account = CampaignSimulator(MANY, 4, seed=9).run(
        NetworkPolicy(plentiful, SpendForecast(plentiful, MANY)), 0.4 * free
    )

    assert 0.85 < account.spend / account.budget <= 1
    assert len(set(account.prices)) > 3

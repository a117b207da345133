"""Each policy with a handful of customers, by hand."""

import numpy as np
import pytest

from services.policy.customer.gate import ActionMask
from services.policy.policies import one_step
from services.policy.policies.base import DecisionContext
from services.policy.policies.network import CONTACT, DELAY, NUM_DELAYS, NUM_OUTPUTS, OFFER
from services.policy.response.model import RESPONSE_MODEL, Customers, daily_hazard, incremental_value
from tests.policy.builders import scored
from training.policy.bound import LagrangianBound
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

pytestmark = pytest.mark.slow

RISK = np.array([0.9, 0.1, 0.5, 0.7])
FOUR = Customers(
    daily_hazard(RISK),
    np.array([[0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0], [0.3, 0.3, 0.3, 0.3]]),
    np.array([100.0, 80.0, 60.0, 40.0]),
)
RNG = np.random.default_rng(2)
RANDOM_CUSTOMERS = Customers(
    RNG.uniform(0.0005, 0.012, 120), np.sort(RNG.beta(2, 8, (120, 4)), axis=1), RNG.uniform(20, 115, 120)
)


def first_actions(policy: Policy, customers: Customers = FOUR, budget: float = 1e6) -> CampaignActions:
    """Of the policy, for all customers on the first day."""
    actions: list[CampaignActions] = []

    class FirstDayOnly:
        def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
            if not actions:
                actions.append(policy.choose(campaign, rows))
            return CampaignActions(np.full(len(rows), NO_CONTACT), np.zeros(len(rows), int))

    CampaignSimulator(customers, 1, seed=1).run(FirstDayOnly(), budget)
    return actions[0]


def test_the_no_contact_policy_contacts_nobody() -> None:
    assert first_actions(NoContactPolicy()).level.tolist() == [NO_CONTACT] * 4


def test_the_random_policy_is_uniform_over_no_contact_and_the_levels() -> None:
    customers = Customers(*(np.repeat(fact, 2_500, axis=0) for fact in FOUR))
    counts = np.bincount(first_actions(RandomPolicy(), customers).level + 1, minlength=5)

    assert counts / 10_000 == pytest.approx([0.2] * 5, abs=0.02)


def test_top_risk_offers_the_highest_discount_in_order_of_risk() -> None:
    actions = first_actions(TopRiskPolicy())

    assert actions.level.tolist() == [3] * 4
    assert actions.priority is not None
    assert np.argsort(-actions.priority).tolist() == [0, 3, 2, 1]


def test_an_offer_that_the_funds_do_not_cover_is_not_made() -> None:
    actions = first_actions(TopRiskPolicy(), budget=9.5)

    assert actions.level.tolist() == [NO_CONTACT, NO_CONTACT, 3, 3]  # they cost 15, 12, 9 and 6


def test_the_threshold_is_on_risk_times_acceptance_times_bill() -> None:
    score = RISK * FOUR.accept[:, 1] * FOUR.bill  # 18, 0.8, 0 and 8.4
    below, above = 8.0, float(score[3]) + 1e-6

    assert first_actions(ThresholdPolicy(below, level=1)).level.tolist() == [1, NO_CONTACT, NO_CONTACT, 1]
    assert first_actions(ThresholdPolicy(above, level=1)).level.tolist() == [1, NO_CONTACT, NO_CONTACT, NO_CONTACT]
    assert first_actions(ThresholdPolicy(below, level=3)).level.tolist() == [3, NO_CONTACT, NO_CONTACT, 3]


def test_myopic_chooses_the_most_incremental_value_per_unit_of_spend() -> None:
    actions = first_actions(MyopicPolicy())
    by_level = [
        incremental_value(FOUR, np.full(4, level), RESPONSE_MODEL.value_days, 0, 0) for level in range(NUM_LEVELS)
    ]
    ratio = np.array([value / np.maximum(cost, 1e-9) for value, cost in by_level])[1:]

    best = 1 + ratio.argmax(axis=0)
    assert actions.level.tolist() == [best[0], best[1], NO_CONTACT, best[3]]
    assert actions.priority == pytest.approx(np.maximum(ratio.max(axis=0), 0))
    assert ratio[:, 2].max() < 0, "a contact that is never accepted only adds fatigue"


def test_myopic_sends_a_message_where_no_discount_adds_value() -> None:
    message_only = Customers(daily_hazard(np.array([0.8])), np.array([[0.3, 0.0, 0.0, 0.0]]), np.array([70.0]))

    assert first_actions(MyopicPolicy(), message_only).level.tolist() == [0]


def test_one_step_is_the_baseline_of_the_service() -> None:
    levels = first_actions(OneStepPolicy(), RANDOM_CUSTOMERS).level
    risk, policy = -np.expm1(-RANDOM_CUSTOMERS.hazard * RESPONSE_MODEL.risk_days), one_step.OneStepPolicy()
    for row, level in enumerate(levels):
        facts = {"churn_risk": risk[row], "accept_probs": tuple(RANDOM_CUSTOMERS.accept[row])}
        customer = scored(**facts, monthly_charges=float(RANDOM_CUSTOMERS.bill[row]))
        action = policy.choose(
            DecisionContext(
                customer,
                ActionMask((True,) * 4),
                days_since_contact=1e3,
                contacts=0,
                offer_days_left=0,
                price=0.0,
                day=0,
            )
        )
        assert level == (NO_CONTACT if action.level is None else action.level)
    assert len(set(levels.tolist())) > 2


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_the_index_policy_follows_the_dynamic_program_at_its_price(price: float) -> None:
    [program] = LagrangianBound(RANDOM_CUSTOMERS).programs
    first_day = list(program.solve(price))[-1]
    contact = first_day.contact[:, :, 0]
    expected = np.where(contact.max(axis=0) > first_day.wait[:, 0], contact.argmax(axis=0), NO_CONTACT)

    levels = first_actions(IndexPolicy(RANDOM_CUSTOMERS, np.array([price]), reprice=False), RANDOM_CUSTOMERS).level

    assert levels.tolist() == expected.tolist()
    assert len(set(levels.tolist())) > 1


def test_the_index_policy_finds_its_price_again_each_day_for_the_funds_left() -> None:
    bound, prices = LagrangianBound(RANDOM_CUSTOMERS), np.linspace(0, 10, 21)
    budget = 0.3 * bound.unconstrained_spend
    repriced, fixed = (
        CampaignSimulator(RANDOM_CUSTOMERS, 1, seed=1)
        .run(IndexPolicy(RANDOM_CUSTOMERS, prices, reprice), budget)
        .prices
        for reprice in (True, False)
    )

    assert repriced[0] == fixed[0] == pytest.approx(bound.at_budget(budget).price, abs=0.5)
    assert len(set(fixed)) == 1
    assert len(set(repriced)) > 3


def test_the_price_of_the_index_policy_rises_without_funds_and_is_zero_with_plenty() -> None:
    class ChangedFunds:
        """No funds on day 10, more than enough from day 20."""

        def choose(self, campaign: CampaignSimulator, rows: np.ndarray) -> CampaignActions:
            campaign.funds = {10: 0, 20: 10**9}.get(campaign.day, campaign.funds)
            return index.choose(campaign, rows)

    index = IndexPolicy(RANDOM_CUSTOMERS, np.linspace(0, 10, 21))
    budget = 0.3 * LagrangianBound(RANDOM_CUSTOMERS).unconstrained_spend
    prices = CampaignSimulator(RANDOM_CUSTOMERS, 1, seed=1).run(ChangedFunds(), budget).prices

    assert 0 < prices[9] < prices[10]
    assert prices[20:] == [0.0] * 70


def price_sensitive(observations: np.ndarray) -> np.ndarray:
    """Outputs of a network that offers 15 % to customers whose risk exceeds 1 − budget_remaining, with a delay of 3."""
    outputs = np.zeros((len(observations), NUM_OUTPUTS), np.float32)
    contact = (observations[:, 0] > 1 - observations[:, 5]) & (observations[:, 7] == 0)
    outputs[:, CONTACT] = np.where(contact, 1, -1)[:, None] * np.array([0, 1])
    outputs[:, OFFER.start + 3] = 1
    outputs[:, DELAY.start + 3] = 1
    return outputs


def test_a_greedy_network_gives_contact_level_and_delay() -> None:
    actions = first_actions(NetworkPolicy(price_sensitive, price=1.0))  # budget_remaining is 1/2

    assert actions.level.tolist() == [3, NO_CONTACT, NO_CONTACT, 3]
    assert actions.delay.tolist() == [3] * 4


def test_a_sampled_network_acts_with_its_own_probabilities() -> None:
    logits = np.log([0.3, 0.7, 0.1, 0.2, 0.3, 0.4, *[1 / NUM_DELAYS] * NUM_DELAYS, 1.0]).astype(np.float32)
    customers = Customers(*(np.repeat(fact, 2_500, axis=0) for fact in FOUR))
    policy = NetworkPolicy(lambda observations: np.tile(logits, (len(observations), 1)), price=0.0, greedy=False)
    actions = first_actions(policy, customers)

    shares = np.bincount(actions.level + 1, minlength=5) / 10_000
    assert shares == pytest.approx([0.3, 0.07, 0.14, 0.21, 0.28], abs=0.02)
    assert np.bincount(actions.delay) / 10_000 == pytest.approx([1 / NUM_DELAYS] * NUM_DELAYS, abs=0.02)


def test_a_network_observes_the_customers_and_the_price() -> None:
    observed: list[np.ndarray] = []

    def network(observations: np.ndarray) -> np.ndarray:
        observed.append(observations)
        return price_sensitive(observations)

    first_actions(NetworkPolicy(network, price=3.0))

    state = np.tile([0.25, 1, 0, 0], (4, 1))  # budget_remaining, long since a contact, no cooldown, no contacts
    assert observed[0] == pytest.approx(np.column_stack([RISK, FOUR.accept, state]), abs=1e-6)


def with_funds(campaign: CampaignSimulator, money: float, day: int = 0) -> CampaignSimulator:
    campaign.run(NoContactPolicy(), 0.0)
    campaign.funds, campaign.day = int(100 * money), day
    return campaign


def test_the_forecast_price_is_the_one_that_spends_the_funds_by_the_end() -> None:
    forecast, campaign = (
        SpendForecast(price_sensitive, RANDOM_CUSTOMERS),
        CampaignSimulator(RANDOM_CUSTOMERS, 2, seed=FORECAST_SEED),
    )
    for price in FORECAST_PRICES[[1, 3, 5]]:
        spend_by_day = campaign.run(NetworkPolicy(price_sensitive, float(price)), UNLIMITED_BUDGET).spend_by_day
        for day in (0, 30):
            remaining = spend_by_day[-1] - (spend_by_day[day - 1] if day else 0)
            other = with_funds(CampaignSimulator(RANDOM_CUSTOMERS, 2, seed=3), remaining, day)
            assert forecast.price(other) == pytest.approx(price, rel=0.02)


def test_the_forecast_price_is_the_same_for_more_customers_with_proportionate_funds() -> None:
    forecast = SpendForecast(price_sensitive, RANDOM_CUSTOMERS)
    single, triple = (
        forecast.price(with_funds(CampaignSimulator(RANDOM_CUSTOMERS, copies, seed=3), copies * 80.0))
        for copies in (1, 3)
    )

    assert 0 < single < FORECAST_PRICES[-1]
    assert single == triple


def test_the_forecast_price_without_funds_spends_nothing_and_with_plenty_is_zero() -> None:
    forecast, campaign = (
        SpendForecast(price_sensitive, RANDOM_CUSTOMERS),
        CampaignSimulator(RANDOM_CUSTOMERS, 1, seed=3),
    )
    price = forecast.price(with_funds(campaign, 0.0))

    unlimited = CampaignSimulator(RANDOM_CUSTOMERS, 2, seed=FORECAST_SEED)
    assert unlimited.run(NetworkPolicy(price_sensitive, price), UNLIMITED_BUDGET).spend == 0
    assert forecast.price(with_funds(campaign, 1e9)) == FORECAST_PRICES[0] == 0


def test_a_network_at_forecast_prices_spends_its_budget() -> None:
    unconstrained = CampaignSimulator(RANDOM_CUSTOMERS, 4, seed=9).run(
        NetworkPolicy(price_sensitive, 0.0), UNLIMITED_BUDGET
    )
    policy = NetworkPolicy(price_sensitive, SpendForecast(price_sensitive, RANDOM_CUSTOMERS))
    campaign = CampaignSimulator(RANDOM_CUSTOMERS, 4, seed=9).run(policy, 0.4 * unconstrained.spend)

    assert 0.85 < campaign.spend / campaign.budget <= 1
    assert len(set(campaign.prices)) > 3

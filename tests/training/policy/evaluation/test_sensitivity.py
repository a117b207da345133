"""Effects of a wrong assumption, in simulations small enough to reason about."""

import numpy as np
import pandas as pd
import pytest

from services.policy.response.model import RESPONSE_MODEL, Customers
from training.policy.bound import LagrangianBound
from training.policy.evaluation.policies import IndexPolicy, MyopicPolicy, NoContactPolicy
from training.policy.evaluation.sensitivity import Scenario, evaluate_scenario, optimal_levels, scenarios
from training.policy.simulation.campaign import NO_CONTACT, CampaignSimulator

SEEDS = (1, 2)


def make_customers(number: int = 30) -> Customers:
    rng = np.random.default_rng(3)
    risk = rng.uniform(0.1, 0.9, number)
    return Customers(-np.log1p(-risk) / 90, np.sort(rng.uniform(0, 0.6, (number, 4))), rng.uniform(20, 120, number))


def make_people(number: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    accept = {f"accept_prob_{level}": rng.random(number) for level in range(4)}
    return pd.DataFrame({"churn_risk": rng.uniform(0.1, 0.9, number), **accept, "monthly_charges": 50.0})


def test_a_wrong_scorer_changes_the_outcomes_and_not_what_a_policy_sees() -> None:
    predicted = make_customers()
    actual = Customers(predicted.hazard * 2, predicted.accept, predicted.bill)
    right, wrong = CampaignSimulator(predicted, 2, 1), CampaignSimulator(predicted, 2, 1, truth=actual)

    assert (wrong.customers.hazard == right.customers.hazard).all()
    revenue = wrong.run(NoContactPolicy(), 0).revenue
    assert revenue < right.run(NoContactPolicy(), 0).revenue
    assert revenue == CampaignSimulator(actual, 2, 1).run(NoContactPolicy(), 0).revenue


def test_incremental_value_is_by_the_actual_customers_too() -> None:
    predicted = make_customers()
    never_accept = Customers(predicted.hazard, predicted.accept * 0, predicted.bill)

    campaign = CampaignSimulator(predicted, 2, 1, truth=never_accept).run(MyopicPolicy(), 1e6)

    assert campaign.contacts.sum() > 0
    assert campaign.spend == 0
    assert campaign.incremental_value < 0


def test_the_first_scenario_has_the_original_assumptions_and_each_other_changes_one() -> None:
    people = make_people()
    original, *others = scenarios(people, people.assign(accept_prob_1=0.5), people.assign(accept_prob_1=0.0))

    assert (original.response_model, original.predicted.hazard.tolist()) == (
        RESPONSE_MODEL,
        original.actual.hazard.tolist(),
    )
    for scenario in others:
        parameters = sum(a != b for a, b in zip(scenario.response_model, RESPONSE_MODEL, strict=True))
        rescored = bool((scenario.predicted.accept != original.predicted.accept).any())
        miscalibrated = bool((scenario.predicted.hazard != scenario.actual.hazard).any())
        assert parameters + rescored + miscalibrated == 1, scenario.name


def test_the_scorers_risk_is_the_same_over_any_number_of_days() -> None:
    people = make_people()
    by_days = [scenario for scenario in scenarios(people, people, people) if scenario.name == "risk_days"]

    assert [scenario.response_model.risk_days for scenario in by_days] == [30, 180]
    for scenario in by_days:
        risk = -np.expm1(-scenario.predicted.hazard * scenario.response_model.risk_days)
        assert risk == pytest.approx(people["churn_risk"].to_numpy())


def test_the_optimal_policy_offers_fewer_discounts_at_a_higher_price_and_contacts_nobody_without_an_effect() -> None:
    customers = make_customers()
    discounts = [int((optimal_levels(customers, price, RESPONSE_MODEL) > 0).sum()) for price in (0.0, 3.0, 30.0)]

    assert discounts[0] > discounts[1] > discounts[2]
    no_effect = RESPONSE_MODEL._replace(effect=0.0)
    assert (optimal_levels(customers, 0.0, no_effect) == NO_CONTACT).all()


def test_a_policy_reaches_more_of_the_bound_under_its_own_assumptions_than_under_others() -> None:
    customers = make_customers()
    budget = 0.5 * LagrangianBound(customers).unconstrained_spend
    price = LagrangianBound(customers).at_budget(budget).price
    policy = IndexPolicy(customers, np.array([price]), reprice=False)
    levels = optimal_levels(customers, price, RESPONSE_MODEL)
    weaker = RESPONSE_MODEL._replace(effect=0.25)

    original, changed = (
        evaluate_scenario(scenario, levels, policy, budget, 20, SEEDS)
        for scenario in (
            Scenario("as assumed", "", RESPONSE_MODEL, customers, customers),
            Scenario("effect", "0.25", weaker, customers, customers),
        )
    )

    assert (original.agreement, original.price) == (1, price)
    assert original.share_of_bound.mean > changed.share_of_bound.mean
    assert changed.agreement < 1
    assert changed.contact_rate < original.contact_rate

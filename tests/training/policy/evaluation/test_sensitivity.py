"""What a wrong assumption changes, in worlds small enough to reason about."""

import numpy as np
import pandas as pd
import pytest

from services.policy.response.model import RESPONSE_MODEL, Customers
from training.policy.evaluation.bound import LagrangianBound
from training.policy.evaluation.policies import IndexPolicy, MyopicPolicy, NoContactPolicy
from training.policy.evaluation.sensitivity import Case, cases, moved, optimum
from training.policy.simulation.campaign import NO_CONTACT, CampaignSimulator

SEEDS = (1, 2)


def some(number: int = 30) -> Customers:
    rng = np.random.default_rng(3)
    risk = rng.uniform(0.1, 0.9, number)
    return Customers(-np.log1p(-risk) / 90, np.sort(rng.uniform(0, 0.6, (number, 4))), rng.uniform(20, 120, number))


def people(number: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    accept = {f"accept_prob_{level}": rng.random(number) for level in range(4)}
    return pd.DataFrame({"churn_risk": rng.uniform(0.1, 0.9, number), **accept, "monthly_charges": 50.0})


def test_a_scorer_that_is_wrong_changes_what_happens_and_not_what_a_policy_sees() -> None:
    seen = some()
    twice = Customers(seen.hazard * 2, seen.accept, seen.bill)
    right, wrong = CampaignSimulator(seen, 2, 1), CampaignSimulator(seen, 2, 1, truth=twice)

    assert (wrong.customers.hazard == right.customers.hazard).all()
    assert wrong.run(NoContactPolicy(), 0).revenue < right.run(NoContactPolicy(), 0).revenue
    assert wrong.run(NoContactPolicy(), 0).revenue == CampaignSimulator(twice, 2, 1).run(NoContactPolicy(), 0).revenue


def test_gains_are_by_the_truth_too() -> None:
    seen = some()
    unwilling = Customers(seen.hazard, seen.accept * 0, seen.bill)

    account = CampaignSimulator(seen, 2, 1, truth=unwilling).run(MyopicPolicy(), 1e6)

    assert account.contacts.sum() > 0
    assert account.spend == 0
    assert account.incremental_value < 0


def test_the_first_case_is_the_assumed_world_and_each_other_differs_from_it_in_one_thing() -> None:
    who = people()
    first, *others = cases(who, who.assign(accept_prob_1=0.5), who.assign(accept_prob_1=0.0))

    assert (first.response_model, first.seen.hazard.tolist()) == (RESPONSE_MODEL, first.true.hazard.tolist())
    for case in others:
        worlds = sum(a != b for a, b in zip(case.response_model, RESPONSE_MODEL, strict=True))
        rescored = bool((case.seen.accept != first.seen.accept).any())
        miscalibrated = bool((case.seen.hazard != case.true.hazard).any())
        assert worlds + rescored + miscalibrated == 1, case.name


def test_whatever_the_days_are_the_scorers_risk_stays_the_same() -> None:
    who = people()
    found = [case for case in cases(who, who, who) if case.name == "risk_days"]

    assert [case.response_model.risk_days for case in found] == [30, 180]
    for case in found:
        assert -np.expm1(-case.seen.hazard * case.response_model.risk_days) == pytest.approx(
            who["churn_risk"].to_numpy()
        )


def test_the_optimum_offers_fewer_discounts_where_money_is_dearer_and_nobody_is_contacted_for_nothing() -> None:
    counts = [int((optimum(some(), price, RESPONSE_MODEL) > 0).sum()) for price in (0.0, 3.0, 30.0)]

    assert counts[0] > counts[1] > counts[2]
    assert (optimum(some(), 0.0, RESPONSE_MODEL._replace(effect=0.0)) == NO_CONTACT).all()


def test_in_the_assumed_world_decisions_are_the_same_and_its_own_policy_reaches_more_than_in_another() -> None:
    customers = some()
    budget = 0.5 * LagrangianBound(customers).unconstrained_spend
    price = LagrangianBound(customers).at_budget(budget).price
    policy, before = IndexPolicy(customers, np.array([price]), reprice=False), optimum(customers, price, RESPONSE_MODEL)
    other = RESPONSE_MODEL._replace(effect=0.25)

    same = moved(Case("as assumed", "", RESPONSE_MODEL, customers, customers), before, policy, budget, 20, SEEDS)
    less = moved(Case("effect", "0.25", other, customers, customers), before, policy, budget, 20, SEEDS)

    assert (same.same, same.price) == (1, price)
    assert same.share.mean > less.share.mean
    assert less.same < 1
    assert less.contacted < same.contacted

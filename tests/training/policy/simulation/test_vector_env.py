"""The vector environment against the Gymnasium one, against days written out, and against the dynamic program."""

from math import exp, inf
from typing import Any

import numpy as np
import pytest

from services.policy.policies.observation import OBSERVATION
from services.policy.response.dynamic_program import RULES, DynamicProgram
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, expected_revenue
from training.policy.simulation.env import RetentionEnv, RewardTerms
from training.policy.simulation.vector_env import RetentionVectorEnv


def random_customers(number: int = 50) -> Customers:
    """Facts that single precision holds exactly, so that random numbers decide alike in both environments."""
    rng = np.random.default_rng(0)
    facts = rng.uniform(0.001, 0.05, number), rng.uniform(0, 1, (number, 4)), rng.uniform(20, 120, number)
    return Customers(*(fact.astype(np.float32).astype(float) for fact in facts))


def single_customer(hazard: float = 0.01, accept: float = 0.5, bill: float = 60.0) -> Customers:
    return Customers(np.array([hazard]), np.full((1, 4), accept), np.array([bill]))


def vector_env(customers: Customers, num_envs: int, seed: int = 0, **options: Any) -> RetentionVectorEnv:
    return RetentionVectorEnv(customers, num_envs, np.random.default_rng(seed), **options)


def for_all(
    env: RetentionVectorEnv, contact: bool, level: int, delay: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same action for every customer."""
    return np.full(env.num_envs, contact), np.full(env.num_envs, level), np.full(env.num_envs, delay)


@pytest.mark.slow
@pytest.mark.parametrize("budget", [inf, 15.0, 0.0])
def test_both_environments_do_the_same_with_the_same_random_numbers(budget: float) -> None:
    """Thousands of steps of all kinds: each term and observation, and how episodes end."""
    env, envs = RetentionEnv(random_customers(), price=0.7), vector_env(random_customers(), 1, seed=4, budget=budget)
    envs.price, rng, ends = np.float32(0.7), np.random.default_rng(1), {"terminated": 0, "truncated": 0}
    env.budget = envs.funds  # what earlier customers left or overspent is carried over
    observation, _ = env.reset(seed=4)
    for _ in range(4_000):
        assert envs.observe()[:, 0].tolist() == pytest.approx(observation.tolist(), abs=1e-5)
        contact, level, delay = action = rng.integers([2, 4, 8])
        observation, _, terminated, truncated, terms = env.step(action)
        transition = envs.step(np.array([contact > 0]), np.array([level]), np.array([delay]))
        vector_terms = {name: np.asarray(term).item() for name, term in transition.terms._asdict().items()}
        assert vector_terms == pytest.approx(terms, rel=1e-4, abs=1e-4)
        assert (transition.terminated.item(), transition.truncated.item()) == (terminated, truncated)
        if transition.done.item():
            ends["terminated"] += terminated
            ends["truncated"] += truncated
            envs.reset_done(transition.done)
            env.budget = envs.funds
            observation, _ = env.reset()
    assert min(ends.values()) > 50


def test_a_delay_is_the_same_as_days_without_contact() -> None:
    """One step of env days is as env steps of a day: in the probability of staying, and in state."""
    long, short = (vector_env(random_customers(), 500, survival_weighted=True) for _ in range(2))
    rng = np.random.default_rng(1)
    for _ in range(40):
        contact, level, delay = rng.random(500) < 0.3, rng.integers(0, 4, 500), int(rng.integers(8))
        transition = long.step(contact, level, np.full(500, delay))
        daily = [short.step(contact & (day == 0), level, np.zeros(500, int)) for day in range(1 + delay)]
        assert np.sum([day.days for day in daily], axis=0) == pytest.approx(transition.days)
        assert np.prod([day.survival for day in daily], axis=0) == pytest.approx(transition.survival, rel=1e-5)
        assert short.observe() == pytest.approx(long.observe(), abs=1e-6)
        for env in (long, short):
            env.reset_done(transition.truncated)


def value_of_year(env: RetentionVectorEnv, contact_days: range, level: int) -> float:
    """Expected money of a customer's year less all costs; `env` must be survival-weighted."""
    money, survival = np.zeros(env.num_envs), np.ones(env.num_envs)
    for day in range(env.rules.campaign_days):
        transition = env.step(*for_all(env, day in contact_days, level, 0))
        money += survival * profit(transition.terms)
        survival *= transition.survival
    return float((money + survival * value_after_campaign(env)).mean())


def profit(terms: RewardTerms) -> np.ndarray:
    return np.asarray(terms.revenue_retained - terms.offer_cost - terms.contact_cost)


def value_after_campaign(env: RetentionVectorEnv) -> np.ndarray:
    """Expected revenue of the rest of the year without further contacts [n]."""
    hazard, accept, bill = (fact.astype(float) for fact in (env.hazard, env.accept.T, env.bill))
    return expected_revenue(
        Customers(hazard, accept, bill),
        env.response_model.value_days - env.day,
        env.state.offer_days_left,
        env.state.fatigue_days_left(env.response_model),
        env.state.contacts,
        env.response_model,
    )


@pytest.mark.parametrize("level", range(4))
def test_daily_contacts_are_worse_than_none_even_if_messages_were_free(level: int) -> None:
    response_model, customers = RESPONSE_MODEL._replace(contact_cost=0.0), single_customer(accept=0.3)
    daily, once, never = (
        value_of_year(vector_env(customers, 500, survival_weighted=True, response_model=response_model), days, level)
        for days in (range(90), range(1), range(0))
    )
    assert never == pytest.approx(60 / 30 * sum(exp(-0.01 * day) for day in range(365)), rel=1e-4)
    assert daily < never - 1
    assert never + 1 < once


def test_the_budget_is_shared_and_spend_beyond_it_is_a_violation() -> None:
    env = vector_env(single_customer(hazard=1e-9, accept=1.0, bill=100.0), 3, budget=5.0)
    budget_remaining = OBSERVATION.index("budget_remaining")
    assert env.observe()[budget_remaining].tolist() == [1, 1, 1]

    terms = env.step(*for_all(env, True, 2, 0)).terms  # 10 each, of 15

    assert terms.offer_cost.tolist() == pytest.approx([10, 10, 10])
    assert terms.budget_violation.tolist() == pytest.approx([0, 5, 10])
    assert env.observe()[budget_remaining].tolist() == [0, 0, 0]
    assert env.step(*for_all(env, True, 1, 0)).terms.budget_violation.tolist() == pytest.approx([5, 5, 5])
    env.reset_done(np.array([True, True, True]))
    assert env.funds == pytest.approx(15 - 30 - 15 + 15)


def test_a_sufficient_budget_is_never_violated() -> None:
    env = vector_env(random_customers(), 100, budget=1e6)
    for _ in range(20):
        assert not env.step(*for_all(env, True, 3, 1)).terms.budget_violation.any()


def test_forbidden_contacts_are_masked_and_counted_as_violations() -> None:
    env = vector_env(single_customer(hazard=1e-9, accept=0.0), 1)
    eligible, violations = [], []
    for day in range(60):
        eligible.append(env.eligible().item())
        violations.append(env.step(*for_all(env, day in (0, 1, 20, 40, 59), 0, 0)).terms.fatigue_violation.item())

    assert np.flatnonzero(eligible).tolist() == [0, *range(15, 21)]  # not in a cooldown, nor after the third contact
    assert np.flatnonzero(violations).tolist() == [1, 40, 59]


def test_a_customer_is_not_eligible_while_an_accepted_offer_holds() -> None:
    env = vector_env(single_customer(hazard=1e-9, accept=1.0), 1)
    env.step(*for_all(env, True, 1, 0))
    days = 1
    while not env.eligible().item():
        env.step(*for_all(env, False, 0, 0))
        days += 1
    assert days == RESPONSE_MODEL.effect_days[1]


def test_survival_weighting_changes_no_expectation_and_lowers_the_variance() -> None:
    """Survival, revenue and offer costs: sampled churn against survival as a weight, day by day."""
    number, customers = 40_000, single_customer(hazard=0.03, accept=0.4)
    sampled, weighted = (vector_env(customers, number, seed=seed, survival_weighted=seed > 0) for seed in (0, 1))
    active, survival = np.ones(number, bool), np.ones(number)
    totals = np.zeros((2, 2, number))
    for day in range(30):
        action = for_all(sampled, day in (0, 14), 2, 0)
        transition, weighted_transition = sampled.step(*action), weighted.step(*action)
        for total, weight, terms in zip(
            totals, (active, survival), (transition.terms, weighted_transition.terms), strict=True
        ):
            total += weight * np.array([terms.revenue_retained, terms.offer_cost])
        active, survival = active & ~transition.terminated, survival * weighted_transition.survival
        assert not weighted_transition.terminated.any()
    difference = totals[0].mean(axis=1) - totals[1].mean(axis=1)
    error = np.sqrt((totals.var(axis=2) / number).sum(axis=0))
    assert (abs(difference) < 4 * error).all()
    assert active.mean() == pytest.approx(survival.mean(), abs=4 * np.sqrt(0.25 / number))
    assert totals[1].var(axis=1).sum() < totals[0].var(axis=1).sum()


def test_a_customer_who_churns_within_a_step_pays_until_then() -> None:
    """The mean over a step of eight days is that over eight steps of one."""
    number, hazard = 40_000, 0.2
    env = vector_env(single_customer(hazard=hazard), number)
    revenue = env.step(*for_all(env, False, 0, 7)).terms.revenue_retained
    expected = 2 * sum(exp(-hazard * day) for day in range(8))
    assert revenue.mean() == pytest.approx(expected, abs=4 * 16 / 2 / np.sqrt(number))


def daily_revenue(
    hazard: float, bill: float, days: int, days_since_contact: int, offer_days_left: int, contacts: int
) -> float:
    """Expected revenue without further contacts, day by day."""
    total, survival = 0.0, 1.0
    for day in range(days):
        total += survival * bill / 30
        fatigue = RESPONSE_MODEL.fatigue * contacts * (days_since_contact + day < RESPONSE_MODEL.fatigue_days)
        survival *= exp(-hazard * (1 - RESPONSE_MODEL.effect * (day < offer_days_left) + fatigue))
    return total


def test_the_incremental_value_is_the_expected_difference_that_a_contact_makes() -> None:
    """Against the customer's days written out, with and without the contact."""
    rng, env = np.random.default_rng(3), vector_env(random_customers(), 60)
    env.day[:], env.state.days_since_contact[:] = rng.integers(0, 90, 60), rng.integers(0, 30, 60)
    env.state.offer_days_left[:], env.state.contacts[:] = rng.integers(0, 40, 60), rng.integers(0, 4, 60)
    rows, levels = np.arange(0, 60, 2), rng.integers(0, 4, 30)

    values, costs = env.incremental_value(rows, levels)

    for row, level, value, cost in zip(rows, levels, values, costs, strict=True):
        accept, bill, days = float(env.accept[level, row]), float(env.bill[row]), 365 - int(env.day[row])
        offer_days_left, contacts = int(env.state.offer_days_left[row]), int(env.state.contacts[row])

        def revenue(*state: int, customer: tuple[float, float, int] = (float(env.hazard[row]), bill, days)) -> float:
            return daily_revenue(*customer, *state)

        before = revenue(int(env.state.days_since_contact[row]), offer_days_left, contacts)
        accepted = revenue(0, max(offer_days_left, RESPONSE_MODEL.effect_days[level]), contacts + 1)
        declined = revenue(0, offer_days_left, contacts + 1)
        expected = accept * (accepted - DISCOUNTS[level] * bill) + (1 - accept) * declined
        assert value == pytest.approx(expected - before - RESPONSE_MODEL.contact_cost, abs=1e-3)
        assert cost == pytest.approx(accept * DISCOUNTS[level] * bill)


def test_incremental_values_add_up_to_the_return_over_doing_nothing() -> None:
    """Whatever is done, also what the gate forbids: the potential telescopes, so only luck is between the two."""
    number, rng = 20_000, np.random.default_rng(5)
    env = vector_env(random_customers(), number, survival_weighted=True)
    nothing = value_after_campaign(env)
    value, money, survival = np.zeros(number), np.zeros(number), np.ones(number)
    for _ in range(env.rules.campaign_days):
        contact, level = rng.random(number) < 0.05, rng.integers(0, 4, number)
        rows = np.flatnonzero(contact)
        value[rows] += survival[rows] * env.incremental_value(rows, level[rows])[0]
        transition = env.step(contact, level, np.zeros(number, int))
        money += survival * profit(transition.terms)
        survival *= transition.survival
    difference = money + survival * value_after_campaign(env) - nothing - value

    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(number)
    assert abs(value.mean()) > 40 * difference.std() / np.sqrt(number), "or an error of a tenth would not show"


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_the_optimal_policy_has_the_value_and_the_spend_of_the_dynamic_program(price: float) -> None:
    customers, number = Customers(np.array([0.015]), np.array([[0.2, 0.4, 0.5, 0.6]]), np.array([80.0])), 10_000
    days = {day.day: day for day in DynamicProgram(customers).solve(price)}
    env = vector_env(customers, number, survival_weighted=True)
    totals = np.zeros((2, number))
    for day in range(RULES.campaign_days):
        contacts = np.minimum(env.state.contacts, RULES.contact_cap - 1).astype(int)
        contact = env.eligible() & (days[day].contact.max(axis=0) > days[day].wait)[0, contacts]
        level, rows = days[day].contact.argmax(axis=0)[0, contacts], np.flatnonzero(contact)
        value, cost = env.incremental_value(rows, level[rows])
        totals[:, rows] += np.exp(-env.state.cumulative_hazard[rows]) * np.array([value - price * cost, cost])
        env.step(contact, level, np.zeros(number, int))
    optimum, error = [days[0].best[0, 0], days[0].spend[0, 0]], totals.std(axis=1) / np.sqrt(number)

    assert abs(totals.mean(axis=1) - optimum) == pytest.approx([0, 0], abs=4 * error.max())
    assert (totals.mean(axis=1) > 20 * error).all()


def test_only_customers_who_are_done_are_replaced() -> None:
    env = vector_env(random_customers(), 200)
    done = env.step(*for_all(env, True, 1, 7)).done

    def facts() -> list[np.ndarray]:
        return [
            env.accept.copy(),
            *(fact.copy() for fact in (env.hazard, env.bill, env.day, *vars(env.state).values())),
        ]

    before = facts()
    env.reset_done(done)

    assert 0 < done.sum() < 200
    for old, new in zip(before, facts(), strict=True):
        assert (old[..., ~done] == new[..., ~done]).all()
    assert (env.hazard[done] != before[1][done]).any()
    assert not env.state.contacts[done].any()
    assert not env.day[done].any()
    assert env.eligible()[done].all()


def test_the_end_of_the_campaign_truncates_the_episodes_of_active_customers() -> None:
    env = vector_env(single_customer(hazard=0.01), 2_000)
    active = np.ones(2_000, bool)
    for _ in range(12):
        transition = env.step(*for_all(env, False, 0, 7))
        assert not (transition.terminated & transition.truncated).any()
        active &= ~transition.terminated
    assert transition.days.tolist() == [2] * 2_000
    assert transition.truncated.sum() == active.sum()

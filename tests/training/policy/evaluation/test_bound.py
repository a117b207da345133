"""The bound against two customers' joint problem, written out: every day, every pair of actions, every outcome."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from math import exp
from typing import NamedTuple

import numpy as np
import pytest

from services.policy.response.dynamic_program import Rules
from services.policy.response.model import DISCOUNTS, Customers, ResponseModel
from training.policy.evaluation.bound import LagrangianBound

RESPONSE_MODEL = ResponseModel(
    value_days=60, effect=0.9, effect_days=(2, 3, 4, 5), fatigue=0.2, fatigue_days=1, contact_cost=0.02
)
RULES = Rules(cooldown=2, cap=2, quarter=4)
LEVELS = range(len(DISCOUNTS))


class One(NamedTuple):
    """A customer who is still there."""

    days_since_contact: int = 100
    offer_days_left: int = 0
    contacts: int = 0


State = tuple[One | None, One | None]
"""Of both; None has left."""
Actions = tuple[int | None, int | None]
"""The level offered to each; None is no contact."""
Plans = Callable[[int, State, float], Iterator[Actions]]
"""The actions to choose the best of, on a day, in a state, with so much money left."""


def two(seed: int) -> Customers:
    rng = np.random.default_rng(seed)
    return Customers(rng.uniform(0.02, 0.08, 2), np.sort(rng.uniform(0, 0.9, (2, 4))), rng.uniform(40, 100, 2))


def earned(customers: Customers, budget: float, plans: Plans, rules: Rules = RULES) -> float:
    """Money both are expected to pay, less discounts and contacts, if the best of `plans` is done each day."""

    def active(who: int, one: One) -> float:
        fatigue_days_left = one.contacts if one.days_since_contact < RESPONSE_MODEL.fatigue_days else 0
        return exp(
            -customers.hazard[who]
            * (1 - RESPONSE_MODEL.effect * (one.offer_days_left > 0) + RESPONSE_MODEL.fatigue * fatigue_days_left)
        )

    def later(one: One) -> One:
        return One(min(one.days_since_contact + 1, 100), max(one.offer_days_left - 1, 0), one.contacts)

    def answers(who: int, one: One | None, level: int | None) -> list[tuple[float, float, One | None]]:
        """To an action: probability, money spent, and what the customer is then."""
        if one is None or level is None:
            return [(1.0, 0.0, one)]
        accept, cost = customers.accept[who, level], DISCOUNTS[level] * customers.bill[who]
        accepted, declined = One(0, RESPONSE_MODEL.effect_days[level], one.contacts + 1), One(0, 0, one.contacts + 1)
        return [(accept, cost, accepted), (1 - accept, 0.0, declined)]

    def nights(who: int, one: One | None) -> list[tuple[float, One | None]]:
        if one is None:
            return [(1.0, None)]
        return [(active(who, one), later(one)), (1 - active(who, one), None)]

    def alone(who: int, day: int, one: One | None) -> float:
        """To the end, once the quarter is over."""
        paid, probability = 0.0, 1.0
        for _ in range(day, RESPONSE_MODEL.value_days if one else day):
            paid, probability, one = (
                paid + probability * customers.bill[who] / 30,
                probability * active(who, one),
                later(one),
            )
        return paid

    @cache
    def best(day: int, state: State, funds: float) -> float:
        if day == rules.quarter:
            return sum(alone(who, day, one) for who, one in enumerate(state))
        return max(acted(day, state, funds, actions) for actions in plans(day, state, funds))

    def acted(day: int, state: State, funds: float, actions: Actions) -> float:
        mean = -RESPONSE_MODEL.contact_cost * sum(level is not None for level in actions)
        for (p, cost, one), (q, price, other) in product(*map(answers, (0, 1), state, actions)):
            mean += p * q * (slept(day, (one, other), round(funds - cost - price, 9)) - cost - price)
        return mean

    @cache
    def slept(day: int, state: State, funds: float) -> float:
        paid = sum(customers.bill[who] / 30 for who, one in enumerate(state) if one)
        outcomes = product(*map(nights, (0, 1), state))
        return paid + sum(p * q * best(day + 1, (one, other), funds) for (p, one), (q, other) in outcomes)

    return float(best(0, (One(), One()), budget))


def cost(customers: Customers, actions: Actions) -> float:
    """If they accept."""
    return sum(DISCOUNTS[a] * bill for a, bill in zip(actions, customers.bill, strict=True) if a is not None)


def may(one: One | None, rules: Rules = RULES) -> bool:
    return (
        one is not None
        and one.days_since_contact >= rules.cooldown
        and one.contacts < rules.cap
        and one.offer_days_left == 0
    )


def all_of(customers: Customers, rules: Rules = RULES) -> Plans:
    """Whatever the gate and the money allow."""

    def plans(day: int, state: State, funds: float) -> Iterator[Actions]:
        each = ([None, *LEVELS] if may(one, rules) else [None] for one in state)
        return (actions for actions in product(*each) if cost(customers, actions) <= funds)

    return plans


def nothing(day: int, state: State, funds: float) -> Iterator[Actions]:
    yield None, None


def index(customers: Customers, price: float) -> Plans:
    """The best for each alone at that price, while the money lasts."""
    [problem] = LagrangianBound(customers, response_model=RESPONSE_MODEL, rules=RULES).programs
    stages = {stage.day: stage for stage in problem.solve(price)}

    def wants(who: int, day: int, one: One | None) -> int | None:
        if one is None or not may(one):
            return None
        contact = stages[day].contact[:, who, one.contacts]
        return int(contact.argmax()) if contact.max() > stages[day].wait[who, one.contacts] else None

    def plans(day: int, state: State, funds: float) -> Iterator[Actions]:
        first, second = (wants(who, day, one) for who, one in enumerate(state))
        first = first if cost(customers, (first, None)) <= funds else None
        yield first, second if cost(customers, (first, second)) <= funds else None

    return plans


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rules", [RULES, Rules(cooldown=1, cap=2, quarter=3)])
def test_with_money_enough_two_customers_gain_what_each_gains_alone(seed: int, rules: Rules) -> None:
    customers = two(seed)
    gained = earned(customers, 1e6, all_of(customers, rules), rules) - earned(customers, 1e6, nothing, rules)

    assert LagrangianBound(customers, response_model=RESPONSE_MODEL, rules=rules).at_price(
        0.0
    ).net_value == pytest.approx(gained, abs=1e-9)
    assert gained > 0.1  # there was something to decide


@pytest.mark.parametrize("seed", range(3))
def test_no_policy_within_a_hard_budget_gains_more_than_the_bound(seed: int) -> None:
    customers = two(seed)
    portfolio, none = (
        LagrangianBound(customers, response_model=RESPONSE_MODEL, rules=RULES),
        earned(customers, 0, nothing),
    )
    free, rng = portfolio.at_price(0.0), np.random.default_rng(seed)
    for share in (0, 0.7, 1.5, 4):
        budget = share * free.spend
        dual = portfolio.at_budget(budget)
        optimum = earned(customers, budget, all_of(customers)) - none
        by_index = earned(customers, budget, index(customers, dual.price)) - none
        assert by_index <= optimum + 1e-9
        assert optimum <= dual.upper_bound(budget) + 1e-9
        for price in rng.uniform(0, 4, 4):  # weak duality: at any price
            assert optimum <= portfolio.at_price(price).upper_bound(budget) + 1e-9
    assert (
        by_index == pytest.approx(optimum) == pytest.approx(dual.upper_bound(budget))
    )  # at last there is enough for all


def many(number: int = 20) -> Customers:
    rng = np.random.default_rng(9)
    risk = rng.uniform(0.02, 0.9, number)
    return Customers(-np.log1p(-risk) / 90, np.sort(rng.uniform(0, 0.6, (number, 4))), rng.uniform(20, 120, number))


def test_the_dual_is_convex_and_spend_falls_as_the_price_rises() -> None:
    portfolio, prices = LagrangianBound(many()), np.linspace(0, 4, 21)
    budget = portfolio.unconstrained_spend / 2
    duals = [portfolio.at_price(float(price)) for price in prices]
    bounds, spend = (np.array([dual.upper_bound(budget) for dual in duals]), np.array([dual.spend for dual in duals]))

    assert (np.diff(bounds, 2) > -1e-9).all()
    assert (np.diff(spend) < 1e-9).all()
    assert spend[0] > 2 * spend[-1]
    assert bounds[0] > bounds.min() < bounds[-1]  # so the lowest is inside


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_the_bound_is_the_lowest_dual_and_its_price_keeps_the_budget(share: float) -> None:
    portfolio = LagrangianBound(many())
    budget = share * portfolio.unconstrained_spend

    dual = portfolio.at_budget(budget)

    assert dual.spend <= budget < portfolio.at_price(dual.price * (1 - 1e-3)).spend
    lowest = min(
        portfolio.at_price(float(price)).upper_bound(budget) for price in dual.price * np.linspace(0.5, 1.5, 21)
    )
    assert dual.upper_bound(budget) <= lowest + 1e-4 * budget


def test_money_that_suffices_costs_nothing() -> None:
    portfolio = LagrangianBound(many())

    assert portfolio.at_budget(portfolio.unconstrained_spend).price == 0
    assert portfolio.at_budget(1e9) == portfolio.at_price(0.0)


def test_twice_the_customers_gain_twice_as_much_with_twice_the_budget() -> None:
    once = many()
    budget = 0.3 * LagrangianBound(once).unconstrained_spend
    twice = Customers(*(np.concatenate([fact, fact]) for fact in once))

    price, gain, spend = LagrangianBound(once).at_budget(budget)

    assert LagrangianBound(twice).at_budget(2 * budget) == pytest.approx((price, 2 * gain, 2 * spend))
    assert LagrangianBound(once, copies=2).at_budget(2 * budget) == pytest.approx((price, 2 * gain, 2 * spend))


def test_a_portfolio_solved_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LagrangianBound(many()).at_price(0.7)
    monkeypatch.setattr("training.policy.evaluation.bound.CHUNK_SIZE", 7)

    assert LagrangianBound(many()).at_price(0.7) == pytest.approx(whole)

"""The bound against two customers' joint problem, enumerated: every day, every pair of actions, every outcome."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from math import exp
from typing import NamedTuple

import numpy as np
import pytest

from services.policy.response.dynamic_program import Rules
from services.policy.response.model import DISCOUNTS, Customers, ResponseModel
from training.policy.bound import LagrangianBound

RESPONSE_MODEL = ResponseModel(
    value_days=60, effect=0.9, effect_days=(2, 3, 4, 5), fatigue=0.2, fatigue_days=1, contact_cost=0.02
)
RULES = Rules(cooldown_days=2, contact_cap=2, campaign_days=4)
LEVELS = range(len(DISCOUNTS))


class CustomerState(NamedTuple):
    """Of a customer who has not churned."""

    days_since_contact: int = 100
    offer_days_left: int = 0
    contacts: int = 0


State = tuple[CustomerState | None, CustomerState | None]
"""Of both customers; None after churn."""
Actions = tuple[int | None, int | None]
"""The level offered to each customer; None is no contact."""
ActionSet = Callable[[int, State, float], Iterator[Actions]]
"""The actions to choose the best of, on a day, in a state, with these funds."""


def two_customers(seed: int) -> Customers:
    rng = np.random.default_rng(seed)
    return Customers(rng.uniform(0.02, 0.08, 2), np.sort(rng.uniform(0, 0.9, (2, 4))), rng.uniform(40, 100, 2))


def optimal_value(customers: Customers, budget: float, actions: ActionSet, rules: Rules = RULES) -> float:
    """Expected bills of both customers, less discounts and contacts, under the best of `actions` each day; money."""

    def survival(customer: int, state: CustomerState) -> float:
        """Of one day."""
        fatigue = state.contacts if state.days_since_contact < RESPONSE_MODEL.fatigue_days else 0
        effect = RESPONSE_MODEL.effect * (state.offer_days_left > 0)
        return exp(-customers.hazard[customer] * (1 - effect + RESPONSE_MODEL.fatigue * fatigue))

    def next_day(state: CustomerState) -> CustomerState:
        return CustomerState(min(state.days_since_contact + 1, 100), max(state.offer_days_left - 1, 0), state.contacts)

    def responses(
        customer: int, state: CustomerState | None, level: int | None
    ) -> list[tuple[float, float, CustomerState | None]]:
        """Probability, spend and next state of each response to an action."""
        if state is None or level is None:
            return [(1.0, 0.0, state)]
        accept, cost = customers.accept[customer, level], DISCOUNTS[level] * customers.bill[customer]
        accepted = CustomerState(0, RESPONSE_MODEL.effect_days[level], state.contacts + 1)
        declined = CustomerState(0, 0, state.contacts + 1)
        return [(accept, cost, accepted), (1 - accept, 0.0, declined)]

    def overnight(customer: int, state: CustomerState | None) -> list[tuple[float, CustomerState | None]]:
        """Probability and state of each outcome of a night."""
        if state is None:
            return [(1.0, None)]
        stays = survival(customer, state)
        return [(stays, next_day(state)), (1 - stays, None)]

    def value_after_campaign(customer: int, day: int, state: CustomerState | None) -> float:
        value, probability = 0.0, 1.0
        for _ in range(day, RESPONSE_MODEL.value_days):
            if state is None:
                break
            value += probability * customers.bill[customer] / 30
            probability *= survival(customer, state)
            state = next_day(state)
        return value

    @cache
    def value(day: int, state: State, funds: float) -> float:
        if day == rules.campaign_days:
            return sum(
                value_after_campaign(customer, day, customer_state) for customer, customer_state in enumerate(state)
            )
        return max(action_value(day, state, funds, pair) for pair in actions(day, state, funds))

    def action_value(day: int, state: State, funds: float, pair: Actions) -> float:
        mean = -RESPONSE_MODEL.contact_cost * sum(level is not None for level in pair)
        for (p, cost, first), (q, other_cost, second) in product(*map(responses, (0, 1), state, pair)):
            left = round(funds - cost - other_cost, 9)
            mean += p * q * (value_overnight(day, (first, second), left) - cost - other_cost)
        return mean

    @cache
    def value_overnight(day: int, state: State, funds: float) -> float:
        bills: float = sum(
            customers.bill[customer] / 30 for customer, customer_state in enumerate(state) if customer_state
        )
        outcomes = product(*map(overnight, (0, 1), state))
        return bills + sum(p * q * value(day + 1, (first, second), funds) for (p, first), (q, second) in outcomes)

    return float(value(0, (CustomerState(), CustomerState()), budget))


def worst_case_cost(customers: Customers, actions: Actions) -> float:
    """If both accept; money."""
    levels_and_bills = zip(actions, customers.bill, strict=True)
    return sum(float(DISCOUNTS[level] * bill) for level, bill in levels_and_bills if level is not None)


def eligible(state: CustomerState | None, rules: Rules = RULES) -> bool:
    return (
        state is not None
        and state.days_since_contact >= rules.cooldown_days
        and state.contacts < rules.contact_cap
        and state.offer_days_left == 0
    )


def allowed_actions(customers: Customers, rules: Rules = RULES) -> ActionSet:
    """Every pair that the gate and the funds allow."""

    def actions(day: int, state: State, funds: float) -> Iterator[Actions]:
        first, second = ([None, *LEVELS] if eligible(customer_state, rules) else [None] for customer_state in state)
        return (pair for pair in product(first, second) if worst_case_cost(customers, pair) <= funds)

    return actions


def no_contact(day: int, state: State, funds: float) -> Iterator[Actions]:
    yield None, None


def index_policy(customers: Customers, price: float) -> ActionSet:
    """What is optimal for each customer alone at that price, while the funds last."""
    [program] = LagrangianBound(customers, response_model=RESPONSE_MODEL, rules=RULES).programs
    days = {values.day: values for values in program.solve(price)}

    def optimal_level(customer: int, day: int, state: CustomerState | None) -> int | None:
        if state is None or not eligible(state):
            return None
        contact = days[day].contact[:, customer, state.contacts]
        return int(contact.argmax()) if contact.max() > days[day].wait[customer, state.contacts] else None

    def actions(day: int, state: State, funds: float) -> Iterator[Actions]:
        first, second = (optimal_level(customer, day, customer_state) for customer, customer_state in enumerate(state))
        first = first if worst_case_cost(customers, (first, None)) <= funds else None
        yield first, second if worst_case_cost(customers, (first, second)) <= funds else None

    return actions


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rules", [RULES, Rules(cooldown_days=1, contact_cap=2, campaign_days=3)])
def test_with_an_unlimited_budget_the_joint_value_is_the_sum_of_the_customers_values(seed: int, rules: Rules) -> None:
    customers = two_customers(seed)
    optimum = optimal_value(customers, 1e6, allowed_actions(customers, rules), rules)
    incremental = optimum - optimal_value(customers, 1e6, no_contact, rules)

    bound = LagrangianBound(customers, response_model=RESPONSE_MODEL, rules=rules)

    assert bound.at_price(0.0).net_value == pytest.approx(incremental, abs=1e-9)
    assert incremental > 0.1, "there was something to decide"


@pytest.mark.parametrize("seed", range(3))
def test_no_policy_within_a_hard_budget_exceeds_the_bound(seed: int) -> None:
    customers = two_customers(seed)
    bound = LagrangianBound(customers, response_model=RESPONSE_MODEL, rules=RULES)
    nothing, rng = optimal_value(customers, 0, no_contact), np.random.default_rng(seed)
    for share in (0, 0.7, 1.5, 4):
        budget = share * bound.unconstrained_spend
        dual = bound.at_budget(budget)
        optimum = optimal_value(customers, budget, allowed_actions(customers)) - nothing
        index = optimal_value(customers, budget, index_policy(customers, dual.price)) - nothing
        assert index <= optimum + 1e-9
        assert optimum <= dual.upper_bound(budget) + 1e-9
        for price in rng.uniform(0, 4, 4):  # weak duality: at any price
            assert optimum <= bound.at_price(price).upper_bound(budget) + 1e-9
    assert index == pytest.approx(optimum) == pytest.approx(dual.upper_bound(budget)), "the last budget is enough"


def many_customers(number: int = 20) -> Customers:
    rng = np.random.default_rng(9)
    risk = rng.uniform(0.02, 0.9, number)
    return Customers(-np.log1p(-risk) / 90, np.sort(rng.uniform(0, 0.6, (number, 4))), rng.uniform(20, 120, number))


def test_the_dual_is_convex_and_spend_falls_as_the_price_rises() -> None:
    bound, prices = LagrangianBound(many_customers()), np.linspace(0, 4, 21)
    budget = bound.unconstrained_spend / 2
    duals = [bound.at_price(float(price)) for price in prices]
    upper_bounds, spend = np.array([(dual.upper_bound(budget), dual.spend) for dual in duals]).T

    assert (np.diff(upper_bounds, 2) > -1e-9).all()
    assert (np.diff(spend) < 1e-9).all()
    assert spend[0] > 2 * spend[-1]
    assert upper_bounds[0] > upper_bounds.min() < upper_bounds[-1]  # so the lowest is inside


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_the_bound_is_the_lowest_dual_and_its_price_keeps_the_budget(share: float) -> None:
    bound = LagrangianBound(many_customers())
    budget = share * bound.unconstrained_spend

    dual = bound.at_budget(budget)

    assert dual.spend <= budget < bound.at_price(dual.price * (1 - 1e-3)).spend
    prices = dual.price * np.linspace(0.5, 1.5, 21)
    lowest = min(bound.at_price(float(price)).upper_bound(budget) for price in prices)
    assert dual.upper_bound(budget) <= lowest + 1e-4 * budget


def test_a_budget_that_suffices_has_no_shadow_price() -> None:
    bound = LagrangianBound(many_customers())

    assert bound.at_budget(bound.unconstrained_spend).price == 0
    assert bound.at_budget(1e9) == bound.at_price(0.0)


def test_twice_the_customers_have_twice_the_value_with_twice_the_budget() -> None:
    customers = many_customers()
    budget = 0.3 * LagrangianBound(customers).unconstrained_spend
    doubled = Customers(*(np.concatenate([fact, fact]) for fact in customers))

    price, net_value, spend = LagrangianBound(customers).at_budget(budget)

    expected = pytest.approx((price, 2 * net_value, 2 * spend))
    assert LagrangianBound(doubled).at_budget(2 * budget) == expected
    assert LagrangianBound(customers, copies=2).at_budget(2 * budget) == expected


def test_the_dual_is_the_same_if_customers_are_solved_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LagrangianBound(many_customers()).at_price(0.7)
    monkeypatch.setattr("training.policy.bound.CHUNK_SIZE", 7)

    assert LagrangianBound(many_customers()).at_price(0.7) == pytest.approx(whole)

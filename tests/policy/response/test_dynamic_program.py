"""The dynamic program against a recursion over every day, without its shortcuts."""

from collections.abc import Sequence
from functools import cache
from math import exp

import numpy as np
import pytest

from services.policy.response.dynamic_program import RULES, DayValues, DynamicProgram, Rules
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, ResponseModel

SMALL = ResponseModel(
    value_days=120, effect=0.9, effect_days=(2, 6, 9, 12), fatigue=0.1, fatigue_days=3, contact_cost=0.1
)
"""Effects that are strong enough to matter within a few days."""
CASES = [
    (SMALL, Rules(cooldown_days=3, contact_cap=3, campaign_days=30)),
    (SMALL, Rules(cooldown_days=5, contact_cap=2, campaign_days=20)),
    (
        SMALL._replace(effect_days=(2, 6, 7, 7), fatigue_days=8),
        Rules(cooldown_days=8, campaign_days=30),
    ),  # fatigue outlasts an offer
    (SMALL._replace(fatigue=0.0), Rules(cooldown_days=4, contact_cap=1, campaign_days=9)),
]
NEVER = 1000


def random_customer(rng: np.random.Generator) -> Customers:
    return Customers(rng.uniform(0.005, 0.05, 1), np.sort(rng.uniform(0, 0.9, (1, 4))), rng.uniform(20, 120, 1))


def optimum(customer: Customers, price: float, response_model: ResponseModel, rules: Rules) -> tuple[float, float]:
    """Optimal value of one customer, where 1 unit of discount costs 1 + price; and the value without any contact."""
    [hazard], [accept], [bill] = (fact.tolist() for fact in customer)

    def survival(days_since_contact: int, offer_days_left: int, contacts: int) -> float:
        """Probability that the customer stays through a day."""
        effect = response_model.effect * (offer_days_left > 0)
        fatigue = response_model.fatigue * contacts * (days_since_contact < response_model.fatigue_days)
        return exp(-hazard * (1 - effect + fatigue))

    @cache
    def best(day: int, days_since_contact: int, offer_days_left: int, contacts: int) -> float:
        """Optimal value from the decision of this day on."""
        options = [today(day, days_since_contact, offer_days_left, contacts)]
        if (
            day < rules.campaign_days
            and days_since_contact >= rules.cooldown_days
            and contacts < rules.contact_cap
            and offer_days_left == 0
        ):
            for level, discount in enumerate(DISCOUNTS.tolist()):
                accepted = (
                    today(day, 0, response_model.effect_days[level], contacts + 1) - (1 + price) * discount * bill
                )
                declined = today(day, 0, 0, contacts + 1)
                mean = accept[level] * accepted + (1 - accept[level]) * declined
                options.append(mean - response_model.contact_cost)
        return max(options)

    def today(day: int, days_since_contact: int, offer_days_left: int, contacts: int) -> float:
        """Value after the decision of this day: the customer pays for the day, and stays or leaves."""
        if day >= rules.campaign_days:
            return without_contact(day, days_since_contact, offer_days_left, contacts)
        tomorrow = best(day + 1, days_since_contact + 1, max(offer_days_left - 1, 0), contacts)
        return float(bill / 30 + survival(days_since_contact, offer_days_left, contacts) * tomorrow)

    def without_contact(day: int, days_since_contact: int, offer_days_left: int, contacts: int) -> float:
        """Revenue up to the horizon without further contact."""
        revenue, probability = 0.0, 1.0
        for _ in range(day, response_model.value_days):
            revenue += probability * bill / 30
            probability *= survival(days_since_contact, offer_days_left, contacts)
            days_since_contact, offer_days_left = days_since_contact + 1, offer_days_left - 1
        return revenue

    return best(0, NEVER, 0, 0), without_contact(0, NEVER, 0, 0)


def first_day(program: DynamicProgram, price: float) -> DayValues:
    return list(program.solve(price))[-1]


def concatenated(customers: Sequence[Customers]) -> Customers:
    return Customers(*(np.concatenate(facts) for facts in zip(*customers, strict=True)))


@pytest.mark.parametrize(("response_model", "rules"), CASES)
@pytest.mark.parametrize("price", [0.0, 0.4, 1.5])
def test_the_program_has_the_value_of_the_recursion_over_days(
    response_model: ResponseModel, rules: Rules, price: float
) -> None:
    rng, gains = np.random.default_rng(5), []
    for _ in range(6):
        customer = random_customer(rng)
        best, nothing = optimum(customer, price, response_model, rules)
        gains.append(best - nothing)
        values = first_day(DynamicProgram(customer, response_model, rules), price)
        assert values.best[0, 0] == pytest.approx(best - nothing, abs=1e-9)
    assert max(gains) > 0.1, "contacts matter"


def test_a_campaign_of_ninety_days_is_solved_exactly() -> None:
    customer = Customers(np.array([0.012]), np.array([[0.1, 0.3, 0.4, 0.5]]), np.array([70.0]))
    best, nothing = optimum(customer, 0.5, RESPONSE_MODEL, RULES)

    assert first_day(DynamicProgram(customer), 0.5).best[0, 0] == pytest.approx(best - nothing, abs=1e-9)


def test_customers_are_solved_independently() -> None:
    rng = np.random.default_rng(6)
    customers = [random_customer(rng) for _ in range(5)]
    together = DynamicProgram(concatenated(customers)).solve(0.5)
    alone = (DynamicProgram(customer).solve(0.5) for customer in customers)

    for joint, *single in zip(together, *alone, strict=True):
        for field in ("wait", "contact", "best", "spend"):
            values = np.concatenate([getattr(day, field) for day in single], axis=-2)
            assert getattr(joint, field) == pytest.approx(values)


def test_the_spend_is_the_derivative_of_the_value_by_the_price() -> None:
    rng = np.random.default_rng(7)
    program, step = DynamicProgram(concatenated([random_customer(rng) for _ in range(50)])), 1e-6
    for price in rng.uniform(0, 3, 5):
        dearer, cheaper = (first_day(program, price + side).best[:, 0] for side in (step, -step))
        spend = first_day(program, price).spend[:, 0]
        assert spend == pytest.approx((cheaper - dearer) / (2 * step), rel=1e-5, abs=1e-6)
        assert (spend > 0).any()


def test_contacts_have_no_value_if_customers_do_not_leave_or_never_accept() -> None:
    customers = Customers(np.array([1e-9, 0.01]), np.array([[0.5] * 4, [0.0] * 4]), np.array([50.0, 50.0]))

    first = first_day(DynamicProgram(customers), 0.0)

    assert first.best[:, 0] == pytest.approx([0, 0], abs=1e-12)
    assert first.spend[:, 0] == pytest.approx([0, 0], abs=1e-12)
    assert (first.contact < 0).all()


@pytest.mark.parametrize(
    ("response_model", "rules", "message"),
    [
        (RESPONSE_MODEL, Rules(cooldown_days=13), "fatigue_days: 14"),
        (RESPONSE_MODEL._replace(value_days=149), RULES, "value_days: 149"),
    ],
)
def test_parameters_that_cannot_be_solved_exactly_are_rejected(
    response_model: ResponseModel, rules: Rules, message: str
) -> None:
    customer = random_customer(np.random.default_rng(8))

    with pytest.raises(ValueError, match=message):
        DynamicProgram(customer, response_model, rules)

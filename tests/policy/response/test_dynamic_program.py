"""The dynamic program against the same problem written out: every day of it, and no shortcut."""

from functools import cache
from math import exp

import numpy as np
import pytest

from services.policy.response.dynamic_program import RULES, DayValues, DynamicProgram, Rules
from services.policy.response.model import DISCOUNTS, RESPONSE_MODEL, Customers, ResponseModel

SMALL = ResponseModel(
    value_days=120, effect=0.9, effect_days=(2, 6, 9, 12), fatigue=0.1, fatigue_days=3, contact_cost=0.1
)
"""Strong enough to decide something in a few days."""
CASES = [
    (SMALL, Rules(cooldown=3, cap=3, quarter=30)),
    (SMALL, Rules(cooldown=5, cap=2, quarter=20)),
    (SMALL._replace(effect_days=(2, 6, 7, 7), fatigue_days=8), Rules(cooldown=8, quarter=30)),  # an annoyance outlasts
    (SMALL._replace(fatigue=0.0), Rules(cooldown=4, cap=1, quarter=9)),
]
NEVER = 1000


def someone(rng: np.random.Generator) -> Customers:
    return Customers(rng.uniform(0.005, 0.05, 1), np.sort(rng.uniform(0, 0.9, (1, 4))), rng.uniform(20, 120, 1))


def optimum(customer: Customers, price: float, response_model: ResponseModel, rules: Rules) -> tuple[float, float]:
    """What one customer pays at most, less discounts that cost 1 + price each, and contacts; and pays left alone."""
    [hazard], [accept], [bill] = (fact.tolist() for fact in customer)

    def active(days_since_contact: int, offer_days_left: int, contacts: int) -> float:
        """The probability that the customer stays through a day."""
        fatigue_days_left = contacts if days_since_contact < response_model.fatigue_days else 0
        return exp(
            -hazard * (1 - response_model.effect * (offer_days_left > 0) + response_model.fatigue * fatigue_days_left)
        )

    @cache
    def best(day: int, days_since_contact: int, offer_days_left: int, contacts: int) -> float:
        """From this day's decision on."""
        options = [today(day, days_since_contact, offer_days_left, contacts)]
        if (
            day < rules.quarter
            and days_since_contact >= rules.cooldown
            and contacts < rules.cap
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
        """The customer pays for the day, and is there tomorrow or is not."""
        if day >= rules.quarter:
            return alone(day, days_since_contact, offer_days_left, contacts)
        return bill / 30 + active(days_since_contact, offer_days_left, contacts) * best(
            day + 1, days_since_contact + 1, max(offer_days_left - 1, 0), contacts
        )

    def alone(day: int, days_since_contact: int, offer_days_left: int, contacts: int) -> float:
        """To the end, if nobody contacts them any more."""
        paid, probability = 0.0, 1.0
        for _ in range(day, response_model.value_days):
            paid += probability * bill / 30
            probability *= active(days_since_contact, offer_days_left, contacts)
            days_since_contact, offer_days_left = days_since_contact + 1, offer_days_left - 1
        return paid

    return best(0, NEVER, 0, 0), alone(0, NEVER, 0, 0)


def first_day(problem: DynamicProgram, price: float) -> DayValues:
    return list(problem.solve(price))[-1]


@pytest.mark.parametrize(("response_model", "rules"), CASES)
@pytest.mark.parametrize("price", [0.0, 0.4, 1.5])
def test_what_the_program_gains_is_what_the_days_written_out_gain(
    response_model: ResponseModel, rules: Rules, price: float
) -> None:
    rng, gained = np.random.default_rng(5), []
    for _ in range(6):
        customer = someone(rng)
        best, nothing = optimum(customer, price, response_model, rules)
        gained.append(best - nothing)
        assert first_day(DynamicProgram(customer, response_model, rules), price).best[0, 0] == pytest.approx(
            best - nothing, abs=1e-9
        )
    assert max(gained) > 0.1  # there was something to decide


def test_the_quarter_of_ninety_days_is_as_exact() -> None:
    customer = Customers(np.array([0.012]), np.array([[0.1, 0.3, 0.4, 0.5]]), np.array([70.0]))
    best, nothing = optimum(customer, 0.5, RESPONSE_MODEL, RULES)

    assert first_day(DynamicProgram(customer), 0.5).best[0, 0] == pytest.approx(best - nothing, abs=1e-9)


def test_customers_together_are_as_each_alone() -> None:
    rng = np.random.default_rng(6)
    each = [someone(rng) for _ in range(5)]
    together = Customers(*(np.concatenate(facts) for facts in zip(*each, strict=True)))

    for ours, *theirs in zip(
        DynamicProgram(together).solve(0.5), *(DynamicProgram(c).solve(0.5) for c in each), strict=True
    ):
        for part in ("wait", "contact", "best", "spend"):
            assert getattr(ours, part) == pytest.approx(np.concatenate([getattr(t, part) for t in theirs], axis=-2))


def test_spend_is_how_fast_the_gain_falls_with_the_price() -> None:
    rng = np.random.default_rng(7)
    customers = Customers(*(np.concatenate(facts) for facts in zip(*(someone(rng) for _ in range(50)), strict=True)))
    problem, step = DynamicProgram(customers), 1e-6
    for price in rng.uniform(0, 3, 5):
        dearer, cheaper = (first_day(problem, price + side).best[:, 0] for side in (step, -step))
        spend = first_day(problem, price).spend[:, 0]
        assert spend == pytest.approx((cheaper - dearer) / (2 * step), rel=1e-5, abs=1e-6)
        assert (spend > 0).any()


def test_nothing_is_gained_where_nobody_leaves_or_accepts() -> None:
    customers = Customers(np.array([1e-9, 0.01]), np.array([[0.5] * 4, [0.0] * 4]), np.array([50.0, 50.0]))

    first = first_day(DynamicProgram(customers), 0.0)

    assert first.best[:, 0] == pytest.approx([0, 0], abs=1e-12)
    assert first.spend[:, 0] == pytest.approx([0, 0], abs=1e-12)
    assert (first.contact < 0).all()


@pytest.mark.parametrize(
    ("response_model", "rules", "what"),
    [
        (RESPONSE_MODEL, Rules(cooldown=13), "fatigue_days 14"),
        (RESPONSE_MODEL._replace(value_days=149), RULES, "value_days 149"),
    ],
)
def test_what_the_program_cannot_do_exactly_it_refuses(response_model: ResponseModel, rules: Rules, what: str) -> None:
    customer = someone(np.random.default_rng(8))

    with pytest.raises(ValueError, match=what):
        DynamicProgram(customer, response_model, rules)

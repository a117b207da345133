import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.customer.billing import TYPICAL_CHARGES, max_offer_cost, monthly_bill, offer_cost
from shared.messages import OFFERS
from tests.policy.builders import scored


@pytest.mark.parametrize(
    ("percent", "charges", "cents"),
    [(10, 89.99, 900), (5, 89.99, 450), (15, 0.01, 1), (15, 20.0, 300), (5, 0.29, 2), (10, 64.7, 647), (15, 0.0, 0)],
)
def test_an_offer_costs_its_share_of_the_bill_rounded_up_to_a_cent(percent: int, charges: float, cents: int) -> None:
    assert offer_cost(OFFERS.index(percent), charges) == cents


def test_a_contact_without_a_discount_costs_nothing_even_if_the_bill_is_unknown() -> None:
    assert offer_cost(0, None) == 0
    assert offer_cost(1, None) is None


@given(cents=st.integers(0, 10**9), level=st.sampled_from(range(1, len(OFFERS))))
def test_no_offer_costs_more_than_is_reserved_and_less_than_a_cent_is_lost(cents: int, level: int) -> None:
    cost = offer_cost(level, cents / 100)

    assert cost is not None
    assert 0 <= 100 * cost - cents * OFFERS[level] < 100


def test_the_highest_offer_costs_most_and_nothing_is_reserved_of_an_unknown_bill() -> None:
    assert max_offer_cost(scored(monthly_charges=100.0)) == 1_500
    assert max_offer_cost(scored(monthly_charges=None)) == 0


def test_an_unknown_bill_is_taken_to_be_the_typical_one() -> None:
    assert monthly_bill(scored(monthly_charges=20.0)) == 20.0
    assert monthly_bill(scored(monthly_charges=None)) == TYPICAL_CHARGES

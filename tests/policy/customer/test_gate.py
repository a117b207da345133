from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.customer.gate import ActionMask, action_mask, is_eligible, is_held_out, mask_from_reasons
from services.policy.customer.state import Bounce, Contact, CustomerState
from shared.messages import ScoredCustomer
from tests.policy.builders import LIMITS, scored
from tests.support.clock import NOON

PLENTY = 100_000
IDS = [f"customer-{i}" for i in range(20_000)]


def contacted(*days_ago: float) -> CustomerState:
    contacts = (Contact(event_id=f"{days} days ago", at=NOON - timedelta(days=days)) for days in days_ago)
    return CustomerState(contacts=tuple(contacts))


def allowed(
    customer: ScoredCustomer | None = None,
    state: CustomerState | None = None,
    funds: int = PLENTY,
    opted_out: bool = False,
    **limits: Any,
) -> ActionMask:
    customer = customer or scored()
    state = state or CustomerState()
    return action_mask(customer, state, opted_out, funds, NOON, LIMITS._replace(**limits))


def test_a_customer_who_was_never_contacted_may_get_any_offer() -> None:
    assert allowed() == ActionMask((True, True, True, True), ())


def test_a_customer_who_opted_out_is_not_contacted() -> None:
    gate = allowed(opted_out=True)

    assert not gate.contact
    assert gate.reasons == ("opted-out",)


def test_a_customer_whose_reply_nobody_has_read_is_not_contacted() -> None:
    gate = action_mask(scored(), CustomerState(), False, 10_000, NOON, LIMITS, True)

    assert not gate.contact
    assert gate.reasons == ("unread-reply",)


@pytest.mark.parametrize(
    ("bounces", "limit", "reasons"), [(2, 3, ()), (3, 3, ("bounced",)), (5, 3, ("bounced",)), (9, 0, ())]
)
def test_a_customer_whom_messages_do_not_reach_is_not_contacted(
    bounces: int, limit: int, reasons: tuple[str, ...]
) -> None:
    bounced = tuple(Bounce(event_id=f"e{n}", at=NOON - timedelta(days=100)) for n in range(bounces))

    assert allowed(state=CustomerState(bounces=bounced), bounce_limit=limit).reasons == reasons


def test_a_customer_in_cooldown_is_not_contacted() -> None:
    assert allowed(state=contacted(13.9)).reasons == ("cooldown",)
    assert not allowed(state=contacted(13.9)).contact


def test_the_cooldown_ends_after_its_days() -> None:
    assert allowed(state=contacted(14)).contact


def test_no_offer_is_made_while_an_accepted_one_has_an_effect() -> None:
    contact = contacted(50).contacts[0]
    open_offer, ended_offer = (
        CustomerState(
            contacts=(contact.model_copy(update={"offer_effect_ends_at": NOON + timedelta(seconds=seconds)}),)
        )
        for seconds in (1, 0)
    )

    assert allowed(state=open_offer).reasons == ("offer-holds",)
    assert not allowed(state=open_offer).contact
    assert allowed(state=ended_offer).contact


def test_without_a_cooldown_contacts_may_follow_each_other() -> None:
    assert allowed(state=contacted(0), cooldown=timedelta(0)).contact


def test_a_contact_in_the_future_of_this_clock_counts() -> None:
    assert allowed(state=contacted(-0.01)).reasons == ("cooldown",)


def test_no_more_contacts_than_the_cap_are_made_within_the_fatigue_window() -> None:
    assert allowed(state=contacted(89, 60, 30)).reasons == ("fatigue",)
    assert allowed(state=contacted(90, 60, 30)).contact


def test_a_cap_of_zero_masks_all_contact() -> None:
    assert allowed(fatigue_cap=0).reasons == ("fatigue",)


def test_all_reasons_are_given() -> None:
    gate = allowed(state=contacted(3, 2, 1), opted_out=True, holdout_share=1.0)

    assert gate == ActionMask((False, False, False, False), ("opted-out", "holdout", "cooldown", "fatigue"))


def test_a_discount_over_the_shards_free_budget_is_masked() -> None:
    gate = allowed(scored(monthly_charges=100), funds=1_000)

    assert gate.offers == (True, True, True, False)
    assert gate.reasons == ("offer 15 %: over budget",)


def test_an_offer_may_cost_all_that_is_free() -> None:
    assert allowed(scored(monthly_charges=100), funds=1_500).offers[3]
    assert not allowed(scored(monthly_charges=100), funds=1_499).offers[3]


def test_with_an_unknown_bill_discounts_are_masked_and_contact_is_not() -> None:
    gate = allowed(scored(monthly_charges=None))

    assert gate.offers == (True, False, False, False)
    assert gate.reasons == tuple(
        f"offer {percent} %: its cost is unknown without monthly_charges" for percent in (5, 10, 15)
    )


@pytest.mark.parametrize("name", ["DO NOT CALL", "Deceased", "Sam Vimes (deceased)", "dnc"])
def test_a_customer_with_a_note_for_a_name_is_not_contacted(name: str) -> None:
    mask = allowed(customer=scored(name=name))
    assert not mask.contact
    assert mask.reasons == ("customer-note",)


@pytest.mark.parametrize("plan", ["DO NOT CALL", "deceased"])
def test_a_note_for_a_plan_pauses_contact_and_a_plan_with_its_words_does_not(plan: str) -> None:
    assert allowed(customer=scored(plan=plan)).reasons == ("customer-note",)
    assert allowed(customer=scored(plan="Data only, no calls")).contact


@pytest.mark.parametrize("bill", [6_500.01, 8_999.0, 1e9])
def test_a_bill_of_a_hundred_usual_ones_gets_no_discount(bill: float) -> None:
    mask = allowed(customer=scored(monthly_charges=bill), max_bill=6_500.0, funds=10**12)
    assert mask.offers == (True, False, False, False)
    assert mask.reasons[0].startswith("offer 5 %: monthly_charges is more than a hundred usual bills")
    assert mask_from_reasons(mask.reasons) == mask
    assert allowed(customer=scored(monthly_charges=6_500.0), max_bill=6_500.0, funds=10**12).offers == (True,) * 4


def test_the_rules_are_the_same_for_numbers_and_arrays() -> None:
    days_since_contact, offer_days_left, contacts = [13.9, 14, 14, 14], [0, 0, 1, 0], [2, 2, 2, 3]
    histories = zip(days_since_contact, offer_days_left, contacts, strict=True)

    assert [is_eligible(*history, 14, 3) for history in histories] == [False, True, False, False]
    arrays = np.array(days_since_contact), np.array(offer_days_left), np.array(contacts)
    assert is_eligible(*arrays, 14, 3).tolist() == [False, True, False, False]


@given(
    charges=st.none() | st.floats(0, 200),
    funds=st.integers(0, 3_000),
    opted_out=st.booleans(),
    days_ago=st.integers(0, 20),
    share=st.sampled_from([0.0, 0.5]),
)
def test_a_mask_can_be_restored_from_its_reasons(
    charges: float | None, funds: int, opted_out: bool, days_ago: int, share: float
) -> None:
    gate = allowed(scored(monthly_charges=charges), contacted(days_ago), funds, opted_out, holdout_share=share)

    assert mask_from_reasons(gate.reasons) == gate


def test_the_holdout_depends_only_on_the_customers_id() -> None:
    limits = LIMITS._replace(holdout_share=0.5)
    holdout = [customer for customer in IDS[:100] if is_held_out(customer, limits)]

    assert holdout == [customer for customer in IDS[:100] if is_held_out(customer, limits)]
    assert 0 < len(holdout) < 100
    for customer in IDS[:100]:
        other_event = scored(customer, "another event", tenure=99.0, name=None)
        assert ("holdout" in allowed(other_event, holdout_share=0.5).reasons) == (customer in holdout)


def test_the_same_customers_are_held_out_in_every_release() -> None:
    limits = LIMITS._replace(holdout_share=0.1)

    assert [i for i in range(40) if is_held_out(f"customer-{i}", limits)] == [1, 38]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_the_holdout_is_about_its_share_of_the_customers(share: float) -> None:
    holdout = sum(is_held_out(customer, LIMITS._replace(holdout_share=share)) for customer in IDS)

    assert holdout / len(IDS) == pytest.approx(share, abs=4 * (share * (1 - share) / len(IDS)) ** 0.5)


def test_a_share_of_zero_holds_out_nobody_and_of_one_everybody() -> None:
    assert not any(is_held_out(customer, LIMITS._replace(holdout_share=0.0)) for customer in IDS)
    assert all(is_held_out(customer, LIMITS._replace(holdout_share=1.0)) for customer in IDS)


def test_a_larger_holdout_contains_the_smaller_one() -> None:
    small, large = (
        {customer for customer in IDS if is_held_out(customer, LIMITS._replace(holdout_share=share))}
        for share in (0.05, 0.1)
    )

    assert small < large


def test_another_salt_holds_out_other_customers() -> None:
    holdout, other = (
        {customer for customer in IDS if is_held_out(customer, LIMITS._replace(holdout_share=0.05, holdout_salt=salt))}
        for salt in ("salt", "2")
    )

    assert len(holdout & other) < 0.2 * len(holdout)

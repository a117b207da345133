from datetime import date

import pytest

from services.messenger.prompt import fill, slots
from shared.messages import Brief
from tests.messenger.builders import SAM


def test_every_slot_says_its_fact() -> None:
    assert slots(SAM) == {
        "[NAME]": "Sam",
        "[OFFER]": "10%",
        "[MONTHS]": "12 months",
        "[PLAN]": "Pro",
        "[EXPIRY]": "7 December",
    }


def test_a_fact_that_is_not_known_has_no_slot() -> None:
    assert slots(Brief(offer_percentage=0)) == {}


@pytest.mark.parametrize(("tenure", "months"), [(1, "1 month"), (2, "2 months"), (12, "12 months")])
def test_one_month_is_not_months(tenure: int, months: str) -> None:
    assert slots(Brief(offer_percentage=0, tenure_months=tenure))["[MONTHS]"] == months


def test_slots_are_filled_wherever_they_stand() -> None:
    assert (
        fill("[NAME], take [OFFER], yes [OFFER], off [PLAN] by [EXPIRY].", SAM)
        == "Sam, take 10%, yes 10%, off Pro by 7 December."
    )


def test_a_text_without_slots_is_left_as_it_is() -> None:
    assert fill("Thank you for being with us.", SAM) == "Thank you for being with us."


@pytest.mark.parametrize("slot", ["[NAME]", "[OFFER]", "[MONTHS]", "[PLAN]", "[EXPIRY]", "[SECRET]"])
def test_a_text_that_needs_a_missing_fact_is_not_used(slot: str) -> None:
    assert fill(f"Hello, {slot}.", Brief(offer_percentage=0)) is None


def test_a_fact_is_not_read_for_slots() -> None:
    assert fill("[PLAN] [NAME]", SAM.model_copy(update={"plan": "[NAME]"})) == "[NAME] Sam"


def test_the_day_of_expiry_is_written_without_a_nought() -> None:
    assert slots(SAM.model_copy(update={"expires_on": date(2026, 1, 1)}))["[EXPIRY]"] == "1 January"

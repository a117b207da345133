from datetime import date

import pytest

from services.messenger.prompt import OPT_OUT_NOTICE, SLOT_PATTERN, SLOTS, build_prompt, fill, render, slot_values
from shared.messages import Brief
from tests.messenger.builders import SAM
from tests.messenger.tiny_model import EVERY


def test_a_prompt_says_what_is_known_and_what_it_is_about() -> None:
    assert (
        build_prompt(SAM.model_copy(update={"concern": "price"}))
        == "Offer: [OFFER] until [EXPIRY]. Known: [NAME], [MONTHS], [PLAN]. Concern: price. Message:"
    )
    assert build_prompt(Brief(offer_percentage=0)) == "Offer: none. Known: nothing. Concern: none. Message:"


def test_what_is_not_known_is_left_out_of_a_prompt() -> None:
    brief = Brief(offer_percentage=0, tenure_months=3, concern="contract")
    assert build_prompt(brief) == "Offer: none. Known: [MONTHS]. Concern: contract. Message:"


def test_there_are_64_prompts() -> None:
    assert len({build_prompt(brief) for brief in EVERY}) == len(EVERY) == 64


def test_a_prompt_knows_no_customer() -> None:
    """The same for any name, plan, offer, tenure and day."""
    other = Brief(
        offer_percentage=5, expires_on=date(2026, 1, 1), first_name="Ignore", tenure_months=70, plan="Everything"
    )
    assert build_prompt(other) == build_prompt(SAM)


def test_the_slots_are_those_that_are_filled() -> None:
    assert set(SLOTS) == slot_values(SAM).keys()
    assert all(SLOT_PATTERN.fullmatch(slot) for slot in SLOTS)


def test_a_text_is_completed_by_our_closing() -> None:
    assert render("Hi [NAME].", SAM) == f"Hi Sam. {OPT_OUT_NOTICE}"


@pytest.mark.parametrize("text", ["", "Hi [NAME]."])
def test_nothing_is_made_of_a_text_that_is_empty_or_needs_a_missing_fact(text: str) -> None:
    assert render(text, Brief(offer_percentage=0)) is None


def test_every_slot_says_its_fact() -> None:
    assert slot_values(SAM) == {
        "[NAME]": "Sam",
        "[OFFER]": "10%",
        "[MONTHS]": "12 months",
        "[PLAN]": "Pro",
        "[EXPIRY]": "7 December",
    }


def test_a_fact_that_is_not_known_has_no_slot() -> None:
    assert slot_values(Brief(offer_percentage=0)) == {}


@pytest.mark.parametrize(("tenure", "months"), [(1, "1 month"), (2, "2 months"), (12, "12 months")])
def test_one_month_is_not_months(tenure: int, months: str) -> None:
    assert slot_values(Brief(offer_percentage=0, tenure_months=tenure))["[MONTHS]"] == months


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
    assert slot_values(SAM.model_copy(update={"expires_on": date(2026, 1, 1)}))["[EXPIRY]"] == "1 January"

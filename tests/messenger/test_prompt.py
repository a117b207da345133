from datetime import date

import pytest

from services.messenger.prompt import OPT_OUT_NOTICE, SLOT_PATTERN, SLOTS, build_prompt, fill, render, slot_values
from shared.messages import Brief
from tests.messenger.builders import BRIEFS
from tests.support.briefs import EMPTY_BRIEF, FULL_BRIEF


def test_a_prompt_states_the_offer_the_known_facts_and_the_concern() -> None:
    assert (
        build_prompt(FULL_BRIEF.model_copy(update={"concern": "price"}))
        == "Offer: [OFFER] until [EXPIRY]. Known: [NAME], [MONTHS], [PLAN]. Concern: price. Message:"
    )
    assert build_prompt(EMPTY_BRIEF) == "Offer: none. Known: nothing. Concern: none. Message:"


def test_a_prompt_omits_unknown_facts() -> None:
    brief = Brief(offer_percentage=0, tenure_months=3, concern="contract")
    assert build_prompt(brief) == "Offer: none. Known: [MONTHS]. Concern: contract. Message:"


def test_there_are_64_prompts() -> None:
    assert len({build_prompt(brief) for brief in BRIEFS}) == len(BRIEFS) == 64


def test_a_prompt_does_not_depend_on_the_values_of_facts() -> None:
    other = Brief(
        offer_percentage=5, expires_on=date(2026, 1, 1), first_name="Ignore", tenure_months=70, plan="Everything"
    )
    assert build_prompt(other) == build_prompt(FULL_BRIEF)


def test_every_slot_has_a_value_where_all_facts_are_known() -> None:
    assert set(SLOTS) == slot_values(FULL_BRIEF).keys()
    assert all(SLOT_PATTERN.fullmatch(slot) for slot in SLOTS)


def test_a_rendered_text_ends_with_the_opt_out_notice() -> None:
    assert render("Hi [NAME].", FULL_BRIEF) == f"Hi Sam. {OPT_OUT_NOTICE}"


@pytest.mark.parametrize("text", ["", "Hi [NAME]."])
def test_a_text_that_is_empty_or_needs_an_unknown_fact_is_not_rendered(text: str) -> None:
    assert render(text, EMPTY_BRIEF) is None


def test_the_value_of_a_slot_is_its_fact() -> None:
    assert slot_values(FULL_BRIEF) == {
        "[NAME]": "Sam",
        "[OFFER]": "10%",
        "[MONTHS]": "12 months",
        "[PLAN]": "Pro",
        "[EXPIRY]": "7 December",
    }


def test_an_unknown_fact_has_no_slot_value() -> None:
    assert slot_values(EMPTY_BRIEF) == {}


@pytest.mark.parametrize(("tenure", "months"), [(1, "1 month"), (2, "2 months"), (12, "12 months")])
def test_one_month_is_singular(tenure: int, months: str) -> None:
    assert slot_values(Brief(offer_percentage=0, tenure_months=tenure))["[MONTHS]"] == months


def test_slots_are_filled_wherever_they_occur() -> None:
    assert (
        fill("[NAME], take [OFFER], yes [OFFER], off [PLAN] by [EXPIRY].", FULL_BRIEF)
        == "Sam, take 10%, yes 10%, off Pro by 7 December."
    )


def test_a_text_without_slots_is_unchanged() -> None:
    assert fill("Thank you for being with us.", FULL_BRIEF) == "Thank you for being with us."


@pytest.mark.parametrize("slot", ["[NAME]", "[OFFER]", "[MONTHS]", "[PLAN]", "[EXPIRY]", "[SECRET]"])
def test_a_text_that_needs_an_unknown_fact_is_not_filled(slot: str) -> None:
    assert fill(f"Hello, {slot}.", EMPTY_BRIEF) is None


def test_slots_inside_a_fact_are_not_filled() -> None:
    assert fill("[PLAN] [NAME]", FULL_BRIEF.model_copy(update={"plan": "[NAME]"})) == "[NAME] Sam"


def test_the_expiry_date_has_no_leading_zero() -> None:
    assert slot_values(FULL_BRIEF.model_copy(update={"expires_on": date(2026, 1, 1)}))["[EXPIRY]"] == "1 January"

import re

import numpy as np
import pytest

from services.messenger.prompt import SLOT_PATTERN, build_prompt, slot_values
from shared.messages import OFFERS, Brief
from training.messenger.corpus import flaws, grammar, phrases, topics
from training.messenger.corpus.corpus import (
    HELD_OUT_NAMES,
    LONGEST,
    NAMES,
    SHORTEST,
    briefs,
    write,
)
from training.messenger.corpus.grammar import joined, parts, phrase
from training.messenger.evaluation import rubric
from training.messenger.evaluation.safety import broken

ALL_SLOTS = ("[NAME]", "[OFFER]", "[MONTHS]", "[PLAN]", "[EXPIRY]")


@pytest.fixture(scope="module")
def asked() -> list[Brief]:
    return briefs(np.random.default_rng(0), 2_000)


@pytest.fixture(scope="module")
def written(asked: list[Brief]) -> list[str]:
    rng = np.random.default_rng(1)
    return [write(brief, rng) for brief in asked]


def test_every_prompt_is_asked_for() -> None:
    assert len({build_prompt(brief) for brief in briefs(np.random.default_rng(0), 8_000)}) == 64


def test_an_offer_expires_and_no_other_message_does(asked: list[Brief]) -> None:
    assert {brief.offer_percentage for brief in asked} == set(OFFERS)
    assert all(bool(brief.expires_on) == bool(brief.offer_percentage) for brief in asked)


def test_held_out_customers_have_names_that_no_other_has(asked: list[Brief]) -> None:
    held_out = briefs(np.random.default_rng(0), 500, held_out=True)
    assert {brief.first_name for brief in held_out} == {*HELD_OUT_NAMES, None}
    assert {brief.first_name for brief in asked} == {*NAMES, None}
    assert not set(NAMES) & set(HELD_OUT_NAMES)


def test_the_same_seed_draws_the_same(asked: list[Brief], written: list[str]) -> None:
    assert briefs(np.random.default_rng(0), 2_000) == asked
    assert write(asked[0], np.random.default_rng(1)) == written[0]


def test_texts_differ(written: list[str]) -> None:
    assert len(set(written)) > 0.99 * len(written)


def test_the_shield_has_nothing_against_a_good_text(asked: list[Brief], written: list[str]) -> None:
    assert [text for brief, text in zip(asked, written, strict=True) if broken(brief, text)] == []


def test_the_shield_has_nothing_against_a_good_text_to_a_customer_whose_name_was_never_seen() -> None:
    rng = np.random.default_rng(2)
    assert not [brief for brief in briefs(rng, 200, held_out=True) if broken(brief, write(brief, rng))]


def test_a_text_speaks_plain_english(written: list[str]) -> None:
    for text in written:
        assert SHORTEST <= len(text) <= LONGEST
        assert not re.search(r"[{}|—–]|  | [.,?!]|[.?!,]{2}|\[[^]]*$", text), text
        assert re.match(r"[A-Z\[]", text), text
        assert all(sentence[0] in "[ABCDEFGHIJKLMNOPQRSTUVWXYZ" for sentence in re.split(r"(?<=[.?!]) ", text)), text
        assert text.count("!") == 0


def test_a_formal_text_has_no_contractions() -> None:
    said = {"greeting": "Dear [NAME]", "thanks": "It's been [MONTHS], and we don't forget.", "offer": "here's [OFFER]."}
    assert joined(said, formal=True) == "Dear [NAME], it has been [MONTHS], and we do not forget. Here is [OFFER]."
    assert joined(said, formal=False) == "Dear [NAME], it's been [MONTHS], and we don't forget. Here's [OFFER]."


def test_an_offer_says_what_until_when_and_how_once(asked: list[Brief], written: list[str]) -> None:
    for brief, text in zip(asked, written, strict=True):
        times = 1 if brief.offer_percentage else 0
        assert [text.count(part) for part in ("[OFFER]", "[EXPIRY]", "KEEP")] == [times] * 3
        assert bool(brief.offer_percentage) or "?" in text


def test_who_is_known_by_name_is_named_sooner_or_later(asked: list[Brief], written: list[str]) -> None:
    named = [text.count("[NAME]") for brief, text in zip(asked, written, strict=True) if brief.first_name]
    assert set(named) == {1}


@pytest.mark.parametrize("concern", ["price", "service", "contract"])
def test_every_phrase_about_a_concern_is_one_that_the_rubric_hears(concern: str) -> None:
    rng = np.random.default_rng(0)
    of = (topics.STATEMENTS, topics.LEADS, topics.AFTERWORDS, topics.QUESTIONS)
    for said in (phrase(rng, [one], ALL_SLOTS) for kind in of for one in kind[concern] for _ in range(30)):
        assert rubric.CONCERNS[concern] & set(rubric.read(said).words), said


def test_there_are_fifteen_ways_or_more_to_speak_to_each_concern() -> None:
    assert all(len(ways) >= 15 for ways in topics.STATEMENTS.values())


def test_phrases_use_slots_that_there_are() -> None:
    kinds = [phrases.THANKS, phrases.OFFERS, phrases.HOW, phrases.ENDINGS, *topics.STATEMENTS.values()]
    assert {slot for kind in kinds for said in kind for slot in SLOT_PATTERN.findall(said)} <= set(ALL_SLOTS)


def test_a_phrase_whose_fact_is_missing_is_not_said() -> None:
    rng = np.random.default_rng(0)
    assert {phrase(rng, ["On [PLAN].", "{With [PLAN]|Here}."], ()) for _ in range(50)} == {"Here."}


def test_almost_half_of_the_flawed_texts_break_a_rule(asked: list[Brief]) -> None:
    rng = np.random.default_rng(3)
    flawed, some = (
        np.mean([bool(broken(brief, write(brief, rng, share))) for brief in asked[:1_000]]) for share in (1.0, 0.3)
    )
    assert 0.35 < flawed < 0.55
    assert some == pytest.approx(0.3 * flawed, abs=0.04)


BREAKS = {
    "banned phrase": flaws.adds(flaws.BANNED),
    "ungrounded number": flaws.adds(flaws.INVENTED),
    "ungrounded name": flaws.adds(flaws.SIGNED),
    "length": flaws.too_short,
    "missing name": flaws.forgets_the_name,
}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_habit_of_breaking_a_rule_breaks_it(rule: str, asked: list[Brief]) -> None:
    rng = np.random.default_rng(4)
    for brief in [brief for brief in asked[:500] if brief.first_name]:
        text = joined(BREAKS[rule](parts(brief, rng, False), brief, rng), False)
        assert any(wrong.startswith(rule) for wrong in broken(brief, text)), text


def test_a_text_that_is_too_long_is(asked: list[Brief]) -> None:
    rng = np.random.default_rng(5)
    found = [joined(flaws.too_long(parts(brief, rng, False), brief, rng), False) for brief in asked[:500]]
    too_long = ["length" in " ".join(broken(brief, text)) for brief, text in zip(asked, found, strict=False)]
    assert np.mean(too_long) > 0.95


@pytest.mark.parametrize("habit", flaws.WORSE)
def test_what_is_merely_worse_is_worse_by_the_rubric_and_only_ever_too_long(
    habit: flaws.Habit, asked: list[Brief]
) -> None:
    rng = np.random.default_rng(6)
    lost = []
    for brief in asked[:500]:
        good = parts(brief, rng, False)
        worse = joined(habit(good, brief, rng), False)
        lost.append(rubric.score(brief, joined(good, False)) - rubric.score(brief, worse))
        assert {wrong.partition(":")[0] for wrong in broken(brief, worse)} <= {"length"}
    assert np.mean(lost) > 0.5


def test_a_careless_writer_speaks_to_no_concern() -> None:
    brief = Brief(offer_percentage=0, concern="contract")
    said = flaws.ignores_the_concern({"concern": "A contract.", "question": "How?"}, brief, np.random.default_rng(0))
    assert rubric.traits(brief, joined(said, False))["concern"] == 0


def test_only_known_facts_are_in_a_text(asked: list[Brief], written: list[str]) -> None:
    for brief, text in zip(asked, written, strict=True):
        assert set(SLOT_PATTERN.findall(text)) <= slot_values(brief).keys()


def test_every_order_is_of_parts_that_can_be_said() -> None:
    rng = np.random.default_rng(0)
    for offer, orders in grammar.ORDERS.items():
        brief = Brief(offer_percentage=10 * offer, expires_on="2025-12-07" if offer else None)
        assert all(grammar.say(part, brief, rng) for order in orders for part in order.split())

import re
from datetime import date

import numpy as np
import pytest

from services.messenger.prompt import SLOT_PATTERN, build_prompt, slot_values
from shared.messages import OFFERS, Brief
from training.messenger.corpus import flaws, grammar, phrases, topics
from training.messenger.corpus.corpus import (
    HELD_OUT_NAMES,
    MAX_LENGTH,
    MIN_LENGTH,
    NAMES,
    sample_briefs,
    write_message,
)
from training.messenger.corpus.grammar import compose, sample_phrase, sample_sentences
from training.messenger.evaluation import rubric
from training.messenger.evaluation.safety import broken_rules

pytestmark = pytest.mark.slow

ALL_SLOTS = ("[NAME]", "[OFFER]", "[MONTHS]", "[PLAN]", "[EXPIRY]")


@pytest.fixture(scope="module")
def briefs() -> list[Brief]:
    return sample_briefs(np.random.default_rng(0), 2_000)


@pytest.fixture(scope="module")
def texts(briefs: list[Brief]) -> list[str]:
    rng = np.random.default_rng(1)
    return [write_message(brief, rng) for brief in briefs]


def test_briefs_cover_all_64_prompts() -> None:
    assert len({build_prompt(brief) for brief in sample_briefs(np.random.default_rng(0), 8_000)}) == 64


def test_a_brief_has_an_expiry_exactly_where_it_has_an_offer(briefs: list[Brief]) -> None:
    assert {brief.offer_percentage for brief in briefs} == set(OFFERS)
    assert all(bool(brief.expires_on) == bool(brief.offer_percentage) for brief in briefs)


def test_held_out_briefs_have_names_that_no_other_brief_has(briefs: list[Brief]) -> None:
    held_out = sample_briefs(np.random.default_rng(0), 500, held_out=True)
    assert {brief.first_name for brief in held_out} == {*HELD_OUT_NAMES, None}
    assert {brief.first_name for brief in briefs} == {*NAMES, None}
    assert not set(NAMES) & set(HELD_OUT_NAMES)


def test_briefs_and_texts_repeat_with_their_seed(briefs: list[Brief], texts: list[str]) -> None:
    assert sample_briefs(np.random.default_rng(0), 2_000) == briefs
    assert write_message(briefs[0], np.random.default_rng(1)) == texts[0]


def test_almost_all_texts_are_different(texts: list[str]) -> None:
    assert len(set(texts)) > 0.99 * len(texts)


def test_good_texts_break_no_rule_of_the_shield(briefs: list[Brief], texts: list[str]) -> None:
    assert [text for brief, text in zip(briefs, texts, strict=True) if broken_rules(brief, text)] == []


def test_good_texts_to_held_out_customers_break_no_rule_of_the_shield() -> None:
    rng = np.random.default_rng(2)
    assert not [
        brief for brief in sample_briefs(rng, 200, held_out=True) if broken_rules(brief, write_message(brief, rng))
    ]


def test_texts_are_well_formed_english(texts: list[str]) -> None:
    for text in texts:
        assert MIN_LENGTH <= len(text) <= MAX_LENGTH
        assert not re.search(r"[{}|—–]|  | [.,?!]|[.?!,]{2}|\[[^]]*$", text), text
        assert re.match(r"[A-Z\[]", text), text
        assert all(sentence[0] in "[ABCDEFGHIJKLMNOPQRSTUVWXYZ" for sentence in re.split(r"(?<=[.?!]) ", text)), text
        assert text.count("!") == 0


def test_a_formal_text_has_no_contractions() -> None:
    sentences = {
        "greeting": "Dear [NAME]",
        "thanks": "It's been [MONTHS], and we don't forget.",
        "offer": "here's [OFFER].",
    }
    assert (
        compose(sentences, formal=True) == "Dear [NAME], it has been [MONTHS], and we do not forget. Here is [OFFER]."
    )
    assert compose(sentences, formal=False) == "Dear [NAME], it's been [MONTHS], and we don't forget. Here's [OFFER]."


def test_an_offer_states_discount_expiry_and_keyword_once(briefs: list[Brief], texts: list[str]) -> None:
    for brief, text in zip(briefs, texts, strict=True):
        times = 1 if brief.offer_percentage else 0
        assert [text.count(element) for element in ("[OFFER]", "[EXPIRY]", "KEEP")] == [times] * 3
        assert bool(brief.offer_percentage) or "?" in text


def test_a_customer_of_known_name_is_named_exactly_once(briefs: list[Brief], texts: list[str]) -> None:
    counts = [text.count("[NAME]") for brief, text in zip(briefs, texts, strict=True) if brief.first_name]
    assert set(counts) == {1}


@pytest.mark.parametrize("concern", ["price", "service", "contract"])
def test_the_rubric_recognises_every_phrase_about_a_concern(concern: str) -> None:
    rng = np.random.default_rng(0)
    kinds = (topics.STATEMENTS, topics.LEADS, topics.AFTERWORDS, topics.QUESTIONS)
    for template in (template for kind in kinds for template in kind[concern] for _ in range(30)):
        phrase = sample_phrase(rng, [template], ALL_SLOTS)
        assert rubric.CONCERNS[concern] & set(rubric.parse(phrase).words), phrase


def test_each_concern_has_fifteen_statements_or_more() -> None:
    assert all(len(statements) >= 15 for statements in topics.STATEMENTS.values())


def test_phrases_use_only_existing_slots() -> None:
    kinds = [phrases.THANKS, phrases.OFFERS, phrases.REPLY_REQUESTS, phrases.ENDINGS, *topics.STATEMENTS.values()]
    assert {slot for kind in kinds for phrase in kind for slot in SLOT_PATTERN.findall(phrase)} <= set(ALL_SLOTS)


def test_a_phrase_whose_fact_is_unknown_is_never_sampled() -> None:
    rng = np.random.default_rng(0)
    assert {sample_phrase(rng, ["On [PLAN].", "{With [PLAN]|Here}."], ()) for _ in range(50)} == {"Here."}


def test_almost_half_of_the_flawed_texts_break_a_rule(briefs: list[Brief]) -> None:
    rng = np.random.default_rng(3)
    all_flawed, partly_flawed = (
        np.mean([bool(broken_rules(brief, write_message(brief, rng, share))) for brief in briefs[:1_000]])
        for share in (1.0, 0.3)
    )
    assert 0.35 < all_flawed < 0.55
    assert partly_flawed == pytest.approx(0.3 * all_flawed, abs=0.04)


FLAWS_BY_RULE = {
    "banned phrase": flaws.insert_sentence(flaws.BANNED_PHRASES),
    "ungrounded number": flaws.insert_sentence(flaws.INVENTED_FACTS),
    "ungrounded name": flaws.insert_sentence(flaws.INVENTED_SIGNATURES),
    "length": flaws.too_short,
    "missing name": flaws.omit_name,
}


@pytest.mark.parametrize("rule", FLAWS_BY_RULE)
def test_a_rule_breaking_flaw_breaks_its_rule(rule: str, briefs: list[Brief]) -> None:
    rng = np.random.default_rng(4)
    for brief in [brief for brief in briefs[:500] if brief.first_name]:
        text = compose(FLAWS_BY_RULE[rule](sample_sentences(brief, rng, False), brief, rng), False)
        assert any(broken.startswith(rule) for broken in broken_rules(brief, text)), text


def test_texts_with_the_flaw_too_long_break_the_rule_of_length(briefs: list[Brief]) -> None:
    rng = np.random.default_rng(5)
    long_texts = [
        compose(flaws.too_long(sample_sentences(brief, rng, False), brief, rng), False) for brief in briefs[:500]
    ]
    too_long = [
        "length" in " ".join(broken_rules(brief, text)) for brief, text in zip(briefs, long_texts, strict=False)
    ]
    assert np.mean(too_long) > 0.95


@pytest.mark.parametrize("flaw", flaws.LOW_QUALITY)
def test_a_low_quality_flaw_lowers_the_score_and_breaks_no_rule_but_length(
    flaw: flaws.Flaw, briefs: list[Brief]
) -> None:
    rng = np.random.default_rng(6)
    losses = []
    for brief in briefs[:500]:
        good = sample_sentences(brief, rng, False)
        worse = compose(flaw(good, brief, rng), False)
        losses.append(rubric.score(brief, compose(good, False)) - rubric.score(brief, worse))
        assert {broken.partition(":")[0] for broken in broken_rules(brief, worse)} <= {"length"}
    assert np.mean(losses) > 0.5


def test_a_text_that_ignores_the_concern_gets_no_score_for_it() -> None:
    brief = Brief(offer_percentage=0, concern="contract")
    sentences = flaws.ignore_concern({"concern": "A contract.", "question": "How?"}, brief, np.random.default_rng(0))
    assert rubric.traits(brief, compose(sentences, False))["concern"] == 0


def test_texts_use_only_known_facts(briefs: list[Brief], texts: list[str]) -> None:
    for brief, text in zip(briefs, texts, strict=True):
        assert set(SLOT_PATTERN.findall(text)) <= slot_values(brief).keys()


def test_every_role_of_every_order_has_a_sentence() -> None:
    rng = np.random.default_rng(0)
    for offer, orders in grammar.ORDERS.items():
        brief = Brief(offer_percentage=10 * offer, expires_on=date(2025, 12, 7) if offer else None)
        assert all(grammar.sample_sentence(role, brief, rng) for order in orders for role in order.split())

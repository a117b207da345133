import time
from datetime import date

import numpy as np
import pytest

from shared.messages import Brief
from training.messenger.corpus.corpus import sample_briefs, write_message
from training.messenger.evaluation import rubric
from training.messenger.evaluation.rubric import (
    accuracy_ceiling,
    preference_probabilities,
    sample_labels,
    score,
    traits,
)

OFFER = Brief(
    offer_percentage=10,
    expires_on=date(2025, 12, 7),
    first_name="Sam",
    tenure_months=12,
    plan="Pro",
    concern="price",
)
SERVICE = Brief(offer_percentage=0, concern="service")
BEST = (
    "Hi [NAME], thank you for [MONTHS] with us. We hope the price feels right: please reply KEEP by [EXPIRY] for"
    " [OFFER] off your next bill."
)


def trait_value(trait: str, text: str, brief: Brief = OFFER) -> float:
    return traits(brief, text)[trait]


def test_the_best_text_has_the_full_value_of_every_trait() -> None:
    assert traits(OFFER, BEST) == {trait: pytest.approx(1, abs=0.051) for trait in rubric.TRAITS}
    assert score(OFFER, BEST) == pytest.approx(
        rubric.SCALE * sum(weight for weight, *_ in rubric.TRAITS.values()), rel=0.01
    )


@pytest.mark.parametrize(
    ("trait", "text", "value"),
    [
        ("name", "Hi [NAME], hello.", 1.0),
        ("name", "Good day [NAME], hello.", 1.0),
        ("name", "Thank you for staying, [NAME].", 0.5),
        ("name", "Hi there.", 0.0),
        ("concern", "We know prices add up.", 1.0),
        ("concern", "a b c d e f g h i j k l m n o p q r s t price", 0.75),
        ("concern", " ".join(["a"] * 40) + " price", 0.5),
        ("concern", "Take [OFFER] off your next bill.", 0.0),
        ("concern", "Good service matters.", 0.0),
        ("call", "[OFFER] off: reply KEEP by [EXPIRY].", 1.0),
        ("call", "[OFFER] off, yes, [OFFER]: reply KEEP by [EXPIRY].", 0.6),
        ("call", "[OFFER] off: reply YES by [EXPIRY].", 0.7),
        ("call", "[OFFER] off your next bill.", 0.4),
        ("call", "[OFFER] or 20% off: reply KEEP by [EXPIRY].", 0.0),
        ("thanks", "Thank you for [MONTHS] with us.", 1.0),
        ("thanks", "Thank you.", 0.6),
        ("thanks", "[MONTHS] with us.", 0.0),
        ("brevity", "x" * 90, 1.0),
        ("brevity", "x" * 140, 1.0),
        ("brevity", "x" * 65, 0.5),
        ("brevity", "x" * 165, 0.5),
        ("brevity", "x" * 40, 0.0),
        ("brevity", "x" * 200, 0.0),
        ("one request", "Reply and tell us.", 1.0),
        ("one request", "Reply KEEP. Call us.", 0.4),
        ("one request", "Reply KEEP. Call us. Visit us.", 0.0),
        ("one request", "Hello.", 0.0),
        ("no repeats", "Thank you and welcome.", 1.0),
        ("no repeats", "Thank you, and thank you.", 0.75),
        ("warmth", "We love it, and hope for more.", 1.0),
        ("warmth", "We are glad.", 0.75),
        ("warmth", "We are here.", 0.5),
        ("warmth", "A notice about your account.", 0.0),
        ("calm", "Hello!", 1.0),
        ("calm", "Hello!!", 0.5),
        ("calm", "You must hurry.", 0.0),
    ],
)
def test_a_trait_is_as_computed_by_hand(trait: str, text: str, value: float) -> None:
    assert trait_value(trait, text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("trait", "text", "value"),
    [
        ("name", "Hello.", 1.0),
        ("name", "Hello [NAME].", 0.0),
        ("thanks", "Thank you.", 1.0),
        ("concern", "Is our service good?", 1.0),
        ("call", "Is our service good? Just reply.", 1.0),
        ("call", "Is our service good?", 0.5),
        ("call", "Reply KEEP?", 0.0),
        ("call", "Take [OFFER]? Just reply.", 0.0),
        ("call", "Will 20% do? Just reply.", 0.0),
    ],
)
def test_a_trait_is_as_computed_by_hand_for_a_brief_without_offer_and_facts(
    trait: str, text: str, value: float
) -> None:
    assert trait_value(trait, text, SERVICE) == value


def test_a_customer_without_concern_gets_the_full_value_for_any_text() -> None:
    assert trait_value("concern", "Hello.", OFFER.model_copy(update={"concern": None})) == 1


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ("Hello, ", "Hello [NAME], "),
        ("for being with us", "for [MONTHS] with us"),
        ("you must reply", "please reply"),
        ("reply YES", "reply KEEP"),
        ("your next bill!! ", "your next bill. "),
    ],
)
def test_a_better_phrase_raises_the_score(worse: str, better: str) -> None:
    """For texts of a length at which a few characters do not change the score."""
    rng = np.random.default_rng(0)
    offer = OFFER.model_copy(update={"first_name": None, "tenure_months": None})
    texts = [text for text in (write_message(offer, rng) for _ in range(1_000)) if better in text or worse in text]
    pairs = [(text.replace(better, worse), text.replace(worse, better)) for text in texts if 98 <= len(text) <= 132]
    assert len(pairs) > 5
    assert all(score(OFFER, good) > score(OFFER, bad) for bad, good in pairs)


def test_every_trait_has_a_weight_and_a_reason() -> None:
    assert all(weight > 0 and reason for weight, _, reason in rubric.TRAITS.values())


def test_traits_lie_between_0_and_1() -> None:
    rng = np.random.default_rng(1)
    for brief in sample_briefs(rng, 1_000):
        assert all(0 <= value <= 1 for value in traits(brief, write_message(brief, rng, 0.5)).values())
    assert set(traits(OFFER, "")) == set(rubric.TRAITS)


def test_score_differences_are_log_odds_of_the_preference() -> None:
    flat = BEST.replace("thank you for [MONTHS] with us", "here we are again, as ever")
    difference = score(OFFER, BEST) - score(OFFER, flat)
    assert difference > 0
    forward, backward = preference_probabilities([OFFER, OFFER], [BEST, flat], [flat, BEST])
    assert forward == pytest.approx(1 / (1 + np.exp(-difference)))
    assert forward + backward == pytest.approx(1)


def test_labels_follow_their_probabilities() -> None:
    labels = sample_labels(np.full(20_000, 0.7), np.random.default_rng(0))
    assert labels.mean() == pytest.approx(0.7, abs=0.015)


def test_the_accuracy_ceiling_is_that_of_a_predictor_that_knows_the_probabilities() -> None:
    assert accuracy_ceiling(np.array([0.9, 0.2, 0.5])) == pytest.approx((0.9 + 0.8 + 0.5) / 3)


@pytest.mark.slow
def test_the_accuracy_ceiling_on_pairs_of_the_corpus_is_80_percent() -> None:
    rng = np.random.default_rng(2)
    briefs = sample_briefs(rng, 4_000)
    first, second = ([write_message(brief, rng, 0.3) for brief in briefs] for _ in range(2))
    probabilities = preference_probabilities(briefs, first, second)
    assert accuracy_ceiling(probabilities) == pytest.approx(0.80, abs=0.01)
    correct = sample_labels(probabilities, rng) == (probabilities > 0.5)
    assert correct.mean() == pytest.approx(accuracy_ceiling(probabilities), abs=0.02)


def test_scoring_a_text_takes_no_longer_than_writing_it_by_grammar() -> None:
    rng = np.random.default_rng(3)
    briefs = sample_briefs(rng, 2_000)
    start = time.process_time()
    texts = [write_message(brief, rng) for brief in briefs]
    between = time.process_time()
    for brief, text in zip(briefs, texts, strict=True):
        score(brief, text)
    writing, scoring = between - start, time.process_time() - between

    assert scoring < writing  # measured: a quarter to a third of it

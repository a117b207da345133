from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from shared.messages import Brief
from training.messenger.corpus.corpus import sample_briefs, write_message
from training.messenger.evaluation import heldout_rubric, rubric
from training.messenger.evaluation.heldout_rubric import ParsedText, parse, score, win_rates
from training.messenger.evaluation.win_rate import length_controlled, win_rate

OFFER = Brief(offer_percentage=10, expires_on=date(2025, 12, 7), first_name="Sam", concern="price")
SERVICE = Brief(offer_percentage=0)
EASY, HARD = "We are so glad to see you here.", "Organisational communication necessitates considerable deliberation."


@pytest.mark.parametrize(
    ("trait", "brief", "text", "value"),
    [
        (heldout_rubric.readable, OFFER, EASY, 1.0),
        (heldout_rubric.readable, OFFER, HARD, 0.0),
        (heldout_rubric.about_reader, OFFER, "You know your plan.", 1.0),
        (heldout_rubric.about_reader, OFFER, "We like you, and we say so to you.", 1.0),
        (heldout_rubric.about_reader, OFFER, "We and our team and our plan like you.", 0.5),
        (heldout_rubric.about_reader, OFFER, "We like plans.", 0.0),
        (heldout_rubric.call_last, OFFER, "Hello. Reply KEEP.", 1.0),
        (heldout_rubric.call_last, OFFER, "Reply KEEP. Thank you.", 0.5),
        (heldout_rubric.call_last, OFFER, "Reply KEEP. Thank you. Bye.", 0.0),
        (heldout_rubric.call_last, SERVICE, "How are you? Bye.", 0.5),
        (heldout_rubric.call_last, SERVICE, "How are you? Just reply.", 1.0),
        (heldout_rubric.addresses_concern, OFFER, "It should be worth it.", 1.0),
        (heldout_rubric.addresses_concern, OFFER, "It should be good.", 0.0),
        (heldout_rubric.addresses_concern, SERVICE, "Hello.", 1.0),
        (heldout_rubric.no_cliches, OFFER, "We like you.", 1.0),
        (heldout_rubric.no_cliches, OFFER, "As a valued customer you like us.", 0.5),
        (heldout_rubric.no_cliches, OFFER, "Dear customer, you mean a lot to us.", 0.0),
        (heldout_rubric.rhythm, OFFER, "One two three. One two three.", 0.0),
        (heldout_rubric.rhythm, OFFER, "One. One two three four five.", 1.0),
        (heldout_rubric.polite, OFFER, "Please reply, if you like.", 1.0),
        (heldout_rubric.polite, OFFER, "Please reply.", 0.5),
        (heldout_rubric.polite, OFFER, "Reply.", 0.0),
        (heldout_rubric.polite, OFFER, "Please, you must reply, thank you.", 0.0),
        (heldout_rubric.complete, OFFER, "[OFFER]: reply KEEP by [EXPIRY].", 1.0),
        (heldout_rubric.complete, OFFER, "[OFFER]: reply KEEP.", 0.0),
        (heldout_rubric.complete, SERVICE, "How are you?", 1.0),
    ],
)
def test_a_trait_is_as_computed_by_hand(
    trait: Callable[[Brief, ParsedText], float], brief: Brief, text: str, value: float
) -> None:
    assert trait(brief, parse(text)) == pytest.approx(value)


def test_the_score_of_any_text_is_the_mean_of_its_traits() -> None:
    rng = np.random.default_rng(0)
    for brief in sample_briefs(rng, 500):
        text = write_message(brief, rng, 0.5)
        values = [trait(brief, parse(text)) for trait in heldout_rubric.TRAITS]
        assert all(0 <= value <= 1 for value in values)
        assert score(brief, text) == pytest.approx(np.mean(values))
    assert all(0 <= score(SERVICE, text) <= 1 for text in ("", ".", "?!", "李"))


@pytest.mark.slow
def test_the_held_out_rubric_correlates_with_the_training_rubric_and_shares_no_trait() -> None:
    rng = np.random.default_rng(1)
    briefs = sample_briefs(rng, 1_500)
    correlations = {}
    for flawed in (0.0, 0.3):
        texts = [write_message(brief, rng, flawed) for brief in briefs]
        held_out_scores, training_scores = (
            np.array([scores(brief, text) for brief, text in zip(briefs, texts, strict=True)])
            for scores in (score, rubric.score)
        )
        correlations[flawed] = np.corrcoef(held_out_scores, training_scores)[0, 1]
    assert 0.1 < correlations[0.0] < 0.5
    assert 0.4 < correlations[0.3] < 0.75
    assert not {trait.__name__ for trait in heldout_rubric.TRAITS} & set(rubric.TRAITS)


def test_the_win_rate_of_equal_texts_is_a_half() -> None:
    rng = np.random.default_rng(2)
    briefs = sample_briefs(rng, 400)
    texts = [write_message(brief, rng) for brief in briefs]
    rates = win_rates(briefs, texts, texts)
    assert len(rates) == 9
    assert all(rate.wins.mean == rate.length_controlled.mean == pytest.approx(0.5) for rate in rates.values())
    assert rates["all"].pairs == sum(rate.pairs for name, rate in rates.items() if name != "all") == 400


def test_texts_without_flaws_win_and_swapping_the_texts_mirrors_the_win_rate() -> None:
    rng = np.random.default_rng(3)
    briefs = sample_briefs(rng, 600)
    good, bad = ([write_message(brief, rng, flawed) for brief in briefs] for flawed in (0.0, 1.0))
    rate, swapped = win_rates(briefs, good, bad)["all"], win_rates(briefs, bad, good)["all"]
    assert rate.wins.low > 0.6
    assert rate.length_controlled.low > 0.6
    assert rate.wins.mean + swapped.wins.mean == pytest.approx(1)
    assert rate.wins.low + swapped.wins.high == pytest.approx(1)
    assert rate.length_controlled.mean + swapped.length_controlled.mean == pytest.approx(1, abs=1e-9)


def test_segments_are_the_kind_of_message_and_the_concern() -> None:
    assert heldout_rubric.segment(OFFER) == "offer, price"
    assert heldout_rubric.segment(SERVICE) == "service, no concern"
    rates = win_rates([OFFER, OFFER, SERVICE], [EASY, HARD, EASY], [HARD, EASY, EASY])
    assert {name: (rate.pairs, rate.wins.mean) for name, rate in rates.items()} == {
        "all": (3, 0.5),
        "offer, price": (2, 0.5),
        "service, no concern": (1, 0.5),
    }


@pytest.mark.parametrize("share", [0.5, 0.65, 0.9])
def test_intervals_cover_the_true_share_in_95_of_100(share: float) -> None:
    rng = np.random.default_rng(4)
    covered = np.zeros(2)
    for _ in range(300):
        rate = win_rate((rng.random(150) < share).astype(float), rng.normal(0, 20, 150))
        covered += [low <= share <= high for _, low, high in (rate.wins, rate.length_controlled)]
    assert covered / 300 == pytest.approx([0.95, 0.95], abs=0.035)


def test_length_control_removes_wins_by_length_alone() -> None:
    rng = np.random.default_rng(5)
    lengths = rng.normal(20, 20, 4_000)
    rate = win_rate(
        (rng.random(4_000) < expit(3 * np.tanh(lengths / lengths.std()))).astype(float),
        lengths,
    )
    assert rate.wins.low > 0.75
    assert rate.length_controlled.low < 0.5 < rate.length_controlled.high


def test_length_control_keeps_wins_that_do_not_depend_on_length() -> None:
    rng = np.random.default_rng(6)
    lengths = rng.normal(20, 20, 4_000)
    rate = win_rate((rng.random(4_000) < 0.7).astype(float), lengths)
    assert rate.length_controlled.low < 0.7 < rate.length_controlled.high


def test_length_control_equals_the_logistic_regression_of_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    lengths = rng.normal(0, 20, 500)
    wins = (rng.random(500) < expit(1 + 2 * np.tanh(lengths / 20))).astype(float)
    intercept = LogisticRegression().fit(np.tanh(lengths / lengths.std())[:, None], wins).intercept_[0]
    assert length_controlled(wins, lengths).mean == pytest.approx(expit(intercept), abs=2e-3)


@pytest.mark.parametrize("n", [1, 20, 5_000])
def test_length_control_stays_below_1_where_one_side_wins_every_pair(n: int) -> None:
    share, low, high = length_controlled(np.ones(n), np.arange(n))
    assert n / (n + 2) < share <= high < 1
    assert low < share

from datetime import date

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from shared.messages import Brief
from training.messenger.corpus.corpus import briefs, write
from training.messenger.evaluation import heldout_rubric, rubric
from training.messenger.evaluation.heldout_rubric import read, score, win_rate
from training.messenger.evaluation.win_rate import controlled, rate

OFFER = Brief(offer_percentage=10, expires_on=date(2025, 12, 7), first_name="Sam", concern="price")
SERVICE = Brief(offer_percentage=0)
EASY, HARD = "We are so glad to see you here.", "Organisational communication necessitates considerable deliberation."


@pytest.mark.parametrize(
    ("trait", "brief", "text", "value"),
    [
        (heldout_rubric.readable, OFFER, EASY, 1.0),
        (heldout_rubric.readable, OFFER, HARD, 0.0),
        (heldout_rubric.about_you, OFFER, "You know your plan.", 1.0),
        (heldout_rubric.about_you, OFFER, "We like you, and we say so to you.", 1.0),
        (heldout_rubric.about_you, OFFER, "We and our team and our plan like you.", 0.5),
        (heldout_rubric.about_you, OFFER, "We like plans.", 0.0),
        (heldout_rubric.call_last, OFFER, "Hello. Reply KEEP.", 1.0),
        (heldout_rubric.call_last, OFFER, "Reply KEEP. Thank you.", 0.5),
        (heldout_rubric.call_last, OFFER, "Reply KEEP. Thank you. Bye.", 0.0),
        (heldout_rubric.call_last, SERVICE, "How are you? Bye.", 0.5),
        (heldout_rubric.call_last, SERVICE, "How are you? Just reply.", 1.0),
        (heldout_rubric.understanding, OFFER, "It should be worth it.", 1.0),
        (heldout_rubric.understanding, OFFER, "It should be good.", 0.0),
        (heldout_rubric.understanding, SERVICE, "Hello.", 1.0),
        (heldout_rubric.fresh, OFFER, "We like you.", 1.0),
        (heldout_rubric.fresh, OFFER, "As a valued customer you like us.", 0.5),
        (heldout_rubric.fresh, OFFER, "Dear customer, you mean a lot to us.", 0.0),
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
def test_a_trait_is_as_worked_by_hand(trait, brief: Brief, text: str, value: float) -> None:
    assert trait(brief, read(text)) == pytest.approx(value)


def test_a_score_is_the_mean_of_the_traits_and_any_text_has_one() -> None:
    rng = np.random.default_rng(0)
    for brief in briefs(rng, 500):
        text = write(brief, rng, 0.5)
        values = [trait(brief, read(text)) for trait in heldout_rubric.TRAITS]
        assert all(0 <= value <= 1 for value in values)
        assert score(brief, text) == pytest.approx(np.mean(values))
    assert all(0 <= score(SERVICE, text) <= 1 for text in ("", ".", "?!", "李"))


def test_the_judge_is_related_to_the_rubric_and_is_another() -> None:
    rng = np.random.default_rng(1)
    asked = briefs(rng, 1_500)
    related = {}
    for flawed in (0.0, 0.3):
        texts = [write(brief, rng, flawed) for brief in asked]
        by = [
            [scores(brief, text) for brief, text in zip(asked, texts, strict=True)] for scores in (score, rubric.score)
        ]
        related[flawed] = np.corrcoef(by)[0, 1]
    assert 0.1 < related[0.0] < 0.5
    assert 0.4 < related[0.3] < 0.75
    assert not {trait.__name__ for trait in heldout_rubric.TRAITS} & set(rubric.TRAITS)


def test_of_equal_texts_each_wins_half() -> None:
    rng = np.random.default_rng(2)
    asked = briefs(rng, 400)
    texts = [write(brief, rng) for brief in asked]
    rates = win_rate(asked, texts, texts)
    assert len(rates) == 9
    assert all(each.wins.mean == each.controlled.mean == pytest.approx(0.5) for each in rates.values())
    assert rates["all"].pairs == sum(each.pairs for name, each in rates.items() if name != "all") == 400


def test_texts_without_bad_habits_win_and_the_other_way_round_they_lose() -> None:
    rng = np.random.default_rng(3)
    asked = briefs(rng, 600)
    good, bad = ([write(brief, rng, flawed) for brief in asked] for flawed in (0.0, 1.0))
    there, back = win_rate(asked, good, bad)["all"], win_rate(asked, bad, good)["all"]
    assert there.wins.low > 0.6
    assert there.controlled.low > 0.6
    assert there.wins.mean + back.wins.mean == pytest.approx(1)
    assert there.wins.low + back.wins.high == pytest.approx(1)
    assert there.controlled.mean + back.controlled.mean == pytest.approx(1, abs=1e-9)


def test_segments_are_what_a_message_is_for_and_about() -> None:
    assert heldout_rubric.segment(OFFER) == "offer, price"
    assert heldout_rubric.segment(SERVICE) == "service, no concern"
    rates = win_rate([OFFER, OFFER, SERVICE], [EASY, HARD, EASY], [HARD, EASY, EASY])
    assert {name: (each.pairs, each.wins.mean) for name, each in rates.items()} == {
        "all": (3, 0.5),
        "offer, price": (2, 0.5),
        "service, no concern": (1, 0.5),
    }


@pytest.mark.parametrize("share", [0.5, 0.65, 0.9])
def test_intervals_cover(share: float) -> None:
    rng = np.random.default_rng(4)
    inside = np.zeros(2)
    for _ in range(300):
        each = rate((rng.random(150) < share).astype(float), rng.normal(0, 20, 150))
        inside += [low <= share <= high for _, low, high in (each.wins, each.controlled)]
    assert inside / 300 == pytest.approx([0.95, 0.95], abs=0.035)


def test_what_is_won_by_length_alone_is_gone_at_equal_length() -> None:
    rng = np.random.default_rng(5)
    longer = rng.normal(20, 20, 4_000)
    each = rate((rng.random(4_000) < expit(3 * np.tanh(longer / longer.std()))).astype(float), longer)
    assert each.wins.low > 0.75
    assert each.controlled.low < 0.5 < each.controlled.high


def test_what_is_won_on_merit_stays_at_equal_length() -> None:
    rng = np.random.default_rng(6)
    longer = rng.normal(20, 20, 4_000)
    each = rate((rng.random(4_000) < 0.7).astype(float), longer)
    assert each.controlled.low < 0.7 < each.controlled.high


def test_the_regression_is_scikit_learns() -> None:
    rng = np.random.default_rng(7)
    longer = rng.normal(0, 20, 500)
    wins = (rng.random(500) < expit(1 + 2 * np.tanh(longer / 20))).astype(float)
    theirs = LogisticRegression().fit(np.tanh(longer / longer.std())[:, None], wins).intercept_[0]
    assert controlled(wins, longer).mean == pytest.approx(expit(theirs), abs=2e-3)


@pytest.mark.parametrize("n", [1, 20, 5_000])
def test_who_wins_all_is_said_to_win_almost_all_and_is_not_certain_to(n: int) -> None:
    share, low, high = controlled(np.ones(n), np.arange(n))
    assert n / (n + 2) < share <= high < 1
    assert low < share

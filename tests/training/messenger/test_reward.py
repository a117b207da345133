from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.messenger.tiny_model import tiny
from training.messenger import reward
from training.messenger.data import Pair
from training.messenger.lm import LM, Batch, encode, joined
from training.messenger.reward import Args, RewardModel, accuracy, preference_loss, report, train


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny()


def test_the_loss_by_hand() -> None:
    chosen, rejected = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])

    assert preference_loss(chosen, rejected).item() == pytest.approx((np.log1p(np.exp(-2)) + np.log(2)) / 2)


def test_a_tie_is_half_right() -> None:
    assert accuracy(np.array([1.0, 0.0, -1.0, 2.0])) == 0.625
    assert accuracy(np.zeros(10)) == 0.5


def test_the_score_is_read_at_the_last_real_token(lm: LM) -> None:
    model = RewardModel(lm, 0)
    prompts, texts = ["Message:", "Offer: none. Message:"], [" Hi", " Hi [NAME], thank you for being with us."]
    with torch.no_grad():
        together = model(encode(lm.tokenizer, prompts, texts, 99))
        alone = [model(encode(lm.tokenizer, [p], [t], 99)) for p, t in zip(prompts, texts, strict=True)]

    assert together == pytest.approx(torch.cat(alone), abs=1e-5)


def test_of_many_each_is_scored_as_if_alone(lm: LM) -> None:
    model, rng = RewardModel(lm, 0), np.random.default_rng(2)
    texts = [" thank you" * repeats for repeats in rng.integers(1, 20, 40)]
    alone = [model.score(["Message:"], [text], 99)[0] for text in texts]

    assert model.score(["Message:"] * 40, texts, 99) == pytest.approx(np.array(alone), abs=1e-5)


def test_normalised_scores_have_a_mean_of_0_and_a_spread_of_1(lm: LM) -> None:
    model, texts = RewardModel(lm, 0), [f" text {n}" for n in range(50)]
    for _ in range(2):  # doing it again changes nothing
        model.normalise(model.score(["Message:"] * 50, texts, 99))
        scores = model.score(["Message:"] * 50, texts, 99)
        assert scores.mean() == pytest.approx(0, abs=1e-4)
        assert scores.std() == pytest.approx(1, abs=1e-4)


def test_texts_that_pairs_share_are_read_once_and_count_in_each(lm: LM, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" thank you", " please stay", " do it at once", " thank you"]
    pairs = [Pair("Message:", a, b) for a, b in combinations(texts, 2) if a != b]
    read: list[int] = []

    def counted(*args: Any) -> Batch:
        read.append(len(args[1]))
        return joined(*args)

    monkeypatch.setattr(reward, "joined", counted)
    _, points = train(lm, pairs, Args(batch=5, together=5, epochs=1))
    model = RewardModel(lm, 0)
    with torch.no_grad():
        chosen, rejected = (
            model(encode(lm.tokenizer, ["Message:"] * 5, side, 99))
            for side in zip(*(p[1:] for p in pairs), strict=True)
        )

    assert read == [3]
    assert points[0].loss == pytest.approx(preference_loss(chosen, rejected).item(), abs=0.02)  # bfloat16


def test_it_learns_what_is_preferred_and_leaves_the_model_it_came_from_alone(lm: LM) -> None:
    rng = np.random.default_rng(0)
    words = [" thank you", " please", " would you", " hurry now", " at once", " do it"]
    pairs = [
        Pair("Message:", words[good], words[bad])
        for good, bad in zip(rng.integers(0, 3, 400), rng.integers(3, 6, 400), strict=True)
    ]
    before = {name: weight.clone() for name, weight in lm.model.state_dict().items()}
    model, points = train(lm, pairs[:300], Args(batch=16, learning_rate=5e-3))
    found = report(model, pairs[300:], 99)

    assert found.accuracy > 0.95
    assert found.loss < 0.3
    assert found.margin > 1
    assert points[-1].loss < points[0].loss
    assert len(points) == Args(batch=16).steps(300)
    assert all(torch.equal(weight, before[name]) for name, weight in lm.model.state_dict().items())


def test_without_a_preference_there_is_nothing_to_learn(lm: LM) -> None:
    rng = np.random.default_rng(1)
    pairs = [Pair("Message:", f" {a}", f" {b}") for a, b in rng.integers(0, 999, (600, 2))]
    model, _ = train(lm, pairs[:300], Args(epochs=1))

    assert 0.4 < report(model, pairs[300:], 99).accuracy < 0.6


def test_the_report_says_what_choosing_the_longer_would_have_got(lm: LM) -> None:
    pairs = [
        Pair("Message:", " a long text", " short"),
        Pair("Message:", " short", " a long text"),
        Pair("", " a", " b"),
    ]

    assert report(RewardModel(lm, 0), pairs, 99).longer == 0.5

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.messenger.tiny_model import tiny_lm
from training.messenger import reward
from training.messenger.data import Pair
from training.messenger.lm import LM, Batch, encode, encode_joined
from training.messenger.reward import RewardArgs, RewardModel, accuracy, evaluate, preference_loss, train

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny_lm()


def test_the_preference_loss_is_as_computed_by_hand() -> None:
    chosen, rejected = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])

    assert preference_loss(chosen, rejected).item() == pytest.approx((np.log1p(np.exp(-2)) + np.log(2)) / 2)


def test_a_tie_counts_half_in_the_accuracy() -> None:
    assert accuracy(np.array([1.0, 0.0, -1.0, 2.0])) == 0.625
    assert accuracy(np.zeros(10)) == 0.5


def test_the_score_is_read_at_the_last_real_token(lm: LM) -> None:
    model = RewardModel(lm, 0)
    prompts, texts = ["Message:", "Offer: none. Message:"], [" Hi", " Hi [NAME], thank you for being with us."]
    with torch.no_grad():
        batched = model(encode(lm.tokenizer, prompts, texts, 99))
        single = [model(encode(lm.tokenizer, [p], [t], 99)) for p, t in zip(prompts, texts, strict=True)]

    assert batched == pytest.approx(torch.cat(single), abs=1e-5)


def test_a_score_does_not_depend_on_the_other_texts_of_the_batch(lm: LM) -> None:
    model, rng = RewardModel(lm, 0), np.random.default_rng(2)
    texts = [" thank you" * repeats for repeats in rng.integers(1, 20, 40)]
    single = [model.score(["Message:"], [text], 99)[0] for text in texts]

    assert model.score(["Message:"] * 40, texts, 99) == pytest.approx(np.array(single), abs=1e-5)


def test_normalised_scores_have_mean_0_and_standard_deviation_1(lm: LM) -> None:
    model, texts = RewardModel(lm, 0), [f" text {n}" for n in range(50)]
    for _ in range(2):  # repeating it changes nothing
        model.normalise(model.score(["Message:"] * 50, texts, 99))
        scores = model.score(["Message:"] * 50, texts, 99)
        assert scores.mean() == pytest.approx(0, abs=1e-4)
        assert scores.std() == pytest.approx(1, abs=1e-4)


def test_a_text_in_several_pairs_is_read_once_and_counts_in_each(lm: LM, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" thank you", " please stay", " do it at once", " thank you"]
    pairs = [Pair("Message:", a, b) for a, b in combinations(texts, 2) if a != b]
    texts_read: list[int] = []

    def counting_encode(*args: Any) -> Batch:
        texts_read.append(len(args[1]))
        return encode_joined(*args)

    monkeypatch.setattr(reward, "encode_joined", counting_encode)
    _, metrics = train(lm, pairs, RewardArgs(batch_size=5, group_size=5, epochs=1))
    model = RewardModel(lm, 0)
    with torch.no_grad():
        chosen, rejected = (
            model(encode(lm.tokenizer, ["Message:"] * 5, side, 99))
            for side in zip(*(p[1:] for p in pairs), strict=True)
        )

    assert texts_read == [3]
    assert metrics[0].loss == pytest.approx(preference_loss(chosen, rejected).item(), abs=0.02)  # bfloat16


def test_the_reward_model_learns_the_preference_and_leaves_its_initial_model_unchanged(lm: LM) -> None:
    rng = np.random.default_rng(0)
    words = [" thank you", " please", " would you", " hurry now", " at once", " do it"]
    pairs = [
        Pair("Message:", words[good], words[bad])
        for good, bad in zip(rng.integers(0, 3, 400), rng.integers(3, 6, 400), strict=True)
    ]
    before = {name: weight.clone() for name, weight in lm.model.state_dict().items()}
    model, metrics = train(lm, pairs[:300], RewardArgs(batch_size=16, learning_rate=5e-3))
    report = evaluate(model, pairs[300:], 99)

    assert report.accuracy > 0.95
    assert report.loss < 0.3
    assert report.margin > 1
    assert metrics[-1].loss < metrics[0].loss
    assert len(metrics) == RewardArgs(batch_size=16).steps(300)
    assert all(torch.equal(weight, before[name]) for name, weight in lm.model.state_dict().items())


def test_accuracy_is_at_chance_where_labels_are_random(lm: LM) -> None:
    rng = np.random.default_rng(1)
    pairs = [Pair("Message:", f" {a}", f" {b}") for a, b in rng.integers(0, 999, (600, 2))]
    model, _ = train(lm, pairs[:300], RewardArgs(epochs=1))

    assert 0.4 < evaluate(model, pairs[300:], 99).accuracy < 0.6


def test_the_report_has_the_accuracy_of_preferring_the_longer_text(lm: LM) -> None:
    pairs = [
        Pair("Message:", " a long text", " short"),
        Pair("Message:", " short", " a long text"),
        Pair("", " a", " b"),
    ]

    assert evaluate(RewardModel(lm, 0), pairs, 99).longer_accuracy == 0.5


def test_a_saved_reward_model_is_loaded_with_exactly_the_same_scores(lm: LM, tmp_path: Path) -> None:
    model, texts = RewardModel(lm, 0), [f" text {n}" for n in range(20)]
    model.normalise(model.score(["Message:"] * 20, texts, 99))
    model.freeze()
    model.save(tmp_path)
    loaded = RewardModel.load(tmp_path)

    assert (loaded.mean, loaded.std) == (model.mean, model.std)
    assert loaded.score(["Message:"] * 20, texts, 99).tolist() == model.score(["Message:"] * 20, texts, 99).tolist()

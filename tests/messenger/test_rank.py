from collections.abc import Sequence

import pytest
import torch

from services.messenger.artifact import Artifact, LanguageModel
from services.messenger.prompt import build_prompt
from services.messenger.rank import RewardScorer, ScoredText, rank
from tests.messenger.tiny_model import EVERY, Tiny, converted, texts


class Shortest(RewardScorer):
    """Prefers short texts, and remembers the prompts."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        self.prompts += prompts
        return [-float(len(text)) for text in texts]


DRAFTS = [[ScoredText("long, and likely", -0.1), ScoredText("short", -0.9)], [], [ScoredText("a text", -0.5)]]


def test_without_a_reward_model_the_likeliest_is_best() -> None:
    assert rank(["a", "b", "c"], DRAFTS, None) == [["long, and likely", "short"], [], ["a text"]]


def test_the_reward_model_has_the_last_word() -> None:
    reward = Shortest()

    assert rank(["a", "b", "c"], DRAFTS, reward) == [["short", "long, and likely"], [], ["a text"]]
    assert reward.prompts == ["a", "a", "c"]


def test_each_text_comes_once() -> None:
    same = [[ScoredText("a", -0.3), ScoredText("b", -0.2), ScoredText("a", -0.1)]]
    assert rank(["prompt"], same, None) == [["a", "b"]]


def test_nothing_to_rank_is_nothing(artifact: Artifact) -> None:
    assert artifact.reward is not None
    assert rank(["a", "b"], [[], []], RewardScorer(artifact.reward)) == [[], []]


@torch.no_grad()
def test_a_reward_is_logit_0_after_prompt_text_and_end(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the lengths beside it; as in transformers."""
    folder = converted(tiny.artifacts.parent / "reward", tmp_path_factory.mktemp("exact") / "reward")
    reward = RewardScorer(LanguageModel(folder, tiny.tokenizer.backend_tokenizer))
    pairs = [(build_prompt(brief), text) for brief in EVERY for text in texts(brief)]

    scores = reward(*map(list, zip(*pairs, strict=True)))

    tiny.tokenizer.padding_side = "right"
    batch = tiny.tokenizer([f"{asked} {text}</s>" for asked, text in pairs], padding=True, return_tensors="pt")
    logits = tiny.reward(**batch).logits[range(len(pairs)), batch["attention_mask"].sum(dim=1) - 1, 0]
    assert scores == pytest.approx(logits.tolist(), abs=1e-4)
    assert len(set(scores)) > 100

from collections.abc import Sequence

import pytest
import torch

from services.messenger.artifact import Artifact, LanguageModel
from services.messenger.prompt import build_prompt
from services.messenger.rank import RewardScorer, ScoredText, rank
from tests.messenger.builders import BRIEFS
from tests.messenger.tiny_model import TinyModels, convert, target_texts

pytestmark = pytest.mark.torch


class BrevityReward(RewardScorer):
    """Prefers short texts, and records the prompts."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        self.prompts += prompts
        return [-float(len(text)) for text in texts]


CANDIDATES = [
    [ScoredText("long, and likely", -0.1), ScoredText("short", -0.9)],
    [],
    [ScoredText("a text", -0.5)],
]


def test_texts_are_ranked_by_log_probability_without_a_reward_model() -> None:
    assert rank(["a", "b", "c"], CANDIDATES, None) == [["long, and likely", "short"], [], ["a text"]]


def test_texts_are_ranked_by_the_reward_model_where_there_is_one() -> None:
    reward = BrevityReward()

    assert rank(["a", "b", "c"], CANDIDATES, reward) == [["short", "long, and likely"], [], ["a text"]]
    assert reward.prompts == ["a", "a", "c"]


def test_duplicate_texts_are_dropped() -> None:
    duplicates = [[ScoredText("a", -0.3), ScoredText("b", -0.2), ScoredText("a", -0.1)]]
    assert rank(["prompt"], duplicates, None) == [["a", "b"]]


def test_prompts_without_candidates_have_no_texts(artifact: Artifact) -> None:
    assert artifact.reward is not None
    assert rank(["a", "b"], [[], []], RewardScorer(artifact.reward)) == [[], []]


def test_the_reward_is_logit_0_at_the_end_of_text_token_whatever_else_is_in_the_batch(
    tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Compared with transformers."""
    folder = convert(tiny.artifacts.parent / "reward", tmp_path_factory.mktemp("float32") / "reward")
    reward = RewardScorer(LanguageModel(folder, tiny.tokenizer.backend_tokenizer))
    pairs = [(build_prompt(brief), text) for brief in BRIEFS for text in target_texts(brief)]

    rewards = reward(*map(list, zip(*pairs, strict=True)))

    tiny.tokenizer.padding_side = "right"
    batch = tiny.tokenizer([f"{prompt} {text}</s>" for prompt, text in pairs], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = tiny.reward(**batch).logits[range(len(pairs)), batch["attention_mask"].sum(dim=1) - 1, 0]
    assert rewards == pytest.approx(logits.tolist(), abs=1e-4)
    assert len(set(rewards)) > 100

"""Ranking of candidate texts: by the reward model's score or, without one, by log-probability."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from services.messenger.artifact import LanguageModel

BATCH_SIZE = 16
"""Texts scored at once, so that intermediate arrays stay in the processor's cache."""


class ScoredText(NamedTuple):
    """A text with slots, and its score: the reward, or the writer's mean log-probability per token."""

    text: str
    score: float


class RewardScorer:
    """The reward of a text after its prompt: logit 0 at the end-of-text token."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """One reward for each text after the prompt at the same index."""
        sequences = [self._token_ids(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        batches = (sequences[start : start + BATCH_SIZE] for start in range(0, len(sequences), BATCH_SIZE))
        return [reward for batch in batches for reward in self._rewards(batch)]

    def _rewards(self, sequences: Sequence[Sequence[int]]) -> list[float]:
        logits = np.asarray(self._model.generator.forward_batch(sequences))  # [n, length, vocabulary]
        return [float(row[len(ids) - 1, 0]) for row, ids in zip(logits, sequences, strict=True)]

    def _token_ids(self, prompt: str, text: str) -> list[int]:
        encode = self._model.tokenizer.encode
        return [*encode(prompt).ids, *encode(f" {text}", add_special_tokens=False).ids, self._model.eos_id]


def rank(
    prompts: Sequence[str], candidates: Sequence[Sequence[ScoredText]], reward: RewardScorer | None
) -> list[list[str]]:
    """The distinct texts of each prompt, best first."""
    if reward:
        candidates = _rescored(prompts, candidates, reward)
    best_first = (sorted(scored, key=lambda candidate: candidate.score, reverse=True) for scored in candidates)
    return [list(dict.fromkeys(candidate.text for candidate in scored)) for scored in best_first]


def _rescored(
    prompts: Sequence[str], candidates: Sequence[Sequence[ScoredText]], reward: RewardScorer
) -> list[list[ScoredText]]:
    texts = [candidate.text for candidate in chain.from_iterable(candidates)]
    repeated = [prompt for prompt, scored in zip(prompts, candidates, strict=True) for _ in scored]
    rewards = iter(reward(repeated, texts))
    return [[ScoredText(candidate.text, next(rewards)) for candidate in scored] for scored in candidates]

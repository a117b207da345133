"""Which of a model's texts is best: the one that the reward model prefers or, without one, the likeliest."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from services.messenger.artifact import LanguageModel

TOGETHER = 16
"""Texts that are scored at once: what is worked out for them stays in the processor's cache."""


class Draft(NamedTuple):
    """A text in slots, and how good it is taken to be; for a writer, its mean log-probability a token."""

    text: str
    score: float


class RewardScorer:
    """Scores texts after their prompts: logit 0 at the last token of prompt, text and end of text."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """One score for each text, after the prompt in its place."""
        rows = [self._tokens(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        parts = (rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER))
        return [score for part in parts for score in self._scores(part)]

    def _scores(self, rows: Sequence[Sequence[int]]) -> list[float]:
        logits = np.asarray(self._model.generator.forward_batch(rows))  # [n, length, vocabulary]
        return [float(row[len(tokens) - 1, 0]) for row, tokens in zip(logits, rows, strict=True)]

    def _tokens(self, prompt: str, text: str) -> list[int]:
        encode = self._model.tokenizer.encode
        return [*encode(prompt).ids, *encode(f" {text}", add_special_tokens=False).ids, self._model.end]


def ranked(prompts: Sequence[str], drafts: Sequence[Sequence[Draft]], reward: RewardScorer | None) -> list[list[str]]:
    """The texts of each prompt, best first and each once."""
    if reward:
        drafts = _judged(prompts, drafts, reward)
    best_first = (sorted(some, key=lambda draft: draft.score, reverse=True) for some in drafts)
    return [list(dict.fromkeys(draft.text for draft in some)) for some in best_first]


def _judged(prompts: Sequence[str], drafts: Sequence[Sequence[Draft]], reward: RewardScorer) -> list[list[Draft]]:
    texts = [draft.text for draft in chain.from_iterable(drafts)]
    scores = iter(reward([prompt for prompt, some in zip(prompts, drafts, strict=True) for _ in some], texts))
    return [[Draft(draft.text, next(scores)) for draft in some] for some in drafts]

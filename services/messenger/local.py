"""The trained writer on this machine's processor: CTranslate2 with 8-bit weights, without torch."""

import asyncio
import re
from collections.abc import Sequence
from functools import lru_cache

from services.messenger.artifact import Artifact
from services.messenger.prompt import build_prompt
from services.messenger.rank import RewardScorer, ScoredText, rank
from services.messenger.sampling import MAX_NEW_TOKENS, TEMPERATURE
from shared.messages import Brief

FIGURE_PATTERN = re.compile(r"[0-9%]")
"""Tokens that match are never sampled: every number of a message fills a slot, so none can be invented."""


class LocalWriter:
    """Samples texts from the whole vocabulary (neither top-k nor top-p) except tokens with digits or percent signs."""

    name = "local"

    def __init__(self, artifact: Artifact, candidates: int) -> None:
        self.version = f"{self.name}/{artifact.version}"
        self._model, self._candidates = artifact.writer, candidates
        self._reward = RewardScorer(artifact.reward) if artifact.reward else None
        self._suppressed = [[token] for token in self._model.tokenizer.get_vocab() if FIGURE_PATTERN.search(token)]
        self._tokens = lru_cache(lambda prompt: self._model.tokenizer.encode(prompt).tokens)

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        return await asyncio.to_thread(self._write, [build_prompt(brief) for brief in briefs])

    def _write(self, prompts: Sequence[str]) -> list[list[str]]:
        return rank(prompts, self.sample(prompts), self._reward)

    def sample(self, prompts: Sequence[str]) -> list[list[ScoredText]]:
        """At most `candidates` complete texts for each prompt, with their mean log-probability per token."""
        results = self._model.generator.generate_batch(
            [self._tokens(prompt) for prompt in prompts],
            max_length=MAX_NEW_TOKENS,
            num_hypotheses=self._candidates,
            sampling_topk=0,
            sampling_temperature=TEMPERATURE,
            include_prompt_in_result=False,
            return_scores=True,
            return_end_token=True,
            suppress_sequences=self._suppressed,
        )
        decode = self._model.tokenizer.decode
        return [
            [
                ScoredText(decode(ids[:-1]).strip(), score)
                for ids, score in zip(result.sequences_ids, result.scores, strict=True)
                if ids[-1] == self._model.eos_id
            ]
            for result in results
        ]

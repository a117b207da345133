"""The trained writer on this machine's processor: CTranslate2 in 8 bits, no torch."""

import asyncio
import re
from collections.abc import Sequence
from functools import lru_cache

from services.messenger.artifact import Artifact
from services.messenger.prompt import prompt
from services.messenger.rank import Draft, RewardScorer, ranked
from shared.messages import Brief

LONGEST = 64
"""Tokens of a text, its end included; what has not ended by then is dropped."""
TEMPERATURE = 0.65
"""At 1 one text in fifty breaks a rule, at 0.65 one in a thousand or fewer; lower, more texts repeat each other."""
FIGURE = re.compile(r"[0-9%]")
"""In a token that is never drawn."""


class LocalWriter:
    """Draws texts from all tokens, no top-k, no top-p, but figures.

    Every number of a message stands in a slot, so that none can be invented.
    """

    name = "local"

    def __init__(self, artifact: Artifact, candidates: int) -> None:
        self.version = f"{self.name}/{artifact.version}"
        self._model, self._candidates = artifact.writer, candidates
        self._reward = RewardScorer(artifact.reward) if artifact.reward else None
        self._figures = [[token] for token in self._model.tokenizer.get_vocab() if FIGURE.search(token)]
        self._tokens = lru_cache(lambda asked: self._model.tokenizer.encode(asked).tokens)

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        return await asyncio.to_thread(self._write, [prompt(brief) for brief in briefs])

    def _write(self, prompts: Sequence[str]) -> list[list[str]]:
        return ranked(prompts, self.drafts(prompts), self._reward)

    def drafts(self, prompts: Sequence[str]) -> list[list[Draft]]:
        """At most `candidates` for each prompt."""
        results = self._model.generator.generate_batch(
            [self._tokens(asked) for asked in prompts],
            max_length=LONGEST,
            num_hypotheses=self._candidates,
            sampling_topk=0,
            sampling_temperature=TEMPERATURE,
            include_prompt_in_result=False,
            return_scores=True,
            return_end_token=True,
            suppress_sequences=self._figures,
        )
        decode = self._model.tokenizer.decode
        return [
            [
                Draft(decode(ids[:-1]).strip(), score)
                for ids, score in zip(result.sequences_ids, result.scores, strict=True)
                if ids[-1] == self._model.end
            ]
            for result in results
        ]

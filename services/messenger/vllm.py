"""Client of a server with OpenAI's completions API, such as vLLM: merged weights, or a LoRA adapter by its name."""

import asyncio
from collections.abc import Mapping, Sequence
from random import uniform
from statistics import fmean
from typing import Annotated

import httpx
from pydantic import Field

from services.messenger.prompt import build_prompt
from services.messenger.rank import RewardScorer, ScoredText, rank
from services.messenger.sampling import MAX_NEW_TOKENS, TEMPERATURE
from shared.messages import Brief, FrozenModel

RETRY_DELAYS_SECONDS = (0.05, 0.2)
"""Delay before each retry, with ±50 % jitter."""


class LogProbabilities(FrozenModel):
    token_logprobs: Annotated[tuple[float, ...], Field(min_length=1)]


class Choice(FrozenModel):
    text: str
    finish_reason: str | None
    logprobs: LogProbabilities


class Completion(FrozenModel):
    choices: tuple[Choice, ...]


class VLLMWriter:
    """Requests all candidates of a brief in one completion; briefs are written concurrently on pooled connections."""

    name = "vllm"

    def __init__(
        self, client: httpx.AsyncClient, model: str, candidates: int, reward: RewardScorer | None = None
    ) -> None:
        self.version = f"{self.name}/{model}"
        self._client, self._model, self._candidates, self._reward = client, model, candidates, reward

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        """Raises `httpx.HTTPError`, or ValueError where the response is not a completion."""
        prompts = [build_prompt(brief) for brief in briefs]
        candidates = await asyncio.gather(*map(self._sample, prompts))
        if self._reward is None:
            return rank(prompts, candidates, None)
        return await asyncio.to_thread(rank, prompts, candidates, self._reward)

    async def _sample(self, prompt: str) -> list[ScoredText]:
        completion = await self._complete(
            {
                "model": self._model,
                "prompt": prompt,
                "n": self._candidates,
                "max_tokens": MAX_NEW_TOKENS,
                "temperature": TEMPERATURE,
                "top_p": 1,
                "top_k": -1,
                "logprobs": 1,
            }
        )
        return [
            ScoredText(choice.text.strip(), fmean(choice.logprobs.token_logprobs))
            for choice in completion.choices
            if choice.finish_reason == "stop"
        ]

    async def _complete(self, request: Mapping[str, object]) -> Completion:
        delays = iter(RETRY_DELAYS_SECONDS)
        while True:
            try:
                response = await self._client.post("/v1/completions", json=request)
                return Completion.model_validate_json(response.raise_for_status().content)
            except httpx.HTTPError as error:
                if not _is_transient(error) or (delay := next(delays, None)) is None:
                    raise
            await asyncio.sleep(delay * uniform(0.5, 1.5))


def _is_transient(error: httpx.HTTPError) -> bool:
    """Whether a retry may succeed: the server is unreachable, overloaded or failing."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)

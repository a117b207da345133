"""A model behind a server that speaks OpenAI's protocol, as vLLM does: merged weights, or a LoRA module by its name."""

import asyncio
from collections.abc import Mapping, Sequence
from random import uniform
from statistics import fmean
from typing import Annotated

import httpx
from pydantic import Field

from services.messenger.local import LONGEST, TEMPERATURE
from services.messenger.prompt import prompt
from services.messenger.rank import Draft, RewardScorer, ranked
from shared.messages import Brief, FrozenModel

WAITS = (0.05, 0.2)
"""Seconds before each further try, give or take half."""


class LogProbabilities(FrozenModel):
    token_logprobs: Annotated[tuple[float, ...], Field(min_length=1)]


class Choice(FrozenModel):
    text: str
    finish_reason: str | None
    logprobs: LogProbabilities


class Completion(FrozenModel):
    choices: tuple[Choice, ...]


class VLLMWriter:
    """Draws all candidates of a brief in one request; briefs are written at the same time, on pooled connections."""

    name = "vllm"

    def __init__(
        self, client: httpx.AsyncClient, model: str, candidates: int, reward: RewardScorer | None = None
    ) -> None:
        self.version = f"{self.name}/{model}"
        self._client, self._model, self._candidates, self._reward = client, model, candidates, reward

    async def write(self, briefs: Sequence[Brief]) -> list[list[str]]:
        """Raises `httpx.HTTPError`, or ValueError where the answer is none."""
        prompts = [prompt(brief) for brief in briefs]
        drafts = await asyncio.gather(*map(self._drafts, prompts))
        if self._reward is None:
            return ranked(prompts, drafts, None)
        return await asyncio.to_thread(ranked, prompts, drafts, self._reward)

    async def _drafts(self, asked: str) -> list[Draft]:
        completion = await self._complete(
            {
                "model": self._model,
                "prompt": asked,
                "n": self._candidates,
                "max_tokens": LONGEST,
                "temperature": TEMPERATURE,
                "top_p": 1,
                "top_k": -1,
                "logprobs": 1,
            }
        )
        return [
            Draft(choice.text.strip(), fmean(choice.logprobs.token_logprobs))
            for choice in completion.choices
            if choice.finish_reason == "stop"
        ]

    async def _complete(self, request: Mapping[str, object]) -> Completion:
        waits = iter(WAITS)
        while True:
            try:
                response = await self._client.post("/v1/completions", json=request)
                return Completion.model_validate_json(response.raise_for_status().content)
            except httpx.HTTPError as error:
                if not _passing(error) or (wait := next(waits, None)) is None:
                    raise
            await asyncio.sleep(wait * uniform(0.5, 1.5))


def _passing(error: httpx.HTTPError) -> bool:
    """Whether another try may find it gone: the server is not there, overloaded or broken."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)

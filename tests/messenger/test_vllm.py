"""The client of vLLM, against a fake server with the same API."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from services.messenger import vllm
from services.messenger.handler import draft
from services.messenger.prompt import build_prompt
from services.messenger.rank import RewardScorer
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from services.messenger.sampling import TEMPERATURE
from services.messenger.vllm import VLLMWriter
from tests.messenger.builders import planned
from tests.support.briefs import EMPTY_BRIEF, FULL_BRIEF
from tests.support.clock import noon
from tests.support.emulators import free_port


def choice(text: str, *logprobs: float, finish_reason: str = "stop") -> dict[str, Any]:
    """One choice of a completion, as vLLM returns it."""
    return {
        "index": 0,
        "text": text,
        "logprobs": {
            "text_offset": [0] * len(logprobs),
            "token_logprobs": list(logprobs),
            "tokens": ["x"] * len(logprobs),
            "top_logprobs": [{"x": logprob} for logprob in logprobs],
        },
        "finish_reason": finish_reason,
        "stop_reason": None,
        "prompt_logprobs": None,
    }


CHOICES = (choice(" Hi [NAME].", -1.0, -3.0), choice(" Hello.", -0.5, -0.1))


class FakeServer:
    """Gives the next of `responses` (choices, a status or a body) to each request, and repeats the last."""

    def __init__(self, *responses: Any, seconds: float = 0) -> None:
        self.requests: list[dict[str, Any]] = []
        self.concurrency = self.max_concurrency = 0
        self.app = FastAPI()
        self._responses, self._seconds = list(responses or [CHOICES]), seconds
        self.app.post("/v1/completions")(self.complete)

    async def complete(self, request: Request) -> Response:
        self.requests.append(await request.json())
        self.concurrency += 1
        self.max_concurrency = max(self.max_concurrency, self.concurrency)
        await asyncio.sleep(self._seconds)
        self.concurrency -= 1
        response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        if isinstance(response, int):
            return Response("out of order", response)
        if isinstance(response, bytes):
            return Response(response)
        return Response(json.dumps({"id": "cmpl-1", "object": "text_completion", "choices": response, "usage": {}}))


@asynccontextmanager
async def vllm_writer(
    server: FakeServer, candidates: int = 2, reward: RewardScorer | None = None
) -> AsyncIterator[VLLMWriter]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://vllm:8000") as client:
        yield VLLMWriter(client, "messenger", candidates, reward)


@pytest.fixture(autouse=True)
def short_retry_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "RETRY_DELAYS_SECONDS", (0.001, 0.002))


async def test_one_request_samples_all_candidates_from_the_whole_vocabulary() -> None:
    server = FakeServer()
    async with vllm_writer(server, candidates=4) as writer:
        await writer.write([FULL_BRIEF])

    assert server.requests == [
        {
            "model": "messenger",
            "prompt": build_prompt(FULL_BRIEF),
            "n": 4,
            "max_tokens": 64,
            "temperature": TEMPERATURE,
            "top_p": 1,
            "top_k": -1,
            "logprobs": 1,
        }
    ]


async def test_texts_are_ranked_by_log_probability() -> None:
    async with vllm_writer(FakeServer()) as writer:
        assert await writer.write([FULL_BRIEF]) == [["Hello.", "Hi [NAME]."]]
        assert writer.version == "vllm/messenger"


async def test_texts_are_ranked_by_the_reward_model_where_there_is_one() -> None:
    class NameReward(RewardScorer):
        def __init__(self) -> None:
            pass

        def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
            return [float("[NAME]" in text) for text in texts]

    async with vllm_writer(FakeServer(), reward=NameReward()) as writer:
        assert await writer.write([FULL_BRIEF, FULL_BRIEF]) == [["Hi [NAME].", "Hello."]] * 2


async def test_a_text_without_an_end_is_dropped() -> None:
    truncated = choice(" Hi and hi and", -1.0, finish_reason="length")
    async with vllm_writer(FakeServer([truncated, choice(" Hi.", -2.0)])) as writer:
        assert await writer.write([FULL_BRIEF]) == [["Hi."]]


async def test_briefs_are_written_concurrently_with_a_prompt_each() -> None:
    server = FakeServer(seconds=0.05)
    async with vllm_writer(server) as writer:
        assert len(await writer.write([FULL_BRIEF, EMPTY_BRIEF] * 8)) == 16

    assert server.max_concurrency == 16
    assert {request["prompt"] for request in server.requests} == {build_prompt(FULL_BRIEF), build_prompt(EMPTY_BRIEF)}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_overloaded_or_failing_server_is_retried(status: int) -> None:
    server = FakeServer(status, status, CHOICES)
    async with vllm_writer(server) as writer:
        assert await writer.write([FULL_BRIEF]) == [["Hello.", "Hi [NAME]."]]

    assert len(server.requests) == 3


async def test_a_failing_server_is_retried_at_most_twice() -> None:
    server = FakeServer(503)
    async with vllm_writer(server) as writer:
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            await writer.write([FULL_BRIEF])

    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_permanent_error_is_not_retried(status: int) -> None:
    server = FakeServer(status)
    async with vllm_writer(server) as writer:
        with pytest.raises(httpx.HTTPStatusError):
            await writer.write([FULL_BRIEF])

    assert len(server.requests) == 1


async def test_a_failed_connection_is_retried() -> None:
    class FlakyTransport(httpx.ASGITransport):
        failures = 2

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.failures:
                self.failures -= 1
                raise httpx.ConnectError("refused")
            return await super().handle_async_request(request)

    async with httpx.AsyncClient(transport=FlakyTransport(FakeServer().app), base_url="http://vllm:8000") as client:
        assert await VLLMWriter(client, "messenger", 2).write([FULL_BRIEF]) == [["Hello.", "Hi [NAME]."]]


async def test_an_unreachable_server_raises_a_connection_error() -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(httpx.ConnectError):
            await VLLMWriter(client, "messenger", 2).write([FULL_BRIEF])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices": null}',
        b'{"choices": [{"text": " Hi."}]}',
        b'{"choices": [{"text": 1, "finish_reason": "stop", "logprobs": {"token_logprobs": [-1]}}]}',
        b'{"choices": [{"text": " Hi.", "finish_reason": "stop", "logprobs": null}]}',
        b'{"choices": [{"text": " Hi.", "finish_reason": "stop", "logprobs": {"token_logprobs": []}}]}',
        b'{"choices": [{"text": " Hi.", "finish_reason": "stop", "logprobs": {"token_logprobs": [null]}}]}',
    ],
)
async def test_a_response_that_is_no_completion_raises_a_value_error(body: bytes) -> None:
    async with vllm_writer(FakeServer(body)) as writer:
        with pytest.raises(ValueError, match="Completion"):
            await writer.write([FULL_BRIEF])


@pytest.mark.parametrize(
    "make_server",
    [lambda: FakeServer(seconds=10), lambda: FakeServer(503), lambda: FakeServer(b"{}")],
    ids=["slow", "down", "invalid"],
)
async def test_every_message_is_drafted_in_time_whatever_the_server_does(make_server: Callable[[], FakeServer]) -> None:
    async with vllm_writer(make_server()) as writer:
        resilient = ResilientWriter(writer, 0.2, CircuitBreaker(), batch_size=1, max_concurrency=64)
        async with asyncio.timeout(5):
            drafts = await draft([planned(event_id=f"event-{i}") for i in range(64)], writer=resilient, clock=noon)

    for [message] in drafts:
        assert message.candidates[0].text.startswith("Hi Sam, thank you for 12 months with us.")
        assert message.versions["messenger"] == "vllm/messenger"


async def test_a_server_that_was_down_is_used_again_after_the_recovery_period() -> None:
    now = 0.0
    server = FakeServer(503, 503, 503, 503, 503, 503, CHOICES)
    async with vllm_writer(server) as writer:
        resilient = ResilientWriter(
            writer,
            5,
            CircuitBreaker(failure_threshold=2, recovery_seconds=30, clock=lambda: now),
            batch_size=1,
            max_concurrency=1,
        )
        assert await resilient.write([FULL_BRIEF] * 5) == [[]] * 5
        assert len(server.requests) == 6  # two briefs, three attempts each

        now = 30
        assert await resilient.write([FULL_BRIEF]) == [["Hello.", "Hi [NAME]."]]
        assert await resilient.write([FULL_BRIEF]) == [["Hello.", "Hi [NAME]."]]

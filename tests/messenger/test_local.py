"""The local writer, also compared with transformers on the same weights."""

import asyncio
import re
from collections.abc import Sequence
from itertools import chain, product
from math import exp, sqrt

import numpy as np
import pytest
import torch

from services.messenger import local
from services.messenger.artifact import Artifact, LanguageModel
from services.messenger.local import FIGURE_PATTERN, LocalWriter
from services.messenger.prompt import build_prompt, render
from services.messenger.sampling import MAX_NEW_TOKENS
from services.shield.rules import violations
from tests.messenger.builders import BRIEFS
from tests.messenger.tiny_model import TinyModels, convert, decode_greedily, target_texts
from tests.support.briefs import FULL_BRIEF
from training.messenger.base import SPECIAL_TOKENS

pytestmark = pytest.mark.torch

PROMPTS = [build_prompt(brief) for brief in BRIEFS]
BEGINNINGS = ("", " Hi", " Hello", " Thank you", " We", " [PLAN]", " Is the")
"""Beginnings of a text; with the 64 prompts, 448 prefixes."""


@pytest.fixture(scope="module")
def float32_model(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """The writer without quantisation."""
    folder = convert(tiny.artifacts.parent / "writer", tmp_path_factory.mktemp("float32") / "writer")
    return LanguageModel(folder, tiny.tokenizer.backend_tokenizer)


async def test_texts_have_slots_and_no_special_tokens(artifact: Artifact) -> None:
    written = await LocalWriter(artifact, 4).write(BRIEFS)

    assert len(written) == len(BRIEFS)
    assert all(len(texts) <= 4 for texts in written)
    texts = [*chain.from_iterable(written)]
    assert len(texts) > 100
    assert all(text == text.strip() and not any(special in text for special in SPECIAL_TOKENS) for text in texts)
    assert any("[NAME]" in text for text in texts)


async def test_tokens_with_figures_are_never_sampled(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model has learnt no figures, so its most frequent slot is suppressed in their place."""
    tokens = ("0", "%", "\u01202", "10", "[NAME]", "off")
    assert [token for token in tokens if FIGURE_PATTERN.search(token)] == ["0", "%", "\u01202", "10"]
    monkeypatch.setattr(local, "FIGURE_PATTERN", re.compile("NAME"))
    texts = [*chain.from_iterable(await LocalWriter(artifact, 4).write(BRIEFS))]

    assert len(texts) > 100
    assert not any("[NAME]" in text for text in texts)


async def test_nearly_every_prompt_has_a_candidate_that_obeys_the_rules(artifact: Artifact) -> None:
    written = await LocalWriter(artifact, 8).write(BRIEFS)

    passed = [
        any((message := render(text, brief)) and not violations(message, brief) for text in texts)
        for brief, texts in zip(BRIEFS, written, strict=True)
    ]
    assert sum(passed) >= 56


async def test_writing_does_not_block_the_event_loop(artifact: Artifact) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counter = asyncio.create_task(count_turns())
    await LocalWriter(artifact, 4).write(BRIEFS)
    counter.cancel()

    assert turns > 10


async def test_a_text_without_an_end_is_dropped(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_NEW_TOKENS", 3)

    assert await LocalWriter(artifact, 4).write([FULL_BRIEF]) == [[]]


def test_the_version_names_the_writer_and_its_artifact(artifact: Artifact) -> None:
    assert LocalWriter(artifact, 1).version == "local/tiny"


def test_the_score_of_a_text_is_its_mean_log_probability_per_token(
    tiny: TinyModels, float32_model: LanguageModel
) -> None:
    sampled = LocalWriter(Artifact("float32", float32_model, None), 8).sample(PROMPTS)

    learnt = [
        (build_prompt(brief), text, score)
        for brief, candidates in zip(BRIEFS, sampled, strict=True)
        for text, score in candidates
        if text in target_texts(brief)
    ]
    assert len(learnt) > 100
    prompts, texts, scores = zip(*learnt, strict=True)
    equal = np.isclose(scores, mean_log_probabilities(tiny, prompts, texts), atol=1e-4)
    assert equal.mean() > 0.95  # a text may also be sampled as other tokens than the tokenizer's


def test_texts_are_sampled_with_their_probability_under_the_model(
    tiny: TinyModels, float32_model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At temperature 1, without top-k and top-p: within 4 standard errors of 2,048 samples."""
    monkeypatch.setattr(local, "TEMPERATURE", 1)
    brief, samples, candidates = BRIEFS[-1], 2048, 16
    prompt, writer = build_prompt(brief), LocalWriter(Artifact("float32", float32_model, None), candidates)
    sampled = writer.sample([prompt] * (samples // candidates))
    texts = [text for text, _ in chain.from_iterable(sampled)]
    for target in target_texts(brief):
        [mean] = mean_log_probabilities(tiny, [prompt], [target])
        tokens = tiny.tokenizer(f" {target}</s>", add_special_tokens=False)["input_ids"]
        probability = exp(mean * len(tokens))
        assert 0.05 < probability < 0.95
        standard_error = sqrt(probability / samples)
        assert texts.count(target) / samples == pytest.approx(probability, abs=4 * standard_error)


def test_ctranslate2_and_transformers_decode_the_same_greedily(tiny: TinyModels, float32_model: LanguageModel) -> None:
    prefixes = [tiny.tokenizer(prompt + beginning)["input_ids"] for prompt, beginning in product(PROMPTS, BEGINNINGS)]

    results = float32_model.generator.generate_batch(
        [tiny.tokenizer.convert_ids_to_tokens(prefix) for prefix in prefixes],
        max_length=MAX_NEW_TOKENS,
        include_prompt_in_result=False,
        return_end_token=True,
    )

    assert [result.sequences_ids[0] for result in results] == decode_greedily(tiny, prefixes)


def mean_log_probabilities(tiny: TinyModels, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
    """Mean log-probability per token of each text after its prompt, by transformers."""
    tiny.tokenizer.padding_side = "right"
    sequences = [f"{prompt} {text}</s>" for prompt, text in zip(prompts, texts, strict=True)]
    batch = tiny.tokenizer(sequences, padding=True, return_tensors="pt")
    with torch.no_grad():
        log_probabilities = tiny.writer(**batch).logits[:, :-1].log_softmax(dim=-1)
    of_tokens = log_probabilities.gather(2, batch["input_ids"][:, 1:, None])[..., 0]
    starts = [len(tiny.tokenizer(prompt)["input_ids"]) - 1 for prompt in prompts]
    ends = batch["attention_mask"].sum(dim=1) - 1
    return [float(row[start:end].mean()) for row, start, end in zip(of_tokens, starts, ends, strict=True)]

"""The local writer against transformers on the same weights, and what it does with what it draws."""

import asyncio
import re
from collections.abc import Sequence
from itertools import product
from math import exp, sqrt

import numpy as np
import pytest
import torch

from services.messenger import local
from services.messenger.artifact import Artifact, LanguageModel
from services.messenger.local import FIGURE_PATTERN, LocalWriter
from services.messenger.prompt import build_prompt, render
from services.messenger.rank import ScoredText
from services.messenger.sampling import MAX_NEW_TOKENS
from services.shield.rules import violations
from shared.messages import Brief
from tests.messenger.builders import SAM
from tests.messenger.tiny_model import EVERY, Tiny, converted, greedily, texts
from training.messenger.base import SPECIAL

START = ("", " Hi", " Hello", " Thank you", " We", " [PLAN]", " Is the")
"""Beginnings of a text; with the 64 prompts, 448 places to go on from."""


@pytest.fixture(scope="module")
def exact(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """The writer with its weights as they were trained, in 32 bits."""
    folder = converted(tiny.artifacts.parent / "writer", tmp_path_factory.mktemp("exact") / "writer")
    return LanguageModel(folder, tiny.tokenizer.backend_tokenizer)


async def test_texts_come_in_slots_without_an_end_of_text(artifact: Artifact) -> None:
    written = await LocalWriter(artifact, 4).write(EVERY)

    assert len(written) == len(EVERY)
    assert all(len(some) <= 4 for some in written)
    everything = [text for some in written for text in some]
    assert len(everything) > 100
    assert all(text == text.strip() and not any(special in text for special in SPECIAL) for text in everything)
    assert any("[NAME]" in text for text in everything)


async def test_what_is_a_figure_is_never_drawn(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model has learnt no figures; so what it says most is taken for one."""
    assert [token for token in ("0", "%", "\u01202", "10", "[NAME]", "off") if FIGURE_PATTERN.search(token)] == [
        *("0", "%", "\u01202", "10")
    ]
    monkeypatch.setattr(local, "FIGURE_PATTERN", re.compile("NAME"))
    written = await LocalWriter(artifact, 4).write(EVERY)

    assert sum(map(len, written)) > 100
    assert not any("[NAME]" in text for some in written for text in some)


async def test_what_was_learnt_passes_the_shield(artifact: Artifact) -> None:
    """Of its candidates at least one for nearly every prompt, as training would have it."""
    written = await LocalWriter(artifact, 8).write(EVERY)

    passed = [
        any((text := render(draft, brief)) and not violations(text, brief) for draft in some)
        for brief, some in zip(EVERY, written, strict=True)
    ]
    assert sum(passed) >= 56


async def test_other_things_happen_while_it_writes(artifact: Artifact) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await LocalWriter(artifact, 4).write(EVERY)
    counting.cancel()

    assert turns > 10


async def test_a_text_that_does_not_end_is_dropped(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_NEW_TOKENS", 3)

    assert await LocalWriter(artifact, 4).write([SAM]) == [[]]


def test_the_version_says_the_writer_and_its_weights(artifact: Artifact) -> None:
    assert LocalWriter(artifact, 1).version == "local/tiny"


def test_the_likelihood_of_a_text_is_its_mean_log_probability_a_token(tiny: Tiny, exact: LanguageModel) -> None:
    drafts = LocalWriter(Artifact("exact", exact, None), 8).sample([build_prompt(brief) for brief in EVERY])

    learnt = [
        (build_prompt(brief), text, score)
        for brief, some in zip(EVERY, drafts, strict=True)
        for text, score in some
        if text in texts(brief)
    ]
    assert len(learnt) > 100
    asked, said, scores = zip(*learnt, strict=True)
    equal = np.isclose(scores, mean_log_probabilities(tiny, asked, said), atol=1e-4)
    assert equal.mean() > 0.95  # a text may also be drawn in other tokens than it is read in


def test_texts_are_as_frequent_as_they_are_probable(
    tiny: Tiny, exact: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At temperature 1, neither top-k nor top-p: 4 standard errors of 2,048 draws."""
    monkeypatch.setattr(local, "TEMPERATURE", 1)
    brief, draws = EVERY[-1], 2048
    found = [draft.text for some in drawn(exact, brief, draws) for draft in some]
    for text in texts(brief):
        [mean] = mean_log_probabilities(tiny, [build_prompt(brief)], [text])
        probable = exp(mean * len(tiny.tokenizer(f" {text}</s>", add_special_tokens=False)["input_ids"]))
        assert 0.05 < probable < 0.95
        assert found.count(text) / draws == pytest.approx(probable, abs=4 * sqrt(probable / draws))


def test_ctranslate2_and_transformers_write_the_same_greedily(tiny: Tiny, exact: LanguageModel) -> None:
    starts = [tiny.tokenizer(build_prompt(brief) + start)["input_ids"] for brief, start in product(EVERY, START)]

    written = exact.generator.generate_batch(
        [tiny.tokenizer.convert_ids_to_tokens(start) for start in starts],
        max_length=MAX_NEW_TOKENS,
        include_prompt_in_result=False,
        return_end_token=True,
    )

    assert [result.sequences_ids[0] for result in written] == greedily(tiny, starts)


def drawn(exact: LanguageModel, brief: Brief, draws: int) -> list[list[ScoredText]]:
    return LocalWriter(Artifact("exact", exact, None), 16).sample([build_prompt(brief)] * (draws // 16))


@torch.no_grad()
def mean_log_probabilities(tiny: Tiny, prompts: Sequence[str], said: Sequence[str]) -> list[float]:
    """Of each text after its prompt, as transformers has it."""
    tiny.tokenizer.padding_side = "right"
    batch = tiny.tokenizer(
        [f"{asked} {text}</s>" for asked, text in zip(prompts, said, strict=True)], padding=True, return_tensors="pt"
    )
    logits = tiny.writer(**batch).logits[:, :-1].log_softmax(dim=-1)
    each = logits.gather(2, batch["input_ids"][:, 1:, None])[..., 0]
    starts = [len(tiny.tokenizer(asked)["input_ids"]) - 1 for asked in prompts]
    ends = batch["attention_mask"].sum(dim=1) - 1
    return [float(row[start:end].mean()) for row, start, end in zip(each, starts, ends, strict=True)]

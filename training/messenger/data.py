"""Training data of the stages: the synthetic corpus, or the public dialogues and preferences of the data catalogue."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.messenger.prompt import build_prompt
from shared.messages import Brief
from training.data.dialogue import Turn
from training.data.pipeline import load, prepare
from training.messenger.corpus.corpus import sample_briefs, write_message
from training.messenger.evaluation import rubric

FLAWED_SHARE = 0.3
"""Share of the demonstrations with a flaw, as in demonstrations by people."""


class Example(NamedTuple):
    """A prompt and the text that should follow it."""

    prompt: str
    text: str


class Pair(NamedTuple):
    """Two texts after a prompt, the first of them preferred."""

    prompt: str
    chosen: str
    rejected: str


class Preferences(NamedTuple):
    pairs: list[Pair]
    accuracy_ceiling: float | None = None
    """The highest possible accuracy on the pairs; known only where their labels are drawn from known probabilities."""


def demonstrations(n: int, seed: int, flawed_share: float = FLAWED_SHARE) -> list[Example]:
    """Messages of the synthetic corpus."""
    rng = np.random.default_rng(seed)
    return [
        Example(build_prompt(brief), f" {write_message(brief, rng, flawed_share)}") for brief in sample_briefs(rng, n)
    ]


def dialogues(mirror: Path | None, data: Path) -> list[Example]:
    """Prompts of OASST1 with the answer that its readers ranked first. Raises `SourceError` where it is unavailable."""
    prepare("oasst1", mirror, data)
    rows = load("oasst1", data, "train")
    best = rows[rows["rank"].fillna(0).eq(0)]
    return [
        Example(transcript(turns), f" {text}") for turns, text in zip(best["prompt"], best["response"], strict=True)
    ]


def load_preferences(name: str, mirror: Path | None, data: Path, *splits: str) -> Preferences:
    """Preferences of people, from `hh-rlhf` or `shp2`. Raises `SourceError` where the data set is unavailable."""
    prepare(name, mirror, data)
    rows = load(name, data, *splits)
    columns = zip(rows["prompt"].map(transcript), rows["chosen"], rows["rejected"], strict=True)
    return Preferences([Pair(prompt, f" {chosen}", f" {rejected}") for prompt, chosen, rejected in columns])


def rubric_preferences(briefs: Sequence[Brief], completions: Sequence[Sequence[str]], seed: int) -> Preferences:
    """Preferences drawn from the rubric's probabilities.

    `completions` [k, briefs] are k texts for each brief; its k (k − 1) / 2 pairs are adjacent.
    """
    triples = [
        (brief, *pair) for brief, *texts in zip(briefs, *completions, strict=True) for pair in combinations(texts, 2)
    ]
    probabilities = rubric.preference_probabilities(*zip(*triples, strict=True))
    labels = rubric.sample_labels(probabilities, np.random.default_rng(seed))
    pairs = [
        Pair(build_prompt(brief), f" {a}", f" {b}") if a_preferred else Pair(build_prompt(brief), f" {b}", f" {a}")
        for (brief, a, b), a_preferred in zip(triples, labels, strict=True)
    ]
    return Preferences(pairs, rubric.accuracy_ceiling(probabilities))


def transcript(turns: Sequence[Turn]) -> str:
    """The turns as one prompt for the assistant's next turn."""
    lines = (f"{'Human' if turn['role'] == 'user' else 'Assistant'}: {turn['content']}" for turn in turns)
    return "\n\n".join([*lines, "Assistant:"])

"""What the stages learn from: the domain's own synthetic texts, or the public dialogues of the catalogue."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.messenger.prompt import build_prompt
from shared.messages import Brief
from training.data.dialogue import Turn
from training.data.pipeline import load, prepare
from training.messenger.corpus.corpus import briefs, write
from training.messenger.evaluation import rubric


class Example(NamedTuple):
    """A prompt and how to go on."""

    prompt: str
    text: str


class Pair(NamedTuple):
    """Two ways to go on, of which the first was preferred."""

    prompt: str
    chosen: str
    rejected: str


class Preferences(NamedTuple):
    """Pairs, and the accuracy that nobody can exceed on them where their labels are drawn from known odds."""

    pairs: list[Pair]
    ceiling: float | None = None


FLAWED = 0.3
"""Demonstrations with a bad habit: people who write have them."""


def demonstrations(number: int, seed: int, flawed: float = FLAWED) -> list[Example]:
    rng = np.random.default_rng(seed)
    return [Example(build_prompt(brief), f" {write(brief, rng, flawed)}") for brief in briefs(rng, number)]


def dialogues(mirror: Path | None, data: Path) -> list[Example]:
    """OASST1: each prompt with the answer that its readers ranked first."""
    prepare("oasst1", mirror, data)
    rows = load("oasst1", data, "train")
    best = rows[rows["rank"].fillna(0).eq(0)]
    return [
        Example(transcript(turns), f" {text}") for turns, text in zip(best["prompt"], best["response"], strict=True)
    ]


def preferences(name: str, mirror: Path | None, data: Path, *splits: str) -> Preferences:
    """Of people, on a set of the catalogue: `hh-rlhf` or `shp2`."""
    prepare(name, mirror, data)
    rows = load(name, data, *splits)
    columns = zip(rows["prompt"].map(transcript), rows["chosen"], rows["rejected"], strict=True)
    return Preferences([Pair(asked, f" {chosen}", f" {rejected}") for asked, chosen, rejected in columns])


def labelled(about: Sequence[Brief], answers: Sequence[Sequence[str]], seed: int) -> Preferences:
    """By the stated rubric, with a person's noise.

    `answers` [k, briefs] are k texts of each brief: its k (k − 1) / 2 pairs follow each other.
    """
    triples = [(brief, *two) for brief, *texts in zip(about, *answers, strict=True) for two in combinations(texts, 2)]
    odds, rng = rubric.odds(*zip(*triples, strict=True)), np.random.default_rng(seed)
    pairs = [
        Pair(build_prompt(brief), f" {a}", f" {b}") if better else Pair(build_prompt(brief), f" {b}", f" {a}")
        for (brief, a, b), better in zip(triples, rubric.label(odds, rng), strict=True)
    ]
    return Preferences(pairs, rubric.ceiling(odds))


def transcript(turns: Sequence[Turn]) -> str:
    said = "\n\n".join(f"{'Human' if turn['role'] == 'user' else 'Assistant'}: {turn['content']}" for turn in turns)
    return f"{said}\n\nAssistant:"

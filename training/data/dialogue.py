"""Conversations in one form: a list of turns, as chat templates take them, and what is said next."""

from collections.abc import Callable, Mapping
from typing import Literal, TypedDict

import pandas as pd

from training.data.split import SEED
from training.data.table import Cleaned, sift

LIMIT = 8_000
"""Characters of a prompt with its longest answer: about 2,000 tokens of English."""


class Turn(TypedDict):
    role: Literal["user", "assistant"]
    content: str


def opening(prompt: list[Turn]) -> str:
    """What a conversation starts with, without case and white space: those who share it are one conversation."""
    return " ".join(prompt[0]["content"].casefold().split())


def tidy(
    rows: pd.DataFrame,
    answers: tuple[str, ...],
    most: int | None = None,
    before: Mapping[str, Callable[[pd.DataFrame], "pd.Series[bool]"]] | None = None,
) -> Cleaned:
    """Rows with a `prompt` of turns and texts `answers`, sifted for what no model should learn from.

    Reasons of the set's own come `before`. At most so many rows, drawn by a fixed seed.
    """
    texts = list(answers)
    cleaned = sift(
        rows,
        {
            **(before or {}),
            "a turn is empty": lambda rows: (
                ~rows["prompt"].map(lambda turns: all(turn["content"] for turn in turns))
                | rows[texts].eq("").any(axis=1)
            ),
            f"prompt and answer are longer than {LIMIT:,} characters": lambda rows: (
                rows["prompt"].map(lambda turns: sum(len(turn["content"]) for turn in turns))
                + rows[texts].map(len).max(axis=1)
                > LIMIT
            ),
            "the same as an earlier row": lambda rows: rows[["prompt", *texts]].astype("str").duplicated(),
        },
    )
    if most is None or len(cleaned.rows) <= most:
        return cleaned
    drawn = cleaned.rows.sample(most, random_state=SEED).sort_index().reset_index(drop=True)
    return Cleaned(drawn, cleaned.dropped | {f"not among the {most:,} drawn": len(cleaned.rows) - most})

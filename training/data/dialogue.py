"""Conversations in one format: a list of turns, as chat templates take them, and one or more answers."""

from collections.abc import Mapping
from typing import Literal, TypedDict

import pandas as pd

from training.data.split import SEED
from training.data.table import Cleaned, RowCondition, drop_rows

MAX_CHARACTERS = 8_000
"""Limit for a prompt with its longest answer: about 2,000 tokens of English."""


class Turn(TypedDict):
    role: Literal["user", "assistant"]
    content: str


def opening(prompt: list[Turn]) -> str:
    """The first turn in lower case with single spaces: conversations that share it are in one split."""
    return " ".join(prompt[0]["content"].casefold().split())


def clean_dialogues(
    rows: pd.DataFrame,
    answers: tuple[str, ...],
    max_rows: int | None = None,
    conditions: Mapping[str, RowCondition] | None = None,
) -> Cleaned:
    """The rows, with a `prompt` of turns and `answers`, columns of text, without empty, overlong and repeated ones.

    The set's own `conditions` for dropping a row are applied first. If more than `max_rows` are left, that many are
    drawn, by a fixed seed.
    """
    texts = list(answers)
    cleaned = drop_rows(
        rows,
        {
            **(conditions or {}),
            "a turn is empty": lambda rows: (
                ~rows["prompt"].map(lambda turns: all(turn["content"] for turn in turns))
                | rows[texts].eq("").any(axis=1)
            ),
            f"prompt and answer are longer than {MAX_CHARACTERS:,} characters": lambda rows: (
                rows["prompt"].map(lambda turns: sum(len(turn["content"]) for turn in turns))
                + rows[texts].map(len).max(axis=1)
                > MAX_CHARACTERS
            ),
            "the same as an earlier row": lambda rows: rows[["prompt", *texts]].astype("str").duplicated(),
        },
    )
    if max_rows is None or len(cleaned.rows) <= max_rows:
        return cleaned
    drawn = cleaned.rows.sample(max_rows, random_state=SEED).sort_index().reset_index(drop=True)
    return Cleaned(drawn, cleaned.dropped | {f"not among the {max_rows:,} drawn": len(cleaned.rows) - max_rows})

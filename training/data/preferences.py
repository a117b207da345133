"""Human preferences between two answers: HH-RLHF and SHP-2."""

import re
from pathlib import Path
from typing import Literal, cast

import pandas as pd
import pandera.pandas as pa

from training.data.dialogue import Turn, clean_dialogues
from training.data.table import Cleaned, RowCondition, json_column, read_json_lines

HH_MAX_PAIRS, SHP_MAX_PAIRS = 40_000, 60_000
"""Largest number of pairs that are kept of each set."""
MIN_SCORE_RATIO = 2.0
"""Smallest ratio of the votes of the preferred comment to those of the other; below it the preference may be chance."""
MAX_PAIRS_PER_POST = 5
"""Largest number of pairs of a post of SHP-2: they share texts, which a model would memorise (its authors' advice)."""

HH_SCHEMA = pa.DataFrameSchema({"chosen": json_column(str), "rejected": json_column(str)}, strict=True)
SHP_SCHEMA = pa.DataFrameSchema(
    {
        "post_id": json_column(str),
        "domain": json_column(str),
        "history": json_column(str),
        "human_ref_A": json_column(str),
        "human_ref_B": json_column(str),
        "labels": json_column(int, check=pa.Check.isin([0, 1], error="0 or 1")),
        "score_ratio": json_column(float, int),
    },
    strict="filter",  # scores, times and ids are not read
)
"""`labels` is 1 where A is preferred, else 0."""

SPEAKER = re.compile(r"\n\n(Human|Assistant):")
COLUMNS = ["position", "source", "prompt", "chosen", "rejected"]
EQUAL_ANSWERS: dict[str, RowCondition] = {
    "chosen equals rejected": lambda rows: rows["chosen"].eq(rows["rejected"]),
}


def read_hh(file: Path) -> pd.DataFrame:
    """The rows; their `source` is the part of the set, taken from the file's name."""
    return read_json_lines(file, HH_SCHEMA).assign(source=f"hh-rlhf/{file.name.partition('.')[0]}")


def clean_hh(raw: pd.DataFrame) -> Cleaned:
    """Conversations with a chosen and a rejected answer."""
    chosen, rejected = raw["chosen"].map(_turns), raw["rejected"].map(_turns)
    rows = raw.assign(
        position=range(len(raw)),
        prompt=chosen.str[:-1],
        other_prompt=rejected.str[:-1],
        chosen=[turns[-1]["content"] if turns else "" for turns in chosen],
        rejected=[turns[-1]["content"] if turns else "" for turns in rejected],
    )
    conditions: dict[str, RowCondition] = {
        "not by turns of a human and an assistant": lambda rows: (
            ~(rows["prompt"].map(bool) & rows["other_prompt"].map(bool))
        ),
        "no common prompt": lambda rows: rows["prompt"].ne(rows["other_prompt"]),
    }
    cleaned = clean_dialogues(rows, ("chosen", "rejected"), HH_MAX_PAIRS, conditions | EQUAL_ANSWERS)
    return Cleaned(cleaned.rows[COLUMNS], cleaned.dropped)


def _turns(text: str) -> list[Turn]:
    """The turns of a conversation; empty if human and assistant do not alternate, or the human is last."""
    before, *pieces = SPEAKER.split(text)
    speakers, contents = pieces[::2], pieces[1::2]
    if before.strip() or not speakers or speakers != ["Human", "Assistant"] * (len(speakers) // 2):
        return []
    roles = cast(list[Literal["user", "assistant"]], ["user", "assistant"] * (len(speakers) // 2))
    return [{"role": role, "content": content.strip()} for role, content in zip(roles, contents, strict=True)]


def read_shp(file: Path) -> pd.DataFrame:
    return read_json_lines(file, SHP_SCHEMA)


def clean_shp(raw: pd.DataFrame) -> Cleaned:
    """Posts with a chosen and a rejected comment."""
    first, second = raw["human_ref_A"].str.strip(), raw["human_ref_B"].str.strip()
    first_is_better = raw["labels"].eq(1)
    rows = raw.assign(
        position=range(len(raw)),
        source="shp2/" + raw["domain"].astype("str"),
        prompt=[[{"role": "user", "content": post.strip()}] for post in raw["history"]],
        chosen=first.where(first_is_better, second),
        rejected=second.where(first_is_better, first),
    )
    conditions: dict[str, RowCondition] = {
        f"score ratio below {MIN_SCORE_RATIO:g}": lambda rows: rows["score_ratio"].lt(MIN_SCORE_RATIO),
        f"after the first {MAX_PAIRS_PER_POST} pairs of a post": lambda rows: (
            rows.groupby("post_id").cumcount().ge(MAX_PAIRS_PER_POST)
        ),
    }
    cleaned = clean_dialogues(rows, ("chosen", "rejected"), SHP_MAX_PAIRS, conditions | EQUAL_ANSWERS)
    return Cleaned(cleaned.rows[COLUMNS], cleaned.dropped)

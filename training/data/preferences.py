"""Pairs of answers of which people preferred one: HH-RLHF and SHP-2."""

import re
from pathlib import Path
from typing import Literal, cast

import pandas as pd
import pandera.pandas as pa

from training.data.dialogue import Turn, tidy
from training.data.table import Cleaned, of_type, read_lines

HH_MOST, SHP_MOST = 40_000, 60_000
"""Pairs of each that are kept."""
SCORE_RATIO = 2.0
"""By which the votes of a preferred comment must exceed the other's, or the preference may be chance."""
PAIRS_A_POST = 5
"""Of SHP-2: many pairs of one post share their texts, and would be learnt by heart (its authors' advice)."""

HH_SCHEMA = pa.DataFrameSchema({"chosen": of_type(str), "rejected": of_type(str)}, strict=True)
SHP_SCHEMA = pa.DataFrameSchema(
    {
        "post_id": of_type(str),
        "domain": of_type(str),
        "history": of_type(str),
        "human_ref_A": of_type(str),
        "human_ref_B": of_type(str),
        "labels": of_type(int, check=pa.Check.isin([0, 1], error="0 or 1")),
        "score_ratio": of_type(float, int),
    },
    strict="filter",  # scores, times and ids are not read
)
"""`labels` is 1 where A is preferred, else 0."""

SPEAKER = re.compile(r"\n\n(Human|Assistant):")
COLUMNS = ["position", "source", "prompt", "chosen", "rejected"]
EQUAL = {"chosen equals rejected": lambda rows: rows["chosen"].eq(rows["rejected"])}


def read_hh(file: Path) -> pd.DataFrame:
    """Its rows, and which part of the set they are of, by the file's name."""
    return read_lines(file, HH_SCHEMA).assign(source=f"hh-rlhf/{file.name.partition('.')[0]}")


def clean_hh(raw: pd.DataFrame) -> Cleaned:
    """The conversation that both answers follow, and the two."""
    chosen, rejected = raw["chosen"].map(_turns), raw["rejected"].map(_turns)
    rows = raw.assign(
        position=range(len(raw)),
        prompt=chosen.str[:-1],
        other_prompt=rejected.str[:-1],
        chosen=[turns[-1]["content"] if turns else "" for turns in chosen],
        rejected=[turns[-1]["content"] if turns else "" for turns in rejected],
    )
    before = {
        "not by turns of a human and an assistant": lambda rows: (
            ~(rows["prompt"].map(bool) & rows["other_prompt"].map(bool))
        ),
        "no common prompt": lambda rows: rows["prompt"].ne(rows["other_prompt"]),
    }
    cleaned = tidy(rows, ("chosen", "rejected"), HH_MOST, before | EQUAL)
    return Cleaned(cleaned.rows[COLUMNS], cleaned.dropped)


def _turns(text: str) -> list[Turn]:
    """Who said what, in turn and the assistant last; nothing where that is not so."""
    before, *pieces = SPEAKER.split(text)
    speakers, said = pieces[::2], pieces[1::2]
    if before.strip() or not speakers or speakers != ["Human", "Assistant"] * (len(speakers) // 2):
        return []
    roles = cast(list[Literal["user", "assistant"]], ["user", "assistant"] * (len(speakers) // 2))
    return [{"role": role, "content": content.strip()} for role, content in zip(roles, said, strict=True)]


def read_shp(file: Path) -> pd.DataFrame:
    return read_lines(file, SHP_SCHEMA)


def clean_shp(raw: pd.DataFrame) -> Cleaned:
    """A post, and two comments on it."""
    first, second = raw["human_ref_A"].str.strip(), raw["human_ref_B"].str.strip()
    a_is_better = raw["labels"].eq(1)
    rows = raw.assign(
        position=range(len(raw)),
        source="shp2/" + raw["domain"].astype("str"),
        prompt=[[{"role": "user", "content": post.strip()}] for post in raw["history"]],
        chosen=first.where(a_is_better, second),
        rejected=second.where(a_is_better, first),
    )
    before = {
        f"score ratio below {SCORE_RATIO:g}": lambda rows: rows["score_ratio"].lt(SCORE_RATIO),
        f"after the first {PAIRS_A_POST} pairs of a post": lambda rows: (
            rows.groupby("post_id").cumcount().ge(PAIRS_A_POST)
        ),
    }
    cleaned = tidy(rows, ("chosen", "rejected"), SHP_MOST, before | EQUAL)
    return Cleaned(cleaned.rows[COLUMNS], cleaned.dropped)

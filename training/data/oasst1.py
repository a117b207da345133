"""OpenAssistant's message trees as what was asked and what was answered, with the answer's rank among its siblings."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from training.data.dialogue import Turn, tidy
from training.data.table import Cleaned, of_type, read_lines

SCHEMA = pa.DataFrameSchema(
    {
        "message_id": of_type(str, unique=True),
        "parent_id": of_type(str, nullable=True),
        "text": of_type(str),
        "role": of_type(str, check=pa.Check.isin(["prompter", "assistant"], error="prompter or assistant")),
        "lang": of_type(str),
        "review_result": of_type(bool, nullable=True),
        "deleted": of_type(bool),
        "rank": of_type(int, check=pa.Check.ge(0, error="0 or more"), nullable=True),
        "message_tree_id": of_type(str),
    },
    strict="filter",  # labels, emojis and the like are not read
)


def read(file: Path) -> pd.DataFrame:
    return read_lines(file, SCHEMA)


def clean(raw: pd.DataFrame) -> Cleaned:
    """One row an answer, best first among those to one prompt; the prompt is the whole conversation before it."""
    raw = raw.assign(position=range(len(raw)), text=raw["text"].str.strip())
    good = raw[
        ~raw["deleted"].astype(bool) & raw["review_result"].ne(False) & raw["lang"].eq("en") & raw["text"].ne("")
    ]
    known = good.astype("object").where(good.notna(), None).set_index("message_id").to_dict("index")
    rows = raw.assign(
        prompt=[_turns_before(parent, known) for parent in raw["parent_id"]],
        response=raw["text"],
        tree=raw["message_tree_id"],
        rank=raw["rank"].astype("Int64"),
    )
    cleaned = tidy(
        rows,
        ("response",),
        before={
            "a prompter's: the prompt of others": lambda rows: rows["role"].eq("prompter"),
            "deleted": lambda rows: rows["deleted"],
            "rejected in review": lambda rows: rows["review_result"].eq(False),
            "not in English": lambda rows: rows["lang"].ne("en"),
            "an earlier turn is one of these, or not there": lambda rows: rows["prompt"].isna(),
        },
    )
    kept = cleaned.rows[["position", "tree", "message_id", "prompt", "response", "rank"]]
    return Cleaned(kept, cleaned.dropped)


def _turns_before(parent: object, known: dict[object, dict[str, str]]) -> list[Turn] | None:
    """The conversation down to the message `parent`; None if a turn of it is not `known`."""
    turns: list[Turn] = []
    while isinstance(parent, str):
        if (message := known.get(parent)) is None:
            return None
        turns.append({"role": "user" if message["role"] == "prompter" else "assistant", "content": message["text"]})
        parent = message["parent_id"]
    return turns[::-1] or None

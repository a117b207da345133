"""OpenAssistant's message trees as prompts and answers, each with its rank among the answers to the same prompt."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from training.data.dialogue import Turn, clean_dialogues
from training.data.table import Cleaned, json_column, read_json_lines

SCHEMA = pa.DataFrameSchema(
    {
        "message_id": json_column(str, unique=True),
        "parent_id": json_column(str, nullable=True),
        "text": json_column(str),
        "role": json_column(str, check=pa.Check.isin(["prompter", "assistant"], error="prompter or assistant")),
        "lang": json_column(str),
        "review_result": json_column(bool, nullable=True),
        "deleted": json_column(bool),
        "rank": json_column(int, check=pa.Check.ge(0, error="0 or more"), nullable=True),
        "message_tree_id": json_column(str),
    },
    strict="filter",  # labels, emojis and the like are not read
)


def read(file: Path) -> pd.DataFrame:
    return read_json_lines(file, SCHEMA)


def clean(raw: pd.DataFrame) -> Cleaned:
    """A row per answer, with its rank from 0, the best; the prompt is the whole conversation before it."""
    raw = raw.assign(position=range(len(raw)), text=raw["text"].str.strip())
    usable = raw[
        ~raw["deleted"].astype(bool) & raw["review_result"].ne(False) & raw["lang"].eq("en") & raw["text"].ne("")
    ]
    messages = usable.astype("object").where(usable.notna(), None).set_index("message_id").to_dict("index")
    rows = raw.assign(
        prompt=[_turns_before(parent, messages) for parent in raw["parent_id"]],
        response=raw["text"],
        tree=raw["message_tree_id"],
        rank=raw["rank"].astype("Int64"),
    )
    cleaned = clean_dialogues(
        rows,
        ("response",),
        conditions={
            "a prompter's message, which is part of prompts": lambda rows: rows["role"].eq("prompter"),
            "deleted": lambda rows: rows["deleted"],
            "rejected in review": lambda rows: rows["review_result"].eq(False),
            "not in English": lambda rows: rows["lang"].ne("en"),
            "an earlier turn is one of these, or is missing": lambda rows: rows["prompt"].isna(),
        },
    )
    columns = ["position", "tree", "message_id", "prompt", "response", "rank"]
    return Cleaned(cleaned.rows[columns], cleaned.dropped)


def _turns_before(parent: object, messages: dict[object, dict[str, str]]) -> list[Turn] | None:
    """The conversation up to the message `parent`; None if one of its turns is not in `messages` [by id]."""
    turns: list[Turn] = []
    while isinstance(parent, str):
        if (message := messages.get(parent)) is None:
            return None
        turns.append({"role": "user" if message["role"] == "prompter" else "assistant", "content": message["text"]})
        parent = message["parent_id"]
    return turns[::-1] or None

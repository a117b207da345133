import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from training.data import oasst1, preferences
from training.data.dialogue import MAX_CHARACTERS, clean_dialogues, opening
from training.data.sources import SourceError


def written(folder: Path, rows: list[dict[str, Any]], name: str = "set") -> Path:
    file = folder / f"{name}.jsonl.gz"
    file.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return file


def message(name: str, parent: str | None, role: str, **fields: object) -> dict[str, Any]:
    root = {"message_tree_id": "t", "lang": "en", "deleted": False, "review_result": True, "rank": None, "emojis": {}}
    return root | {"message_id": name, "parent_id": parent, "role": role, "text": f" {name} says "} | fields


TREE = [
    message("ask", None, "prompter"),
    message("best", "ask", "assistant", rank=0),
    message("again", "best", "prompter", review_result=None),
    message("reply", "again", "assistant"),
    message("second", "ask", "assistant", rank=1),
    message("gone", "ask", "assistant", deleted=True),
    message("after gone", "gone", "prompter"),
    message("lost", "after gone", "assistant"),
    message("bad", "ask", "assistant", review_result=False),
    message("after bad", "bad", "prompter"),
    message("lost too", "after bad", "assistant"),
    message("foreign", "ask", "assistant", lang="de"),
    message("orphan", "nobody", "assistant"),
    message("empty", "ask", "assistant", text=" \n"),
    message("long", "ask", "assistant", text="x" * MAX_CHARACTERS),
    message("same", "ask", "assistant", text="best says"),
]


def test_a_message_tree_becomes_answers_with_the_conversation_before_them(tmp_path: Path) -> None:
    cleaned = oasst1.clean(oasst1.read(written(tmp_path, TREE)))
    best, reply, second = cleaned.rows.to_dict("records")
    question = {"role": "user", "content": "ask says"}
    assert (best["prompt"], best["response"], best["rank"], best["position"]) == ([question], "best says", 0, 1)
    assert reply["prompt"] == [
        question,
        {"role": "assistant", "content": "best says"},
        {"role": "user", "content": "again says"},
    ]
    assert (second["message_id"], second["rank"], second["tree"]) == ("second", 1, "t")
    assert pd.isna(reply["rank"])
    assert cleaned.dropped == {
        "a prompter's message, which is part of prompts": 4,
        "deleted": 1,
        "rejected in review": 1,
        "not in English": 1,
        "an earlier turn is one of these, or is missing": 3,
        "a turn is empty": 1,
        f"prompt and answer are longer than {MAX_CHARACTERS:,} characters": 1,
        "the same as an earlier row": 1,
    }


def test_a_message_with_an_unknown_role_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'role' should hold prompter or assistant; line 2 holds 'system'"):
        oasst1.read(written(tmp_path, [TREE[0], message("rule", None, "system")]))


def test_pairs_of_hh_rlhf_share_a_conversation(tmp_path: Path) -> None:
    pairs = [
        ("\n\nHuman: Hi\n\nAssistant: Hello", "\n\nHuman: Hi\n\nAssistant: Go away"),
        ("\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant: So.",) * 2,
        ("\n\nHuman: Hi\n\nAssistant: Hello", "\n\nHuman: Ho\n\nAssistant: Go away"),
        ("\n\nHuman: Hi\n\nHuman: Ho\n\nAssistant: Hello", "\n\nHuman: Hi\n\nHuman: Ho\n\nAssistant: Bye"),
        ("Hi\n\nHuman: Ho\n\nAssistant: Hello", "Hi\n\nHuman: Ho\n\nAssistant: Bye"),
        ("\n\nHuman: Hi\n\nAssistant: Hello", "\n\nHuman: Hi\n\nAssistant:"),
        ("\n\nHuman: Hi\n\nAssistant: Hello", "\n\nHuman: Hi\n\nAssistant: Go away"),
    ]
    rows = [{"chosen": chosen, "rejected": rejected} for chosen, rejected in pairs]
    cleaned = preferences.clean_hh(preferences.read_hh(written(tmp_path, rows, "harmless-base.test")))
    assert cleaned.rows.to_dict("records") == [
        {
            "position": 0,
            "source": "hh-rlhf/harmless-base",
            "prompt": [{"role": "user", "content": "Hi"}],
            "chosen": "Hello",
            "rejected": "Go away",
        }
    ]
    assert cleaned.dropped == {
        "not by turns of a human and an assistant": 2,
        "no common prompt": 1,
        "chosen equals rejected": 1,
        "a turn is empty": 1,
        "the same as an earlier row": 1,
    }


def post(
    name: str = "p", a: str = "first", b: str = "second", labels: int = 1, score_ratio: float = 3.0
) -> dict[str, Any]:
    fields: dict[str, Any] = {"post_id": name, "domain": "law_test", "history": f"May I {name}? ", "score_A": 9}
    return fields | {"human_ref_A": a, "human_ref_B": b, "labels": labels, "score_ratio": score_ratio}


def test_the_preferred_comment_on_a_post_is_chosen(tmp_path: Path) -> None:
    rows = [post(), post(b="third", labels=0), post(score_ratio=1.9), *(post("q", a=f"{i}") for i in range(7))]
    cleaned = preferences.clean_shp(preferences.read_shp(written(tmp_path, rows)))
    assert cleaned.rows["chosen"].tolist()[:3] == ["first", "third", "0"]
    assert cleaned.rows["rejected"].tolist()[:3] == ["second", "first", "second"]
    assert cleaned.rows["source"].unique().tolist() == ["shp2/law_test"]
    assert cleaned.rows["prompt"][0] == [{"role": "user", "content": "May I p?"}]
    assert cleaned.dropped == {"score ratio below 2": 1, "after the first 5 pairs of a post": 2}


def test_at_most_max_rows_are_drawn_and_the_same_each_time() -> None:
    rows = pd.DataFrame({"prompt": [[{"role": "user", "content": "Hi"}]] * 50, "response": [str(i) for i in range(50)]})
    first, again = (clean_dialogues(rows, ("response",), max_rows=10) for _ in range(2))
    assert first.rows.equals(again.rows)
    assert len(first.rows) == 10
    assert first.rows["response"].astype(int).is_monotonic_increasing
    assert first.dropped == {"not among the 10 drawn": 40}


def test_openings_are_compared_without_case_and_white_space() -> None:
    assert (
        opening([{"role": "user", "content": " Hello\n World"}, {"role": "assistant", "content": "?"}]) == "hello world"
    )

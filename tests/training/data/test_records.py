"""Messages are read from JSON of any layout, and from tables."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from training.data.records import read_records
from training.data.sources import SourceError

OUTCOMES = [
    {"event_id": "e1", "customer_id": "c1", "outcome": "churned", "occurred_at": "2026-01-02T00:00:00Z"},
    {"event_id": "e2", "customer_id": "007", "outcome": "accepted"},
]
LINES = "".join(json.dumps(outcome) + "\n" for outcome in OUTCOMES)
FRAME = pd.DataFrame(OUTCOMES)


def records(path: Path) -> list[object]:
    return [json.loads(record) for _, record in read_records(path)]


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode(),
        LINES.encode("utf-16"),
        gzip.compress(LINES.encode(), mtime=0),
        json.dumps(OUTCOMES).encode(),
        json.dumps(OUTCOMES, indent=2).encode(),
        FRAME.to_csv(index=False).encode(),
        FRAME.to_csv().encode("utf-8-sig"),
        b"sep=;\r\n" + FRAME.to_csv(index=False, sep=";").encode(),
        gzip.compress(FRAME.to_csv(index=False, sep="\t").encode("utf-16"), mtime=0),
    ],
)
def test_a_file_of_messages_is_read_in_any_of_these_forms(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outcomes").write_bytes(content)
    assert records(tmp_path / "outcomes") == OUTCOMES


def lines_in(folder: Path) -> None:
    folder.mkdir()
    for number, outcome in enumerate(OUTCOMES):
        (folder / f"part-{number}.json").write_text(json.dumps(outcome))
    (folder / "_SUCCESS").touch()


@pytest.mark.parametrize("write", [lines_in, FRAME.to_parquet])
def test_parquet_and_folders_of_parts_are_read(tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(tmp_path / "outcomes")
    assert records(tmp_path / "outcomes") == OUTCOMES


def test_objects_within_parquet_are_kept(tmp_path: Path) -> None:
    pd.DataFrame({"times": [{"decided_at": "2026"}], "gate": [["cooldown"]]}).to_parquet(tmp_path / "d")
    assert records(tmp_path / "d") == [{"times": {"decided_at": "2026"}, "gate": ["cooldown"]}]


def test_a_log_that_begins_with_other_lines_is_read_by_the_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("INFO: Started, ready\n" + LINES)
    assert [place for place, _ in read_records(tmp_path / "log")] == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04", "Excel workbook"),
        (gzip.compress(LINES.encode(), mtime=0)[:-9], "damaged gzip"),
        (b'[{"a": 1},', "array"),
    ],
)
def test_a_file_that_has_no_messages_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "outcomes").write_bytes(content)
    with pytest.raises(SourceError, match=words):
        records(tmp_path / "outcomes")

"""Files of JSON as people keep them."""

import codecs
import gzip
import json
from pathlib import Path

import pytest

from shared.json_files import FileFormatError, file_format, read_json

EVENTS = [{"customer_id": "Zoë"}, {"customer_id": "b", "name": 'a\u2028b {["\\'}, {"customer_id": "c", "tags": [{}]}]
LINES = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in EVENTS)


def read(folder: Path, content: str | bytes, encoding: str = "utf-8") -> list[tuple[str, bytes]]:
    file = folder / "events"
    file.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return list(read_json(file))


def events(values: list[tuple[str, bytes]]) -> list[object]:
    return [json.loads(value) for _, value in values]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_usual_encoding_and_line_end_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    values = read(tmp_path, LINES.replace("\n", end), encoding)
    assert events(values) == EVENTS
    assert [place for place, _ in values] == ["line 1", "line 2", "line 3"]


def test_a_big_endian_mark_and_marks_of_files_that_were_concatenated_are_read(tmp_path: Path) -> None:
    assert events(read(tmp_path, codecs.BOM_UTF16_BE + LINES.encode("utf-16-be"))) == EVENTS
    assert events(read(tmp_path, ("\ufeff" + LINES) * 2)) == EVENTS * 2


@pytest.mark.parametrize("space", ["", "\ufeff", "\n \r\n"])
def test_a_gzipped_file_is_read_whatever_its_name(tmp_path: Path, space: str) -> None:
    assert events(read(tmp_path, gzip.compress((space + LINES).encode()))) == EVENTS


def test_blank_lines_count_as_lines_and_what_is_no_json_is_yielded(tmp_path: Path) -> None:
    values = read(tmp_path, b'\n{"a": 1}\n  \n{"a"\n\xff\n[1]\n\n')
    assert values == [("line 2", b'{"a": 1}'), ("line 4", b'{"a"'), ("line 5", b"\xff"), ("line 6", b"[1]")]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_array_is_read_as_its_elements(tmp_path: Path, indent: int | str | None, encoding: str) -> None:
    assert events(read(tmp_path, "\n" + json.dumps(EVENTS, indent=indent) + "\n", encoding)) == EVENTS


def test_elements_have_the_line_that_they_begin_in(tmp_path: Path) -> None:
    values = read(tmp_path, '[\n{"a": 1}, 2,\n\n{"a":\n3},"x"]\n')
    assert [place for place, _ in values] == ["line 2", "line 2, value 2", "line 4", "line 5"]
    assert read(tmp_path, "[]") == []


def test_documents_over_several_lines_are_read_and_a_damaged_one_ends_where_the_next_begins(tmp_path: Path) -> None:
    documents = [json.dumps(event, indent=1) for event in EVENTS]
    assert events(read(tmp_path, "\n\n".join(documents))) == EVENTS
    assert events(read(tmp_path, "{}".join(documents))) == [EVENTS[0], {}, EVENTS[1], {}, EVENTS[2]]
    values = read(tmp_path, "\n".join([documents[0], '{\n "a": 1 "b"\n}', documents[1]]))
    assert [value for _, value in values][1] == b'{\n "a": 1 "b"\n}'
    assert [json.loads(values[n][1]) for n in (0, 2)] == EVENTS[:2]


@pytest.mark.parametrize("first", ['{"customer_id":', "{broken", "[1, 2", "[1, 2]", "[" * 100_000, "[]"])
def test_a_damaged_first_line_is_one_damaged_line(tmp_path: Path, first: str) -> None:
    values = read(tmp_path, f"{first}\n{LINES}")
    assert values[0] == ("line 1", first.encode())
    assert events(values[1:]) == EVENTS


def test_a_log_may_begin_with_a_bracket(tmp_path: Path) -> None:
    lines = b"[2026-11-27 01:00:00] started\n[2026-11-27 01:00:01] ready\n" + LINES.encode()
    assert events(read(tmp_path, lines)[2:]) == EVENTS


def test_a_number_of_thousands_of_digits_is_read_around(tmp_path: Path) -> None:
    assert len(read(tmp_path, f'[{{"a": {"9" * 5_000}}}, {{"a": 1}}]')) == 2


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_damaged_array_is_named_with_its_line(tmp_path: Path, cut: int) -> None:
    with pytest.raises(FileFormatError, match=r"events begins as a JSON array, but is none: line \d+, column \d+"):
        read(tmp_path, json.dumps(EVENTS, indent=2)[:-cut])


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(LINES.encode() * 99)
    for damaged in (whole[:-9], whole[:40] + bytes(20) + whole[60:]):
        with pytest.raises(FileFormatError, match="is a damaged gzip file"):
            read(tmp_path, damaged)


def test_half_a_character_of_utf_16_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is not the UTF-16"):
        read(tmp_path, LINES.encode("utf-16") + b"x")


@pytest.mark.parametrize(
    ("head", "words"),
    [(b"PAR1xx", "Parquet"), (b"PK\x03\x04x", "Excel"), (b"\xd0\xcf\x11\xe0", "Excel"), (b"BZh9", "bzip2")],
)
def test_what_is_no_text_is_known_by_its_first_bytes(tmp_path: Path, head: bytes, words: str) -> None:
    (tmp_path / "file.jsonl").write_bytes(head)
    assert words in str(file_format(tmp_path / "file.jsonl"))
    (tmp_path / "file.jsonl").write_text(LINES)
    assert file_format(tmp_path / "file.jsonl") is None

"""The command `replay`: which files it reads and writes, and which it refuses before it begins."""

import errno
import gzip
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from services.__main__ import main
from services.replay_files import ReplayFileError, rejected_file, rejected_line, replacement
from shared.bus import Envelope, dead_letter

EVENTS = [{"event_id": f"e{n}", "customer_id": f"c{n}", "tenure": n} for n in range(3)]
LINES = "".join(json.dumps(event) + "\n" for event in EVENTS)


class Run(NamedTuple):
    code: object
    out: str
    err: str


Replay = Callable[..., Run]


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Replay:
    """Runs the command in the folder, and returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETENTION_WRITER", "template")

    def replay(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["services", "replay", *map(str, arguments)])
        try:
            main()
            code: object = 0
        except SystemExit as exit_info:
            code = exit_info.code
        return Run(code, *capsys.readouterr())

    return replay


def decided(file: Path) -> list[str]:
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [json.loads(line)["event_id"] for line in content.splitlines()]


@pytest.mark.parametrize("kind", ["the same", "relative", "symbolic link", "hard link", "through a linked folder"])
@pytest.mark.parametrize("name", ["in.jsonl", "out.rejected.jsonl"])
def test_the_events_are_never_overwritten(replay: Replay, tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "data").mkdir()
    events = tmp_path / "data" / name
    events.write_text(LINES)
    output = tmp_path / "data" / name.replace(".rejected", "")
    if kind == "relative":
        output = Path("data/../data") / output.name
    elif kind == "through a linked folder":
        (tmp_path / "link").symlink_to(tmp_path / "data")
        output = tmp_path / "link" / output.name
    elif "link" in kind:
        link = tmp_path / name
        link.symlink_to(events) if kind == "symbolic link" else link.hardlink_to(events)
        output = tmp_path / output.name

    done = replay(events, output)

    assert done.code == 2
    assert "would be overwritten, and is the file of events itself" in done.err
    assert done.err.count("\n") == 1
    assert events.read_text() == LINES


@pytest.mark.parametrize("output", ["nowhere/out.jsonl", "a file/out.jsonl", ".", "folder", "/dev/null"])
def test_an_output_that_cannot_be_is_refused_in_a_line_before_it_begins(replay: Replay, output: str) -> None:
    Path("in.jsonl").write_text(LINES)
    Path("a file").touch()
    Path("folder").mkdir()

    done = replay("in.jsonl", output)

    assert done.code == 2
    assert output.removesuffix("/out.jsonl") in done.err
    assert done.err.count("\n") == 1, "not even a bar of progress"


def test_after_an_error_of_the_disk_the_output_is_as_it_was(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("old")
    full = pytest.raises(ReplayFileError, match=r"out\.jsonl cannot be written: No space left on device\. Nothing")
    with full, replacement(output) as content:
        content.write(b"new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert output.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_link_stays_one_and_the_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.touch(mode=0o640)
    (tmp_path / "link").symlink_to(output)
    with replacement(tmp_path / "link") as content:
        content.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert output.read_text() == "new"
    assert output.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("before", ["\ufeff", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_byte_order_marks_and_windows_lines_are_read(
    replay: Replay, tmp_path: Path, before: str, encoding: str
) -> None:
    Path("in.jsonl").write_bytes((before + LINES).replace("\n", "\r\n").encode(encoding))
    assert replay("in.jsonl", "out.jsonl").code == 0
    assert decided(tmp_path / "out.jsonl") == ["e0", "e1", "e2"]
    assert not Path("out.rejected.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("in.json", json.dumps(EVENTS).encode()),
        ("in.json", json.dumps(EVENTS, indent=2).encode()),
        ("in.jsonl", "\n".join(json.dumps(event, indent=2) for event in EVENTS).encode()),
        ("in.csv", LINES.encode()),
    ],
)
@pytest.mark.parametrize("output", ["out.jsonl", "out.jsonl.gz"])
def test_other_files_of_events_are_read(replay: Replay, tmp_path: Path, name: str, content: bytes, output: str) -> None:
    Path(name).write_bytes(content)
    assert replay(name, output).code == 0
    assert decided(tmp_path / output) == ["e0", "e1", "e2"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.csv", b"customer_id,tenure\nc1,3\n", "is a table. A replay reads JSON, an event a line"),
        ("in.jsonl", b'\xef\xbb\xbf"customer_id";"tenure"\r\n"c1";3\r\n', "read_csv('in.jsonl'"),
        ("in.csv", b"customer_id\nc1\n", "is a table"),
        ("in.csv.gz", gzip.compress(b"customer_id\tname\nc1\tZ\n", mtime=0), "is a table"),
        ("in.parquet", b"PAR1....PAR1", "read_parquet('in.parquet')"),
        ("in.xlsx", b"PK\x03\x04....", "save the sheet as CSV"),
        ("in.jsonl.bz2", b"BZh9....", "Uncompress it"),
        ("in.jsonl.gz", gzip.compress(LINES.encode() * 99, mtime=0)[:-9], "damaged gzip file"),
        ("in.json", b'[{"customer_id": "a"},\n', "line 2, column 1"),
    ],
)
def test_a_file_that_is_no_json_is_refused_with_what_to_do(
    replay: Replay, name: str, content: bytes, words: str
) -> None:
    Path(name).write_bytes(content)
    done = replay(name, "out.jsonl")
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not Path("out.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_the_command_that_it_says_converts_a_table(replay: Replay, tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"event_id": ["e0", "e1"], "customer_id": ["c0", "007"], "contract": ["One year", None]})
    frame.to_csv(name, index=False, sep=";") if name == "in.csv" else frame.to_parquet(name)
    command = replay(name, "out.jsonl").err.rpartition("convert it: .venv/bin/python ")[2]
    subprocess.run([sys.executable, *shlex.split(command)], check=True, timeout=60)
    assert replay("events.jsonl", "out.jsonl").code == 0
    assert decided(tmp_path / "out.jsonl") == ["e0", "e1"]
    assert '"customer_id":"007"' in Path("events.jsonl").read_text()


def test_a_rejected_event_comes_out_whole_with_its_line_in_the_file(replay: Replay, tmp_path: Path) -> None:
    large = json.dumps({"customer_id": "c", "name": "x" * 2_000_000})
    Path("in.jsonl").write_bytes(b"\n" + LINES.encode() + large.encode() + b"\n\n\xff\xfe{\n")
    assert replay("in.jsonl", "out.jsonl").code == 0
    rejected = {
        line["line"]: line["event"] for line in map(json.loads, Path("out.rejected.jsonl").read_text().splitlines())
    }
    assert rejected == {"line 5": large, "line 7": "\\xff\\xfe{"}
    assert decided(tmp_path / "out.jsonl") == ["e0", "e1", "e2"]


def test_what_was_rejected_on_the_way_is_named_by_its_event() -> None:
    envelope = Envelope("scored-customers", b"{}", {"event_id": "e1"}, "an id of the bus")
    line = json.loads(rejected_line(dead_letter(envelope, "scored-customers.policy", "why")))
    assert line == {"line": "event e1", "reason": "why", "event": "{}"}


@pytest.mark.parametrize("content", ["not JSON\n", "{}\n\n[1]\n", '[{"tenure": 1}]', "1\n2\n3\n"])
def test_where_everything_is_rejected_it_says_so_and_fails(replay: Replay, content: str) -> None:
    Path("in.jsonl").write_text(content)
    done = replay("in.jsonl", "out.jsonl")
    assert done.code == 1
    assert "No event was decided: all " in done.err
    assert "out.rejected.jsonl says why" in done.err
    assert Path("out.rejected.jsonl").stat().st_size


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf", b"[]", gzip.compress(b"", mtime=0)])
def test_a_file_without_events_is_said_to_be_one(replay: Replay, content: bytes) -> None:
    Path("in.jsonl").write_bytes(content)
    Path("out.rejected.jsonl").write_text("of the run before")
    done = replay("in.jsonl", "out.jsonl")
    assert done.code == 0
    assert "in.jsonl has no events: there was nothing to decide." in done.out
    assert not Path("out.rejected.jsonl").exists()


@pytest.mark.parametrize(
    ("decisions", "rejected"),
    [("out.jsonl", "out.rejected.jsonl"), ("a/out.jsonl.gz", "a/out.rejected.jsonl"), ("out", "out.rejected.jsonl")],
)
def test_rejected_events_have_a_file_beside_the_decisions(decisions: str, rejected: str) -> None:
    assert rejected_file(Path(decisions)) == Path(rejected)

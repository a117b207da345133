"""The files of the command `replay`: the events that it reads, and the decisions and rejected events that it writes."""

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from pydantic_core import to_json

from shared.bus import Envelope, original_message
from shared.json_files import FileFormatError, file_format, is_same_file, read_json
from shared.messages import CustomerEvent

DELIMITERS = b",;\t|"
TABLE_SUFFIXES = {".csv", ".tsv"}
WANTED = 'A replay reads JSON, an event a line, such as {"customer_id": "C1", "tenure": 12}'
CONVERT = (
    '.venv/bin/python -c "import pandas; '
    "pandas.{}.to_json('events.jsonl', orient='records', lines=True, date_format='iso')\""
)
READERS = {
    "a Parquet file": "read_parquet({file!r})",
    "a table": "read_csv({file!r}, sep=None, engine='python', dtype=str)",
}


class ReplayFileError(Exception):
    """The files cannot be used; the message says which, why and what to do."""


def read_events(file: Path) -> Iterator[Envelope]:
    """The events as they would be published; one without an id is identified by its place in the file."""
    for place, event in read_json(file):
        yield Envelope(CustomerEvent.topic, event, {}, place)


def count_events(file: Path) -> int:
    """The number of events, all of which are read. Raises `ReplayFileError` if it is no file of events."""
    if not file.is_file():
        raise ReplayFileError(f"{file} is not a file. Give a file of customer events, one JSON object per line.")
    try:
        if kind := file_format(file):
            raise ReplayFileError(f"{file} is {kind}. {_advice(file, kind)}")
        if _is_table(file):
            raise ReplayFileError(f"{file} is a table. {_advice(file, 'a table')}")
        return sum(1 for _ in read_json(file))
    except FileFormatError as error:
        raise ReplayFileError(f"{error}. {WANTED}.") from error
    except OSError as error:
        raise ReplayFileError(f"{file} cannot be read: {error.strerror or error}") from error


def _is_table(file: Path) -> bool:
    """Whether the first two lines are rows of a delimited table, or any rows in a file with a name of one."""
    lines = [line for _, line in islice(read_json(file), 2)]
    if not lines or any(line[:1] in (b"{", b"[") for line in lines):
        return False
    counts = [[line.count(delimiter) for delimiter in DELIMITERS] for line in lines]
    is_delimited = any(len(set(numbers)) == 1 and numbers[0] for numbers in zip(*counts, strict=True))
    return is_delimited or not TABLE_SUFFIXES.isdisjoint(suffix.lower() for suffix in file.suffixes)


def _advice(file: Path, kind: str) -> str:
    """What to do with a file that has no JSON."""
    if "compressed" in kind:
        return "Uncompress it, or compress it by gzip, which is read."
    if "Excel" in kind:
        return f"{WANTED}. Unpack the archive, or save the sheet as CSV, and convert that as {CONVERT.format('…')}"
    if kind not in READERS:
        return f"{WANTED}."
    command = CONVERT.format(READERS[kind].format(file=str(file)))
    return f"{WANTED}. Name the columns as docs/topics.md does, and convert it: {command}"


def rejected_file(decisions: Path) -> Path:
    """The file beside the decisions for rejected events."""
    return decisions.with_suffix("" if decisions.suffix == ".gz" else decisions.suffix).with_suffix(".rejected.jsonl")


def check_outputs(decisions: Path, events: Path) -> None:
    """Raises `ReplayFileError` if writing would replace the events, or what is no file, or has no folder."""
    if not decisions.parent.is_dir():
        raise ReplayFileError(f"{decisions.parent} is not a folder. Give a file in a folder that exists.")
    _check_output(decisions, events)
    _check_output(rejected_file(decisions), events)


def _check_output(file: Path, events: Path) -> None:
    if file.exists() and not file.is_file():
        raise ReplayFileError(f"{file} is not a file. Give a file to write to.")
    if is_same_file(file, events):
        raise ReplayFileError(
            f"{file} would be overwritten, and is the file of events itself. Give another file for the decisions."
        )


@contextmanager
def replacement(file: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `file` at the end, gzipped if its name ends in .gz.

    After an error `file` is as it was. Raises `ReplayFileError` if it cannot be written.
    """
    target = file.resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(0, "it is read-only")
        with unfinished.open("xb") as raw:
            if target.exists():
                shutil.copymode(target, unfinished)
            with gzip.GzipFile("", "wb", mtime=0, fileobj=raw) if file.suffix == ".gz" else raw as content:
                yield content  # type: ignore[misc]  # it has all that IO has
        unfinished.replace(target)
    except OSError as error:
        raise ReplayFileError(
            f"{file} cannot be written: {error.strerror or error}. Nothing in it has changed."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def rejected_line(letter: Envelope) -> bytes:
    """A rejected event, or what followed from it, with its place and the reason, as JSON, whole."""
    attributes, message = letter.attributes, original_message(letter)
    place = attributes["message_id"] if message.topic == CustomerEvent.topic else f"event {attributes['event_id']}"
    event = message.data.decode(errors="backslashreplace")
    return to_json({"line": place, "reason": attributes["reason"], "event": event})

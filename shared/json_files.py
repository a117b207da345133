"""JSON values of a file as people keep them: one a line, an array, or documents over several lines; gzipped or not.

Files are UTF-8 or UTF-16, with or without a byte-order mark, and lines end in LF or CR LF.
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from io import TextIOWrapper
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import IO

from pydantic_core import from_json

FORMATS = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"ORC": "an ORC file",
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF document",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}
"""What a file is that begins with these bytes, none of which is text."""
GZIP = b"\x1f\x8b"
SPACE = re.compile(r"[\s\ufeff]*")
DECODE = JSONDecoder(parse_int=str).raw_decode  # only extents are of interest, and int() refuses 5,000 digits


class FileFormatError(Exception):
    """The file cannot be read; the message says what it is and where it is wrong."""


def file_format(file: Path) -> str | None:
    """What the file is, from its first bytes, if it is no text (see `FORMATS`). Raises OSError."""
    with file.open("rb") as content:
        head = content.read(16)
    return next((name for magic, name in FORMATS.items() if head.startswith(magic)), None)


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths are of one file, by links of either kind too; none of them has to exist."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def open_file(file: Path) -> IO[bytes]:
    """The content of the file, decompressed if it is gzipped, whatever its name. Raises OSError."""
    with file.open("rb") as content:
        is_gzipped = content.read(len(GZIP)) == GZIP
    return gzip.open(file) if is_gzipped else file.open("rb")  # type: ignore[return-value]  # it has all that IO has


def utf_16(head: bytes) -> str | None:
    """The name of the UTF-16 encoding of text that begins with these bytes; None if it is another encoding."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) >= 2 and (head[0] == 0) != (head[1] == 0):  # an ASCII character without a mark
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    return None


def read_json(file: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON values of the file, each with its place, such as `line 3`, and as UTF-8; blank lines are left out.

    What is no valid JSON is yielded all the same, for the reader to count or to bury. Raises `FileFormatError` where
    an array or the compression is damaged, and OSError.
    """
    try:
        with open_file(file) as content:
            _, first = next(_numbered(content), ("", b""))
            documents = None
            if first[:1] in (b"[", b"{") and not _is_object(first):
                content.seek(0)
                documents = _documents(b"".join(_lines(content)).decode("utf-8", "surrogateescape"), file)
            content.seek(0)
            yield from _numbered(content) if documents is None else documents
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(f"{file} is a damaged gzip file: {error}") from error
    except UnicodeError as error:
        raise FileFormatError(f"{file} is not the UTF-16 that it begins as: {error}") from error


def _lines(content: IO[bytes]) -> Iterator[bytes]:
    """The lines as UTF-8."""
    encoding = utf_16(content.read(2))
    content.seek(0)
    if not encoding:
        yield from iter(content.readline, b"")  # `yield from content` would close it when this generator ends early
        return
    text = TextIOWrapper(content, encoding, newline="\n")
    try:
        yield from (line.encode("utf-8", "surrogatepass") for line in text)
    finally:
        text.detach()


def _numbered(content: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """The lines that are not blank, each with its place."""
    for number, line in enumerate(_lines(content), 1):
        # a mark may also stand within, where files were concatenated
        if value := line.strip().removeprefix(codecs.BOM_UTF8).strip():
            yield f"line {number}", value


def _is_object(value: bytes) -> bool:
    try:
        return isinstance(from_json(value), dict)
    except ValueError:
        return False


def _documents(text: str, file: Path) -> list[tuple[str, bytes]] | None:
    """The elements of an array, or documents over several lines; None if each line is to be read by itself.

    Raises `FileFormatError` if the array is damaged.
    """
    start = _skip(text, 0)
    try:
        spans = _array_spans(text, start) if text[start] == "[" else _object_spans(text, start)
    except RecursionError:
        return None
    except JSONDecodeError as error:
        second = text[start:].split("\n", 2)[1:2]
        is_line = bool(second) and _is_object(second[0].encode("utf-8", "surrogateescape"))
        if is_line or text[_skip(text, start + 1) :][:1] != "{":  # a line of a log may begin with a time in brackets
            return None
        raise FileFormatError(
            f"{file} begins as a JSON array, but is none: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    if spans is None:
        return None
    documents = list[tuple[str, bytes]]()
    line, end_before, on_line = 1, 0, 0
    for start, end in spans:
        lines_between = text.count("\n", end_before, start)
        on_line = 1 if lines_between or not documents else on_line + 1
        line, end_before = line + lines_between, start
        place = f"line {line}" if on_line == 1 else f"line {line}, value {on_line}"
        documents.append((place, text[start:end].encode("utf-8", "surrogateescape")))
    return documents


def _array_spans(text: str, start: int) -> list[tuple[int, int]] | None:
    """Start and end of each element; None if something follows the array. Raises `JSONDecodeError`."""
    spans, position = list[tuple[int, int]](), _skip(text, start + 1)
    while text[position : position + 1] != "]":
        if spans:
            if text[position : position + 1] != ",":
                raise JSONDecodeError("Expecting ',' or ']'", text, position)
            position = _skip(text, position + 1)
        _, end = DECODE(text, position)
        spans.append((position, end))
        position = _skip(text, end)
    return spans if _skip(text, position + 1) == len(text) else None


def _object_spans(text: str, start: int) -> list[tuple[int, int]] | None:
    """Start and end of each document; a damaged one ends where a line begins with the next; None if the first is."""
    spans, position = list[tuple[int, int]](), start
    while position < len(text):
        try:
            _, end = DECODE(text, position)
        except JSONDecodeError:
            if not spans:
                return None
            following = text.find("\n{", position)
            end = len(text) if following < 0 else following
        spans.append((position, len(text[:end].rstrip()) if end == len(text) else end))
        position = _skip(text, end)
    return spans


def _skip(text: str, position: int) -> int:
    """The position after white space and byte-order marks."""
    space = SPACE.match(text, position)
    return space.end() if space else position

"""Messages that were kept in a file: JSON of any layout, or the rows of a table, each as a JSON object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from shared.json_files import FileFormatError, file_format, read_json
from training.data.read_table import PARQUET, read_table, table_files
from training.data.sources import SourceError

ID_COLUMNS = (b"customer_id", b"event_id")
"""One of these is in the header of a table of messages."""
TABLE_SUFFIXES = {".csv", ".tsv"}


def read_records(path: Path) -> Iterator[tuple[str, bytes]]:
    """The messages, each with its place, such as `line 3`. Raises `SourceError` and OSError."""
    if path.is_dir():
        parts = table_files(path)
        if file_format(parts[0]) == PARQUET:
            yield from _parquet_rows(path)
            return
        for part in parts:
            yield from ((f"{part.name} {place}", record) for place, record in read_records(part))
    elif file_format(path) == PARQUET:
        yield from _parquet_rows(path)
    elif file_format(path) or _is_table(path):
        table = read_table(path)
        for place, row in zip(table.places, table.frame.to_dict("records"), strict=True):
            yield place, to_json({name: cell for name, cell in row.items() if cell.strip()})
    else:
        try:
            yield from read_json(path)
        except FileFormatError as error:
            raise SourceError(f"{error}. Export it again.") from error


def _is_table(path: Path) -> bool:
    """Whether the first line is the header of a delimited table of messages."""
    try:
        _, first = next(read_json(path), ("", b""))
    except FileFormatError:
        return False
    is_named = any(name in first for name in ID_COLUMNS) or path.suffix.lower() in TABLE_SUFFIXES
    return first[:1] not in (b"{", b"[") and (is_named or first.lower().startswith(b"sep="))


def _parquet_rows(path: Path) -> Iterator[tuple[str, bytes]]:
    import pyarrow.parquet  # takes half a second, which JSON need not wait for

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    for number, row in enumerate(rows, 1):
        yield f"row {number}", to_json({name: cell for name, cell in row.items() if cell is not None})

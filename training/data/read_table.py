"""The one door for a user's tables: CSV as any tool writes it, JSON, and Parquet, in a file or in a folder of parts.

What had to be guessed or left out on the way is said in notes. What is no table is refused with what to do.
"""

import csv
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from gzip import BadGzipFile
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pandas as pd
from pydantic_core import from_json

from shared.json_files import FileFormatError, file_format, open_file, read_json, utf_16
from training.data.sources import SourceError

DELIMITERS = ",;\t|"
SEPARATOR_LINE = re.compile(r'\A"?sep=(.)"?\r?\n', re.IGNORECASE)
"""The first line of a CSV file for Excel, which names the delimiter."""
JSON_START = re.compile(r"\s*(\{|\[\s*[{\]])")
DECIMAL_COMMA = r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?"
CERTAIN_DECIMAL_COMMA = r"[-+]?(\d+,(\d{1,2}|\d{4,})|0+,\d+|\d{1,3}(\.\d{3})+,\d+)"
INDEX_NAMES = re.compile(r"Unnamed: \d+(\.\d+)?|__index_level_\d+__")
"""Names that pandas gives to an index column without one."""
WORKBOOK = "in the spreadsheet choose Save as, CSV UTF-8, for the sheet with the table, and give that file"
PARQUET = "a Parquet file"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a user's table. Cells of text files are text; those of Parquet and JSON have its types."""

    frame: pd.DataFrame
    places: Sequence[str]
    """Where each row is, such as `line 3`."""
    notes: tuple[str, ...] = ()
    """What was guessed about the file, and what was left out, as sentences without a point."""


def read_table(path: Path, keep: Collection[str] = ()) -> Table:
    """The table at `path`, a file or a folder. Columns of `keep` are never taken for an index that pandas wrote.

    Raises `SourceError`, which says what is wrong with it and what to do.
    """
    try:
        table = _read_folder(path) if path.is_dir() else _read_file(path)
    except FileFormatError as error:
        raise SourceError(f"{error}. Export it again.") from error
    except (EOFError, BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path} cannot be read: it is a damaged gzip file ({error}). Export it again.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    table = _without_unnamed(table, path, keep)
    if table.frame.empty:
        raise SourceError(f"{path} cannot be read: it has no rows below its header.")
    return table


def table_files(folder: Path) -> list[Path]:
    """The files of a folder that Spark, Dask or Hive wrote, without their marks and checksums. Raises `SourceError`."""
    if (folder / "_delta_log").is_dir():
        raise SourceError(f"{folder} is a Delta table, whose files hold old rows too: write it as Parquet from Spark.")
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.stat().st_size]
    parts = [file for file in files if not any(name[0] in "._" for name in file.relative_to(folder).parts)]
    if not parts:
        raise SourceError(f"{folder} is a folder without tables. Give a file, or a folder of part files.")
    if len(kinds := {file_format(file) for file in parts}) > 1:
        example = ", ".join(next(file.name for file in parts if file_format(file) == kind) for kind in kinds)
        raise SourceError(
            f"{folder} has files of several kinds ({example}). Give one of them, or a folder of one kind."
        )
    return parts


def checksum(path: Path) -> str:
    """sha256 of the file, or of the names and checksums of a folder's files."""
    if not path.is_dir():
        return sha256(path.read_bytes()).hexdigest()
    names = (f"{file.relative_to(path)} {checksum(file)}\n" for file in table_files(path))
    return sha256("".join(names).encode()).hexdigest()


def _read_folder(folder: Path) -> Table:
    parts = table_files(folder)
    if file_format(parts[0]) == PARQUET:
        return _read_parquet(folder)
    tables = [_read_file(part) for part in parts]
    for part, table in zip(parts, tables, strict=True):
        if list(table.frame) != list(tables[0].frame):
            raise SourceError(
                f"{part} has other columns than {parts[0].name} beside it: {', '.join(map(repr, table.frame))}. "
                "Write all parts with the same header (in Spark with the option header=True)."
            )
    places = [f"{part.name} {place}" for part, table in zip(parts, tables, strict=True) for place in table.places]
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    return Table(pd.concat([table.frame for table in tables], ignore_index=True), places, tuple(notes))


def _read_file(path: Path) -> Table:
    kind = file_format(path)
    if kind == PARQUET:
        return _read_parquet(path)
    if kind:
        raise SourceError(_refusal(path, kind))
    with open_file(path) as file:
        content = file.read()
    text, notes = _decode(content, path)
    if not text.strip("\ufeff \t\r\n"):
        raise SourceError(f"{path} cannot be read: it is empty.")
    if text.lstrip().startswith("<"):
        raise SourceError(f"{path} is HTML or XML, as some exports called .xls are: {WORKBOOK}.")
    table = _read_json(path) if JSON_START.match(text) else _read_delimited(text, path)
    return Table(table.frame, table.places, (*notes, *table.notes))


def _refusal(path: Path, kind: str) -> str:
    if "compressed" in kind:
        return f"{path} is {kind}: uncompress it, or compress it by gzip, which is read."
    if "ZIP" in kind and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if not any(name.startswith("xl/") or name == "content.xml" for name in names):
            return f"{path} is a ZIP archive: unpack it, and give the table in it ({', '.join(names[:3])})."
        kind = "an Excel workbook" if "content.xml" not in names else "an OpenDocument spreadsheet"
    if "Excel" in kind or "OpenDocument" in kind:
        return f"{path} is {kind}, which is not read: {WORKBOOK}."
    return f"{path} is {kind}, which is not read: write the table as CSV or Parquet."


def _decode(content: bytes, path: Path) -> tuple[str, list[str]]:
    """The text, and a note if it is not UTF-8."""
    if encoding := utf_16(content[:2]):
        try:
            return content.decode(encoding).removeprefix("\ufeff"), [f"{path.name} was read as UTF-16"]
        except UnicodeDecodeError as error:
            raise SourceError(f"{path} cannot be read: it begins as UTF-16 and is none. Save it as UTF-8.") from error
    if b"\0" in content:
        raise SourceError(f"{path} cannot be read: it is no text. Give a table as CSV, JSON lines or Parquet.")
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        advice = "if letters come out wrong, save it as UTF-8"
        try:
            return content.decode("cp1252"), [f"{path.name} is not UTF-8 and was read as Windows-1252; {advice}"]
        except UnicodeDecodeError:
            return content.decode("latin-1"), [f"{path.name} is not UTF-8 and was read as Latin-1; {advice}"]


def _read_delimited(text: str, path: Path) -> Table:
    named = SEPARATOR_LINE.match(text)
    skipped_lines = text.count("\n", 0, named.end()) if named else 0
    body = text[named.end() :] if named else text
    first = next((line for line in body.splitlines() if line.strip()), "")
    outside_quotes = re.sub(r'"[^"]*"', "", first)
    # csv.Sniffer takes the space in a column's name for a delimiter
    delimiter = named[1] if named else max(DELIMITERS, key=outside_quotes.count)
    reader = csv.reader(
        StringIO(body, newline=""), delimiter=delimiter, skipinitialspace=f'{delimiter} "' in first, strict=True
    )
    rows, lines, line = list[list[str]](), list[int](), 1 + skipped_lines
    try:
        for row in reader:
            rows.append(row)
            lines.append(line)
            line = reader.line_num + 1 + skipped_lines
    except csv.Error as error:
        raise SourceError(
            f"{path} cannot be read: the row that begins in line {line}: {error}. Double the quotes within a cell, and "
            "close those around it."
        ) from error
    if not any(cell.strip() for row in rows for cell in row):
        raise SourceError(f"{path} cannot be read: it is empty.")
    return _with_header(rows, lines, delimiter, path)


def _with_header(rows: list[list[str]], lines: list[int], delimiter: str, path: Path) -> Table:
    """A table of the rows of text, of which the first that is not blank is the header."""
    start = next(number for number, row in enumerate(rows) if any(cell.strip() for cell in row))
    header, width = [name.strip() for name in rows[start]], len(rows[start])
    body = list(zip(rows[start + 1 :], lines[start + 1 :], strict=True))
    filled = [(row, line) for row, line in body if len(row) > width or any(cell.strip() for cell in row)]
    if filled and all(len(row) > width for row, _ in filled):
        raise SourceError(
            f"{path} has rows longer than its header: name every column, row numbers too, and end no row with "
            f"{delimiter!r}."
        )
    for row, line in filled:
        if len(row) != width:
            raise SourceError(
                f"{path} cannot be read: line {line} has {len(row)} cells, and the header {width}. Put cells that "
                f"contain {delimiter!r}, a quote or a line break into quotes."
            )
    _check_names(header, path)
    frame = pd.DataFrame([row for row, _ in filled], columns=header, dtype="str")
    blank = sum(1 for row, _ in body if row and len(row) <= width) - len(filled)
    notes = [f"blank rows of {path.name} were left out: {blank:,}"] if blank else []
    if delimiter != "," and (converted := [name for name in frame if name and _convert_decimal_commas(frame, name)]):
        notes.append(f"commas in columns of {path.name} were read as decimal points: {', '.join(converted)}")
    return Table(frame, [f"line {line}" for _, line in filled], tuple(notes))


def _convert_decimal_commas(frame: pd.DataFrame, name: str) -> bool:
    """Whether all cells of a column are numbers with decimal commas, which then become points.

    One cell at least shows that a comma is no separator of thousands: it has other than three digits behind it, 0
    before it, or points before it.
    """
    cells = frame[name].str.strip()
    filled = cells[cells != ""]
    if not filled.str.fullmatch(DECIMAL_COMMA).all() or not filled.str.fullmatch(CERTAIN_DECIMAL_COMMA).any():
        return False
    frame[name] = cells.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    return True


def _read_json(path: Path) -> Table:
    """JSON lines, an array, or documents over several lines; objects and lists within are kept as JSON text."""
    rows, places = list[dict[str, object]](), list[str]()
    for place, value in read_json(path):
        try:
            row = from_json(value)
        except ValueError as error:
            raise SourceError(f"{path} cannot be read: {place} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise SourceError(f"{path} cannot be read: {place} is no JSON object but {type(row).__name__}.")
        rows.append({name.strip(): value for name, value in row.items()})
        places.append(place)
    return Table(_typed(pd.DataFrame(rows, dtype="object")), places)


def _read_parquet(path: Path) -> Table:
    try:
        frame = pd.read_parquet(path)
    except (ValueError, NotImplementedError) as error:  # Arrow's own errors are among them
        raise SourceError(f"{path} cannot be read: {error}") from error
    named = [name for name in frame.index.names if name is not None and not INDEX_NAMES.fullmatch(str(name))]
    is_numbered = isinstance(frame.index, pd.RangeIndex) or named
    note = () if is_numbered else (f"the index of {path.name}, which has no name, was left out",)
    frame = frame.reset_index(level=named).reset_index(drop=True) if named else frame.reset_index(drop=True)
    header = [str(name).strip() for name in frame.columns]
    _check_names(header, path)
    return Table(_typed(frame.set_axis(header, axis=1)), [f"row {number + 1}" for number in range(len(frame))], note)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with types that hold missing values: integers with missing values come as floats."""
    plain = frame.copy()
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == "object":
            plain[name] = column.astype("object").map(_plain, na_action="ignore")
    return plain.convert_dtypes()


def _plain(value: object) -> object:
    """A cell as a number or a text: Spark writes decimals, and texts as bytes."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value if isinstance(value, str | bool | int | float) or not hasattr(value, "tolist") else str(value.tolist())


def _check_names(header: Iterable[str], path: Path) -> None:
    """Raises `SourceError` if two columns have one name."""
    seen = set[str]()
    for name in header:
        if name and name in seen:
            raise SourceError(f"{path} has two columns {name!r}: rename or remove one of them.")
        seen.add(name)


def _without_unnamed(table: Table, path: Path, keep: Collection[str]) -> Table:
    """The table without columns that have no name, and without an index that pandas wrote."""
    frame, notes, unnamed = table.frame, list(table.notes), 0
    kept = list[int]()
    for number, name in enumerate(frame.columns):
        if not name:
            unnamed += 1
        elif name not in keep and (INDEX_NAMES.fullmatch(name) or (name == "index" and _counts_rows(frame[name]))):
            notes.append(f"the column {name!r} of {path.name} is an index as pandas writes it, and was left out")
        else:
            kept.append(number)
    if unnamed:
        notes.append(f"columns of {path.name} without a name, such as an index, were left out: {unnamed}")
    return Table(frame.iloc[:, kept], table.places, tuple(notes))


def _counts_rows(column: "pd.Series[object]") -> bool:
    return column.astype("str").tolist() == [str(number) for number in range(len(column))]

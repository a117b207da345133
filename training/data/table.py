"""From a file to a checked table. What a column may hold is its set's pandera schema; nothing is coerced silently."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa

from training.data.sources import SourceError

COLUMNS = {"column_in_dataframe": "is missing", "column_in_schema": "is not expected"}
"""Failures of the columns as such, by pandera's name; said before those of what columns hold."""
EXPECTED = {
    "not_nullable": "a value",
    "field_uniqueness": "no value twice",
    "dtype('int64')": "a whole number",
    "dtype('float64')": "a number",
}
"""The other failures that are pandera's own; a check's has the check's words."""


@dataclass(frozen=True)
class Cleaned:
    """Rows ready for training, in file order; how many were dropped, and why; what else was noticed, with its count."""

    rows: pd.DataFrame
    dropped: dict[str, int]
    noted: dict[str, int] = field(default_factory=dict)


def read_csv(file: Path, schema: pa.DataFrameSchema, delimiter: str, missing: dict[str, str]) -> pd.DataFrame:
    """The rows of a CSV as its schema has them; `missing` is the text that stands for a missing value, by column.

    Every cell is read as text, so that whether it is a number is decided by the schema alone. Raises `SourceError`.
    """
    try:
        frame = pd.read_csv(file, sep=delimiter, dtype="str", keep_default_na=False, na_values=missing)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SourceError(f"{file.name} is no table: {error}") from error
    return validated(frame, schema, file.name, first_line=2)


def read_lines(file: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """The rows of gzipped JSON lines, each value as JSON has it. Raises `SourceError`."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, object]] = []
        try:
            for line in lines:
                if not isinstance(row := json.loads(line), dict):
                    raise ValueError("it is no object")
                rows.append(row)
        except (ValueError, EOFError, OSError, zlib.error) as error:
            raise SourceError(f"{file.name} is not gzipped JSON lines: line {len(rows) + 1}: {error}") from error
    return validated(pd.DataFrame(rows, dtype="object"), schema, file.name)


def one_of(*values: str, nullable: bool = False) -> pa.Column:
    """A column of categories."""
    return pa.Column("str", pa.Check.isin(values, error=f"one of {', '.join(values)}"), nullable=nullable)


def between(low: float, high: float, kind: str = "int64", nullable: bool = False) -> pa.Column:
    """A column of numbers, the bounds included."""
    return pa.Column(kind, pa.Check.in_range(low, high, error=f"{low:,} to {high:,}"), nullable=nullable)


def of_type(*kinds: type, check: pa.Check | None = None, nullable: bool = False, unique: bool = False) -> pa.Column:
    """A column of JSON values, all of just these types."""
    words = " or ".join(kind.__name__ for kind in kinds)
    typed = pa.Check(lambda value: type(value) in kinds, element_wise=True, error=words)
    return pa.Column("object", [typed, check] if check else typed, nullable=nullable, unique=unique)


def validated(frame: pd.DataFrame, schema: pa.DataFrameSchema, name: str, first_line: int = 1) -> pd.DataFrame:
    """The frame in the schema's types. Raises `SourceError`, naming column, expectation and first offending line."""
    try:
        return schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise SourceError(f"{name}: {_first(error.failure_cases.to_dict('records'), first_line)}") from None


def _first(failures: list[dict[Any, Any]], first_line: int) -> str:
    """One failure in words."""
    of_columns = [failure for check in COLUMNS for failure in failures if failure["check"] == check]
    failure = (of_columns or failures)[0]
    column, check, found = failure["column"], failure["check"].removeprefix("coerce_"), failure["failure_case"]
    if of_columns:
        return f"column {found!r} {COLUMNS[check]}"
    line, holds = int(failure["index"]) + first_line, "nothing" if pd.isna(found) else repr(found)
    return f"column {column!r} should hold {EXPECTED.get(check, check)}; line {line} holds {holds}"


def sift(rows: pd.DataFrame, reasons: Mapping[str, Callable[[pd.DataFrame], "pd.Series[bool]"]]) -> Cleaned:
    """Each reason in turn drops the rows of which it is true, and is counted if there are any."""
    dropped = {}
    for reason, holds in reasons.items():
        gone = holds(rows).astype(bool)
        dropped[reason] = int(gone.sum())
        rows = rows[~gone]
    return Cleaned(rows.reset_index(drop=True), {reason: count for reason, count in dropped.items() if count})

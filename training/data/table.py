"""Read files into validated tables. The pandera schema of a set states the values that a column may have."""

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

COLUMN_FAILURES = {"column_in_dataframe": "is missing", "column_in_schema": "is not expected"}
"""Texts for failures of whole columns, by pandera's name; they are reported before failures of values."""
EXPECTATIONS = {
    "not_nullable": "a value",
    "field_uniqueness": "no value twice",
    "dtype('int64')": "a whole number",
    "dtype('float64')": "a number",
}
"""What a column should hold, by pandera's name of other failures; a check that fails has its own text."""

RowCondition = Callable[[pd.DataFrame], "pd.Series[bool]"]


@dataclass(frozen=True)
class Cleaned:
    """Rows ready for training, in the order of the file."""

    rows: pd.DataFrame
    dropped: dict[str, int]
    """Number of dropped rows, by reason."""
    noted: dict[str, int] = field(default_factory=dict)
    """Number of rows, by a property that is worth a note."""


def read_csv(file: Path, schema: pa.DataFrameSchema, delimiter: str, missing: dict[str, str]) -> pd.DataFrame:
    """The rows of a CSV file, validated. `missing` is the text that stands for a missing value, by column.

    Every cell is read as text, so that only the schema decides which values are numbers. Raises `SourceError`.
    """
    try:
        frame = pd.read_csv(file, sep=delimiter, dtype="str", keep_default_na=False, na_values=missing)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SourceError(f"{file.name} is no table: {error}") from error
    return validate_frame(frame, schema, file.name, first_line=2)


def read_json_lines(file: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """The rows of gzipped JSON lines, validated, with the types of JSON. Raises `SourceError`."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, object]] = []
        try:
            for line in lines:
                if not isinstance(row := json.loads(line), dict):
                    raise ValueError("it is no object")
                rows.append(row)
        except (ValueError, EOFError, OSError, zlib.error) as error:
            raise SourceError(f"{file.name} is not gzipped JSON lines: line {len(rows) + 1}: {error}") from error
    return validate_frame(pd.DataFrame(rows, dtype="object"), schema, file.name)


def category_column(*values: str, nullable: bool = False) -> pa.Column:
    return pa.Column("str", pa.Check.isin(values, error=f"one of {', '.join(values)}"), nullable=nullable)


def number_column(low: float, high: float, dtype: str = "int64", nullable: bool = False) -> pa.Column:
    """A column of numbers from `low` to `high`, bounds included."""
    return pa.Column(dtype, pa.Check.in_range(low, high, error=f"{low:,} to {high:,}"), nullable=nullable)


def json_column(*types: type, check: pa.Check | None = None, nullable: bool = False, unique: bool = False) -> pa.Column:
    """A column of values whose type is exactly one of `types`: a bool is no int."""
    names = " or ".join(type_.__name__ for type_ in types)
    has_type = pa.Check(lambda value: type(value) in types, element_wise=True, error=names)
    return pa.Column("object", [has_type, check] if check else has_type, nullable=nullable, unique=unique)


def validate_frame(frame: pd.DataFrame, schema: pa.DataFrameSchema, name: str, first_line: int = 1) -> pd.DataFrame:
    """The frame in the schema's types. Raises `SourceError` with the first wrong column, its expectation and line."""
    try:
        return schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.to_dict("records")
        raise SourceError(f"{name}: {_first_failure(failures, first_line)}") from None


def _first_failure(failures: list[dict[Any, Any]], first_line: int) -> str:
    column_failures = [failure for check in COLUMN_FAILURES for failure in failures if failure["check"] == check]
    failure = (column_failures or failures)[0]
    column, check, value = failure["column"], failure["check"].removeprefix("coerce_"), failure["failure_case"]
    if column_failures:
        return f"column {value!r} {COLUMN_FAILURES[check]}"
    line, actual = int(failure["index"]) + first_line, "nothing" if pd.isna(value) else repr(value)
    return f"column {column!r} should hold {EXPECTATIONS.get(check, check)}; line {line} holds {actual}"


def drop_rows(rows: pd.DataFrame, conditions: Mapping[str, RowCondition]) -> Cleaned:
    """Drop the rows that meet a condition, one condition after the other, counted by the condition's name."""
    dropped = {}
    for reason, condition in conditions.items():
        is_dropped = condition(rows).astype(bool)
        dropped[reason] = int(is_dropped.sum())
        rows = rows[~is_dropped]
    return Cleaned(rows.reset_index(drop=True), {reason: count for reason, count in dropped.items() if count})

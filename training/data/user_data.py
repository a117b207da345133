"""A user's own customers, from a CSV or Parquet file with the user's columns, in the same format as Telco's."""

import gzip
import zlib
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from math import nan
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from services.scorer.features import RISK_FACTS
from shared.messages import CustomerFacts
from training.data import columns
from training.data.mapping import ColumnMapping, read_mapping, suggestion
from training.data.sources import SourceError
from training.data.table import RowCondition, drop_rows

MIN_CUSTOMERS, MIN_PER_CLASS = 500, 50
"""Smallest numbers for five folds with a calibrator in each, which need customers of both classes."""
MAX_EXAMPLES = 3
"""Largest number of unknown values of a fact that are shown."""


@dataclass(frozen=True)
class UserData:
    rows: pd.DataFrame
    """`position`, `customer_id`, each of `features.RISK_FACTS`, and `churned`."""
    missing: tuple[str, ...]
    """Facts that no column is mapped to, so that no customer has them."""
    ignored: tuple[str, ...]
    """Columns of the file that are not used."""
    unknown: dict[str, int]
    """Number of values that are no category of the scorer, by fact; they count as missing."""
    examples: dict[str, tuple[str, ...]]
    """The most frequent of these values, quoted, by fact: shown to the user, but not in the model card."""
    dropped: dict[str, int]
    """Number of rows left out, by reason."""
    sha256: str
    """sha256 of the file."""


def read_user_data(data: Path, mapping_file: Path) -> UserData:
    """Read and check the customers. Raises `SourceError` if the file lacks a column, a valid label or enough rows."""
    mapping, raw = read_mapping(mapping_file), _read_table(data)
    for column in mapping.columns:
        if column not in raw.columns:
            raise SourceError(f"{data.name} has no column {column!r}, which is mapped{suggestion(column, raw.columns)}")
    unknown: dict[str, Counter[str]] = {}
    cleaned = drop_rows(_convert(raw, mapping, data, unknown), _conditions(mapping))
    rows = cleaned.rows.astype({"churned": "bool"})
    _check_size(rows["churned"], cleaned.dropped, data)
    return UserData(
        rows=rows,
        missing=tuple(fact for fact in RISK_FACTS if fact not in mapping.facts),
        ignored=tuple(str(column) for column in raw.columns if column not in mapping.columns),
        unknown={fact: values.total() for fact, values in unknown.items()},
        examples={
            fact: tuple(repr(value) for value, _ in values.most_common(MAX_EXAMPLES))
            for fact, values in unknown.items()
        },
        dropped=cleaned.dropped,
        sha256=sha256(data.read_bytes()).hexdigest(),
    )


def _convert(raw: pd.DataFrame, mapping: ColumnMapping, data: Path, unknown: dict[str, Counter[str]]) -> pd.DataFrame:
    """All rows as numbers and categories of the scorer; values of no known category are counted in `unknown`."""
    rows = pd.DataFrame({"position": range(len(raw))})
    rows["customer_id"] = columns.ids(raw[mapping.id]) if mapping.id else rows["position"].astype("str")
    for fact, encoding in RISK_FACTS.items():
        if fact not in mapping.facts:
            rows[fact] = pd.Series(nan, rows.index, dtype="float64" if encoding is None else "str")
        elif encoding is None:
            rows[fact] = columns.numbers(raw[mapping.facts[fact]], fact, data)
        else:
            mapped = mapping.values.get(fact, {})
            rows[fact] = columns.categories(raw[mapping.facts[fact]], fact, mapped, data, unknown)
    rows["churned"] = columns.label(raw[mapping.label], mapping, data)
    return rows


def _conditions(mapping: ColumnMapping) -> dict[str, RowCondition]:
    """Conditions for dropping a row, by reason."""
    numbers = [fact for fact, encoding in RISK_FACTS.items() if encoding is None]
    return {
        f"{mapping.label!r} says nothing": lambda rows: rows["churned"].isna(),
        "tenure is no whole number": lambda rows: rows["tenure"].mod(1).gt(0),
        **{f"{fact} is out of range": _out_of_range(fact) for fact in numbers},
        "no id": lambda rows: rows["customer_id"].isna(),
        "an id of an earlier row": lambda rows: rows["customer_id"].duplicated(),
    }


def _read_table(data: Path) -> pd.DataFrame:
    try:
        if data.suffix == ".parquet":
            frame = pd.read_parquet(data).reset_index(drop=True).rename(columns=str)
            return frame.convert_dtypes()  # integers with missing values come as floats
        opened = gzip.open if data.suffix == ".gz" else open
        with opened(data, "rt", encoding="utf-8-sig") as file:
            # csv.Sniffer takes the space in a column's name for a delimiter
            delimiter = max(",;\t|", key=file.readline().count)
        with catch_warnings(action="error", category=pd.errors.ParserWarning):  # cells beyond the header would be lost
            return pd.read_csv(
                data, sep=delimiter, index_col=False, dtype="str", encoding="utf-8-sig", keep_default_na=False
            )
    except pd.errors.ParserWarning as error:
        raise SourceError(
            f"{data} has rows longer than its header: name every column, row numbers too, "
            f"and end no row with {delimiter!r}."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{data} cannot be read: it is not UTF-8. Save it as UTF-8.") from error
    except (OSError, ValueError, EOFError, zlib.error) as error:  # pandas' and Arrow's own errors are among them
        raise SourceError(f"{data} cannot be read: {error}") from error


def _out_of_range(fact: str) -> RowCondition:
    """A condition: the fact has a number that an event could not have."""
    annotation: Any = CustomerFacts.model_fields[fact].annotation
    field = TypeAdapter(annotation)

    def is_invalid(value: float) -> bool:
        try:
            return field.validate_python(value) is None
        except ValidationError:
            return True

    return lambda rows: rows[fact].map(is_invalid, na_action="ignore").eq(True)


def _check_size(churned: "pd.Series[bool]", dropped: dict[str, int], data: Path) -> None:
    """Raises `SourceError` if there are too few customers to train on."""
    positives, size = int(churned.sum()), len(churned)
    if size < MIN_CUSTOMERS or min(positives, size - positives) < MIN_PER_CLASS:
        reasons = ", ".join(f"{count:,} because {reason}" for reason, count in dropped.items())
        raise SourceError(
            f"{data.name}: {size:,} customers, of whom {positives:,} left. At least {MIN_CUSTOMERS} are needed, and "
            f"{MIN_PER_CLASS} of each class, for five folds and a calibration."
            f"{f' Dropped: {reasons}.' if reasons else ''}"
        )

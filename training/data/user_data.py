"""Your own customers, from a CSV or Parquet file with your columns, as the frame that Telco's customers have."""

import gzip
import zlib
from collections import Counter
from collections.abc import Callable
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
from training.data.mapping import nearest
from training.data.mapping import read as read_mapping
from training.data.sources import SourceError
from training.data.table import sift

ROWS, EACH = 500, 50
"""The least to learn from: five folds, and in each a calibrator, need customers of both kinds."""


@dataclass(frozen=True)
class UserData:
    rows: pd.DataFrame
    """`position`, `customer_id`, each fact of `features.RISK_FACTS` and `churned`."""
    missing: tuple[str, ...]
    """Facts that no column is mapped to: not known of anyone."""
    ignored: tuple[str, ...]
    """Columns of the file that are not used."""
    unknown: dict[str, int]
    """By fact, how many values are no category the scorer knows: they are missing."""
    examples: dict[str, tuple[str, ...]]
    """By fact, up to three of these values, the most frequent first, quoted: for the user's eyes, not for the card."""
    dropped: dict[str, int]
    """Rows left out, by why."""
    sha256: str
    """Of the file."""


def read(data: Path, mapping: Path) -> UserData:
    """Raises `SourceError`: the file cannot be read or lacks a column, its label is none, it has too few rows."""
    words, raw = read_mapping(mapping), _table(data)
    for column in words.columns:
        if column not in raw.columns:
            raise SourceError(f"{data.name} has no column {column!r}, which is mapped{nearest(column, raw.columns)}")
    unknown: dict[str, Counter[str]] = {}
    rows = pd.DataFrame({"position": range(len(raw))})
    rows["customer_id"] = columns.ids(raw[words.id]) if words.id else rows["position"].astype("str")
    for fact, encoding in RISK_FACTS.items():
        if fact not in words.facts:
            rows[fact] = pd.Series(nan, rows.index, dtype="float64" if encoding is None else "str")
        elif encoding is None:
            rows[fact] = columns.numbers(raw[words.facts[fact]], fact, data)
        else:
            rows[fact] = columns.categories(raw[words.facts[fact]], fact, words.values.get(fact, {}), data, unknown)
    rows["churned"] = columns.label(raw[words.label], words, data)
    sifted = sift(
        rows,
        {
            f"{words.label!r} says nothing": lambda rows: rows["churned"].isna(),
            "tenure is no whole number": lambda rows: rows["tenure"].mod(1).gt(0),
            **{
                f"{fact} is out of range": _out_of_range(fact)
                for fact, encoding in RISK_FACTS.items()
                if encoding is None
            },
            "no id": lambda rows: rows["customer_id"].isna(),
            "an id of an earlier row": lambda rows: rows["customer_id"].duplicated(),
        },
    )
    kept = sifted.rows.astype({"churned": "bool"})
    _enough(kept["churned"], sifted.dropped, data)
    return UserData(
        rows=kept,
        missing=tuple(fact for fact in RISK_FACTS if fact not in words.facts),
        ignored=tuple(str(column) for column in raw.columns if column not in words.columns),
        unknown={fact: values.total() for fact, values in unknown.items()},
        examples={fact: tuple(repr(value) for value, _ in values.most_common(3)) for fact, values in unknown.items()},
        dropped=sifted.dropped,
        sha256=sha256(data.read_bytes()).hexdigest(),
    )


def _table(data: Path) -> pd.DataFrame:
    try:
        if data.suffix == ".parquet":
            frame = pd.read_parquet(data).reset_index(drop=True).rename(columns=str)
            return frame.convert_dtypes()  # 1.0 beside a blank is 1
        opened = gzip.open if data.suffix == ".gz" else open
        with opened(data, "rt", encoding="utf-8-sig") as file:
            # sniffers take the space in a column's name for a delimiter
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


def _out_of_range(fact: str) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    """Of a number that is known, and that no event could carry."""
    kind: Any = CustomerFacts.model_fields[fact].annotation
    carried = TypeAdapter(kind)

    def wrong(value: float) -> bool:
        try:
            return carried.validate_python(value) is None
        except ValidationError:
            return True

    return lambda rows: rows[fact].map(wrong, na_action="ignore").eq(True)


def _enough(churned: "pd.Series[bool]", dropped: dict[str, int], data: Path) -> None:
    """Raises `SourceError` where there is too little to learn from."""
    left, all_ = int(churned.sum()), len(churned)
    if all_ < ROWS or min(left, all_ - left) < EACH:
        lost = ", ".join(f"{count:,} because {reason}" for reason, count in dropped.items())
        raise SourceError(
            f"{data.name}: {all_:,} customers, of whom {left:,} left. At least {ROWS} are needed, and {EACH} of either "
            f"kind, for five folds and a calibration.{f' Dropped: {lost}.' if lost else ''}"
        )

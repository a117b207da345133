"""A user's own customers, from a table with the user's columns (`read_table`), in the same format as Telco's."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd

from services.scorer.features import RISK_FACTS
from shared.messages import FACTS
from training.data import columns
from training.data.leaks import leaks
from training.data.mapping import ColumnMapping, read_mapping, suggestion
from training.data.read_table import Table, checksum, read_table
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
    """Number of values in these rows that are no number, or no category of the scorer, by fact; they are missing."""
    examples: dict[str, tuple[str, ...]]
    """The most frequent of these values, quoted, by fact: shown to the user, but not in the model card."""
    dropped: dict[str, int]
    """Number of rows left out, by reason."""
    sha256: str
    """sha256 of the file."""
    first_unknown: dict[str, str] = field(default_factory=dict)
    """Where the first of these values is, such as `line 3`, by fact."""
    unused_values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that the mapping translates and no row has, by fact."""
    leaks: dict[str, float] = field(default_factory=dict)
    """AUC of columns that alone tell who left, and that the model does not use."""
    notes: tuple[str, ...] = ()
    """What was guessed about the file, and left out of it, as sentences without a point."""


def read_user_data(data: Path, mapping_file: Path) -> UserData:
    """Read and check the customers.

    Raises `SourceError` if the table lacks a column, a valid label or enough rows, or has a fact that only who left
    can have.
    """
    mapping = read_mapping(mapping_file)
    table = read_table(data, keep=mapping.columns)
    raw = table.frame
    for column in mapping.columns:
        if column not in raw.columns:
            raise SourceError(f"{data.name} has no column {column!r}, which is mapped{suggestion(column, raw.columns)}")
    unknown: dict[str, pd.Series[Any]] = {}
    cleaned = drop_rows(_convert(table, mapping, data, unknown), _conditions(mapping))
    rows = cleaned.rows.astype({"churned": "bool"})
    _check_size(rows["churned"], cleaned.dropped, data)
    known_rows = raw.loc[rows["position"]]
    leaking = leaks(known_rows, rows["churned"], [column for column in raw if column != mapping.label])
    _check_leaks(leaking, mapping, data, mapping_file)
    kept = {fact: values[values.index.isin(rows["position"])] for fact, values in unknown.items()}
    return UserData(
        rows=rows,
        missing=tuple(fact for fact in RISK_FACTS if fact not in mapping.facts),
        ignored=tuple(str(column) for column in raw.columns if column not in mapping.columns),
        unknown={fact: len(values) for fact, values in kept.items() if len(values)},
        examples={fact: _examples(values) for fact, values in kept.items() if len(values)},
        first_unknown={fact: table.places[values.index[0]] for fact, values in kept.items() if len(values)},
        dropped=cleaned.dropped,
        sha256=checksum(data),
        unused_values=columns.unused_values(raw, mapping),
        leaks={column: auc for column, auc in leaking.items() if column not in mapping.facts.values()},
        notes=table.notes,
    )


def _examples(values: "pd.Series[Any]") -> tuple[str, ...]:
    return tuple(repr(value) for value, _ in Counter(map(str, values)).most_common(MAX_EXAMPLES))


def _convert(table: Table, mapping: ColumnMapping, data: Path, unknown: dict[str, "pd.Series[Any]"]) -> pd.DataFrame:
    """All rows as numbers and categories of the scorer; values that are neither are collected in `unknown`."""
    raw = table.frame
    rows = pd.DataFrame({"position": range(len(raw))})
    rows["customer_id"] = columns.ids(raw[mapping.id]) if mapping.id else rows["position"].astype("str")
    for fact, encoding in RISK_FACTS.items():
        if fact not in mapping.facts:
            rows[fact] = pd.Series(nan, rows.index, dtype="float64" if encoding is None else "str")
        elif encoding is None:
            rows[fact] = columns.numbers(raw[mapping.facts[fact]], fact, data, table.places, unknown)
        else:
            mapped = mapping.values.get(fact, {})
            rows[fact] = columns.categories(raw[mapping.facts[fact]], fact, mapped, data, unknown)
    rows["churned"] = columns.label(raw[mapping.label], mapping, data)
    return rows


def _check_leaks(leaking: Mapping[str, float], mapping: ColumnMapping, data: Path, mapping_file: Path) -> None:
    """Raises `SourceError` if a fact is one that alone tells who left."""
    found = [column for column in mapping.facts.values() if column in leaking and column not in mapping.known_before]
    if found:
        columns_found = ", ".join(f"{column!r} (AUC {leaking[column]:.3f})" for column in found)
        raise SourceError(
            f"{data.name}: each of these columns alone tells who left, as one does that is filled in when a customer "
            f"leaves: {columns_found}. Take them out of [facts]; or, if all of it was known before they left, add "
            f"known_before = {found} above [facts] in {mapping_file.name}."
        )


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


def _out_of_range(fact: str) -> RowCondition:
    """A condition: the fact has a number that an event could not have."""

    def is_invalid(value: float) -> bool:
        try:
            FACTS[fact](value)
        except ValueError:
            return True
        return False

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

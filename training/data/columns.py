"""Columns of a user's file, converted to the scorer's numbers and categories."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from services.scorer.features import RISK_FACTS, YES_NO
from training.data.mapping import ColumnMapping
from training.data.sources import SourceError

YES_NO_SPELLINGS = {"true": "Yes", "1": "Yes", "false": "No", "0": "No"}
"""Spellings of yes and no that exports use; events may use them, too."""
MISSING_SPELLINGS = {"", "-", "na", "n/a", "#n/a", "nan", "null", "none"}
"""Spellings of a missing value that exports use, unless the mapping or the scorer knows them as a category."""
MAX_WRONG_SHARE = 0.5
"""Share of a column's values above which they are not taken as missing where they are no numbers."""
MAX_LISTED = 5
"""Values listed in an error message."""


def _text(value: object) -> str:
    return str(value).strip()


def _texts(column: "pd.Series[Any]") -> "pd.Series[str]":
    """The values as texts without outer white space; missing values stay missing."""
    return column.map(_text, na_action="ignore").astype("str")


def ids(column: "pd.Series[Any]") -> "pd.Series[str]":
    """The values as ids; blank ones are missing."""
    texts = _texts(column)
    return texts.mask(texts.str.casefold().isin(MISSING_SPELLINGS))


def numbers(
    column: "pd.Series[Any]", fact: str, data: Path, places: Sequence[str], unknown: dict[str, "pd.Series[Any]"]
) -> "pd.Series[float]":
    """The values as numbers; those that are none become missing, and are collected in `unknown`.

    Raises `SourceError` with their count and the first of them if they are most of the values, which is a mistake in
    the mapping.
    """
    column = column.mask(_texts(column).str.casefold().isin(MISSING_SPELLINGS))
    values = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = column.notna() & (values.isna() | (column.dtype.kind in "bmM"))  # pandas converts booleans and dates
    if wrong.any():
        unknown[fact] = column[wrong]
    if wrong.sum() > MAX_WRONG_SHARE * column.count():
        row = int(wrong.idxmax())
        kind = "text" if isinstance(column[row], str) else type(column[row]).__name__.lower()
        with_point = column[wrong].astype("str").str.replace(",", ".")
        decimal_comma = pd.to_numeric(with_point, errors="coerce").notna().any()
        raise SourceError(
            f"{data.name}: column {column.name!r} is mapped to {fact}, a number, but {wrong.sum():,} of its "
            f"{column.count():,} values are none; {places[row]} holds the {kind} {str(column[row])!r}."
            f"{' Write decimals with a point, not a comma.' if decimal_comma else ''}"
        )
    return values


def categories(
    column: "pd.Series[Any]", fact: str, mapped: dict[str, str], data: Path, unknown: dict[str, "pd.Series[Any]"]
) -> "pd.Series[str]":
    """The values as categories in the scorer's spelling, which `mapped` gives for the user's values.

    Values that are no known category become missing, and are collected in `unknown` in the file's spelling. Raises
    `SourceError` if no value is known, which is a mistake in the mapping.
    """
    known = {name.casefold(): name for name in RISK_FACTS[fact] or ()}
    known |= YES_NO_SPELLINGS if RISK_FACTS[fact] is YES_NO else {}
    known |= {_text(value).casefold(): category for value, category in mapped.items()}
    texts = _texts(column).str.casefold()
    categories = texts.map(known).astype("str")
    is_unknown = texts.notna() & categories.isna() & ~texts.isin(MISSING_SPELLINGS)
    if is_unknown.any():
        unknown[fact] = column[is_unknown]
        if categories.isna().all():
            raise SourceError(
                f"{data.name}: column {column.name!r} is mapped to {fact}, but holds only "
                f"{_quoted(map(str, unknown[fact]))}. The scorer knows {', '.join(map(repr, RISK_FACTS[fact] or ()))}: "
                f"say under [values.{fact}] which is which."
            )
    return categories


def unused_values(frame: pd.DataFrame, mapping: ColumnMapping) -> dict[str, tuple[str, ...]]:
    """The user's values that the mapping translates and no row has, by fact."""
    unused = {}
    for fact, mapped in mapping.values.items():
        present = set(_texts(frame[mapping.facts[fact]]).str.casefold().dropna())
        unused[fact] = tuple(value for value in mapped if _text(value).casefold() not in present)
    return {fact: values for fact, values in unused.items() if values}


def label(column: "pd.Series[Any]", mapping: ColumnMapping, data: Path) -> "pd.Series[bool]":
    """Whether the customer has churned; missing where blank. Raises `SourceError` unless there are two classes."""
    texts, churned = _texts(column).str.casefold(), {_text(value).casefold() for value in mapping.churned}
    texts = texts.mask(texts.isin(MISSING_SPELLINGS - churned))
    values = set(texts.dropna())
    name = f"{data.name}: column {mapping.label!r}"
    if not values & churned:
        raise SourceError(
            f"{name} never says {_quoted(churned)}, which means churned; it says {_quoted(values) or 'nothing'}."
        )
    if not (stayed := values - churned):
        raise SourceError(f"{name} says of every customer that they churned: there is nothing to tell apart.")
    if len(stayed) > 1:
        raise SourceError(
            f"{name} has more than two values: besides those that mean churned there may be only one of "
            f"{_quoted(stayed)}."
        )
    return texts.isin(churned).astype("boolean").mask(texts.isna())


def _quoted(values: Iterable[str]) -> str:
    ordered = sorted(set(values))
    more = f" and {len(ordered) - MAX_LISTED} more" if len(ordered) > MAX_LISTED else ""
    return ", ".join(map(repr, ordered[:MAX_LISTED])) + more

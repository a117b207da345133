"""Columns of a user's file, converted to the scorer's numbers and categories."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from services.scorer.features import RISK_FACTS, YES_NO
from shared import values
from training.data.mapping import ColumnMapping
from training.data.sources import SourceError

MAX_WRONG_SHARE = 0.5
"""Share of a column's values above which they are not taken as missing where they are no numbers."""
MAX_LISTED = 5
"""Values listed in an error message."""


def _text(value: object) -> str:
    return str(value).strip()


def _texts(column: "pd.Series[Any]") -> "pd.Series[str]":
    """The values as texts without outer white space; missing values stay missing."""
    return column.map(_text, na_action="ignore").astype("str")


def _read_each(column: "pd.Series[Any]", read: Callable[[Any], Any]) -> "pd.Series[Any]":
    """The values as `read` reads them, once for each that is different; None where missing, or it raises ValueError."""
    results = {}
    for cell in column.dropna().unique():
        with suppress(ValueError):
            results[cell] = read(cell.item() if isinstance(cell, np.generic) else cell)
    cells = zip(column, column.notna(), strict=True)
    return pd.Series([results.get(cell) if known else None for cell, known in cells], column.index, dtype="object")


def are_unknown(column: "pd.Series[Any]") -> "pd.Series[bool]":
    """Whether each value is missing, or says that it is unknown."""
    return column.isna() | _read_each(column, values.is_unknown).eq(True)


def ids(column: "pd.Series[Any]") -> "pd.Series[str]":
    """The values as ids; those that are unknown, or that no message could have, are missing."""
    return _read_each(column.mask(are_unknown(column)), values.identifier).astype("str")


def read_numbers(column: "pd.Series[Any]") -> "pd.Series[float]":
    """The values as numbers, in the spellings that events may use; missing where they are none, or unknown."""
    if column.dtype.kind in "bmM":  # booleans and dates, which pandas would convert
        return pd.Series(nan, column.index, dtype="float64")
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    others = column[numbers.isna() & ~are_unknown(column)]
    return numbers.fillna(_read_each(others, _parsed).astype("float64"))


def _parsed(cell: Any) -> float | None:
    return values.parse_number(cell) if isinstance(cell, str) else None


def numbers(
    column: "pd.Series[Any]", fact: str, data: Path, places: Sequence[str], unknown: dict[str, "pd.Series[Any]"]
) -> "pd.Series[float]":
    """The values as numbers; those that are none become missing, and are collected in `unknown`.

    Raises `SourceError` with their count and the first of them if they are most of the values, which is a mistake in
    the mapping, and for a number that may mean two.
    """
    column = column.mask(are_unknown(column))
    numbers = read_numbers(column)
    wrong = column.notna() & numbers.isna()
    if wrong.any():
        unknown[fact] = column[wrong]
        _ask_about_thousands(column[wrong], fact, data, places)
    if wrong.sum() > MAX_WRONG_SHARE * column.count():
        row = int(wrong.idxmax())
        kind = "text" if isinstance(column[row], str) else type(column[row]).__name__.lower()
        raise SourceError(
            f"{data.name}: column {column.name!r} is mapped to {fact}, a number, but {wrong.sum():,} of its "
            f"{column.count():,} values are none; {places[row]} holds the {kind} {str(column[row])!r}."
        )
    return numbers


def _ask_about_thousands(wrong: "pd.Series[Any]", fact: str, data: Path, places: Sequence[str]) -> None:
    """Raises `SourceError` if one of the values is a number with a comma or a point of unclear meaning."""
    for row, cell in wrong.drop_duplicates().items():
        try:
            values.parse_number(str(cell))
        except values.AmbiguousNumberError as error:
            raise SourceError(
                f"{data.name}: column {wrong.name!r} is mapped to {fact}, but {places[row]} holds {str(cell)!r}: "
                f"{error}. Write all of the column without signs between thousands, and decimals with a point."
            ) from error
        except ValueError:
            pass


def categories(
    column: "pd.Series[Any]", fact: str, mapped: dict[str, str], data: Path, unknown: dict[str, "pd.Series[Any]"]
) -> "pd.Series[str]":
    """The values as categories in the scorer's spelling, which `mapped` gives for the user's values.

    Values that are no known category become missing, and are collected in `unknown` in the file's spelling. Raises
    `SourceError` if no value is known, which is a mistake in the mapping.
    """
    known = {name.casefold(): name for name in RISK_FACTS[fact] or ()}
    known |= {_text(value).casefold(): category for value, category in mapped.items()}

    def read(cell: Any) -> str | None:
        if (category := known.get(_text(cell).casefold())) is None and RISK_FACTS[fact] is YES_NO:
            category = values.yes_no(cell)
        return category if category in known.values() else None

    categories = _read_each(column, read).astype("str")
    is_unknown = categories.isna() & ~are_unknown(column)
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
    return {fact: names for fact, names in unused.items() if names}


def label(column: "pd.Series[Any]", mapping: ColumnMapping, data: Path) -> "pd.Series[bool]":
    """Whether the customer has churned; missing where blank. Raises `SourceError` unless there are two classes."""
    churned = {_plain(value) for value in mapping.churned}
    texts = column.map(_plain, na_action="ignore").astype("str")
    texts = texts.mask(are_unknown(column) & ~texts.isin(churned))
    present = set(texts.dropna())
    name = f"{data.name}: column {mapping.label!r}"
    if not present & churned:
        raise SourceError(
            f"{name} never says {_quoted(churned)}, which means churned; it says {_quoted(present) or 'nothing'}."
        )
    if not (stayed := present - churned):
        raise SourceError(f"{name} says of every customer that they churned: there is nothing to tell apart.")
    if len(stayed) > 1:
        raise SourceError(
            f"{name} has more than two values: besides those that mean churned there may be only one of "
            f"{_quoted(stayed)}."
        )
    return texts.isin(churned).astype("boolean").mask(texts.isna())


def _plain(value: object) -> str:
    """The value in lower case; a number without decimals that are 0, so that 1, 1.0 and "1.0" are the same."""
    text = _text(value).casefold()
    try:
        return str(values.digits(values.parse_number(text)))
    except ValueError:
        return text


def _quoted(texts: Iterable[str]) -> str:
    ordered = sorted(set(texts))
    more = f" and {len(ordered) - MAX_LISTED} more" if len(ordered) > MAX_LISTED else ""
    return ", ".join(map(repr, ordered[:MAX_LISTED])) + more

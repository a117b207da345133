"""One column of a user's file at a time, in the scorer's words."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from services.scorer.features import RISK_FACTS, YES_NO
from training.data.mapping import Mapping
from training.data.sources import SourceError

BITS = {"true": "Yes", "1": "Yes", "false": "No", "0": "No"}
"""What exports write for yes and no, as events may too."""
BLANK = {"", "-", "na", "n/a", "#n/a", "nan", "null", "none"}
"""What exports write for a value that is missing, unless the mapping or the scorer knows it."""


def _text(value: object) -> str:
    return str(value).strip()


def _texts(given: "pd.Series[Any]") -> "pd.Series[str]":
    """Without outer white space; what is missing stays so."""
    return given.map(_text, na_action="ignore").astype("str")


def ids(given: "pd.Series[Any]") -> "pd.Series[str]":
    """Missing where blank, in whatever words."""
    texts = _texts(given)
    return texts.mask(texts.str.casefold().isin(BLANK))


def numbers(given: "pd.Series[Any]", fact: str, data: Path) -> "pd.Series[float]":
    """Raises `SourceError` where values are no numbers, with how many and the first."""
    given = given.mask(_texts(given).str.casefold().isin(BLANK))
    found = pd.to_numeric(given, errors="coerce").astype("float64")
    wrong = given.notna() & (found.isna() | (given.dtype.kind in "bmM"))  # pandas counts truth and time as numbers
    if wrong.any():
        row = int(wrong.idxmax())
        kind = "text" if isinstance(given[row], str) else type(given[row]).__name__.lower()
        comma = pd.to_numeric(given[wrong].astype("str").str.replace(",", "."), errors="coerce").notna().any()
        raise SourceError(
            f"{data.name}: column {given.name!r} is mapped to {fact}, a number, but {wrong.sum():,} of its "
            f"{given.count():,} values are none; row {row + 1} holds the {kind} {str(given[row])!r}."
            f"{' Write decimals with a point, not a comma.' if comma else ''}"
        )
    return found


def categories(
    given: "pd.Series[Any]", fact: str, words: dict[str, str], data: Path, unknown: dict[str, Counter[str]]
) -> "pd.Series[str]":
    """In the scorer's spelling; what it does not know is missing, and counted in `unseen` as the file has it.

    Raises `SourceError` where it knows none of the values: that is a mistake in the mapping.
    """
    known = {name.casefold(): name for name in RISK_FACTS[fact] or ()} | (BITS if RISK_FACTS[fact] is YES_NO else {})
    known |= {_text(theirs).casefold(): ours for theirs, ours in words.items()}
    texts = _texts(given).str.casefold()
    ours = texts.map(known).astype("str")
    examples = texts.notna() & ours.isna() & ~texts.isin(BLANK)
    if examples.any():
        unknown[fact] = Counter(map(str, given[examples]))
        if ours.isna().all():
            raise SourceError(
                f"{data.name}: column {given.name!r} is mapped to {fact}, but holds only {_some(set(unknown[fact]))}. "
                f"The scorer knows {', '.join(map(repr, RISK_FACTS[fact] or ()))}: "
                f"say under [values.{fact}] which is which."
            )
    return ours


def label(given: "pd.Series[Any]", words: Mapping, data: Path) -> "pd.Series[bool]":
    """Missing where nothing is said. Raises `SourceError` where the column does not tell two kinds apart."""
    texts, left = _texts(given).str.casefold(), {_text(value).casefold() for value in words.churned}
    texts = texts.mask(texts.isin(BLANK - left))
    found = set(texts.dropna())
    said = f"{data.name}: column {words.label!r}"
    if not found & left:
        raise SourceError(f"{said} never says {_some(left)}, which means churned; it says {_some(found) or 'nothing'}.")
    if not (stayed := found - left):
        raise SourceError(f"{said} says of everyone that they left: there is nothing to tell apart.")
    if len(stayed) > 1:
        raise SourceError(f"{said} says more than who left and who stayed: of the latter only one of {_some(stayed)}.")
    return texts.isin(left).astype("boolean").mask(texts.isna())


def _some(values: set[str]) -> str:
    return ", ".join(map(repr, sorted(values)[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")

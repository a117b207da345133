"""Your own customers, from a CSV or Parquet file with your columns, as the frame that Telco's customers have."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from services.scorer.features import RISK, YES_NO
from shared.messages import Facts
from training.data.mapping import Mapping, nearest
from training.data.mapping import read as read_mapping
from training.data.sources import SourceError
from training.data.table import sift

ROWS, EACH = 500, 50
"""The least to learn from: five folds, and in each a calibrator, need customers of both kinds."""
BITS = {"true": "Yes", "1": "Yes", "false": "No", "0": "No"}
"""What exports write for yes and no, as events may too."""
BLANK = {"", "na", "n/a", "nan", "null", "none"}
"""What exports write for a value that is missing, unless the mapping or the scorer knows it."""


@dataclass(frozen=True)
class Own:
    rows: pd.DataFrame
    """`position`, `customer_id`, each fact of `features.RISK` and `churned`."""
    missing: tuple[str, ...]
    """Facts that no column is mapped to: not known of anyone."""
    ignored: tuple[str, ...]
    """Columns of the file that are not used."""
    unseen: dict[str, int]
    """By fact, values that are no category the scorer knows: they are missing."""
    dropped: dict[str, int]
    """Rows left out, by why."""
    sha256: str
    """Of the file."""


def read(data: Path, mapping: Path) -> Own:
    """Raises `SourceError`: the file cannot be read or lacks a column, its label is none, it has too few rows."""
    words, raw = read_mapping(mapping), _table(data)
    for column in words.columns:
        if column not in raw.columns:
            raise SourceError(f"{data.name} has no column {column!r}, which is mapped{nearest(column, raw.columns)}")
    unseen: Counter[str] = Counter()
    rows = pd.DataFrame({"position": range(len(raw))})
    rows["customer_id"] = _texts(raw[words.id]).replace("", nan) if words.id else rows["position"].astype("str")
    for fact, encoding in RISK.items():
        if fact not in words.facts:
            rows[fact] = pd.Series(nan, rows.index, dtype="float64" if encoding is None else "str")
        elif encoding is None:
            rows[fact] = _numbers(raw[words.facts[fact]], fact, data)
        else:
            rows[fact] = _categories(raw[words.facts[fact]], fact, words.values.get(fact, {}), unseen)
    rows["churned"] = _label(raw[words.label], words, data)
    sifted = sift(
        rows,
        {
            f"{words.label} says nothing": lambda rows: rows["churned"].isna(),
            **{f"{fact} is out of range": _out_of_range(fact) for fact, encoding in RISK.items() if encoding is None},
            "no id": lambda rows: rows["customer_id"].isna(),
            "an id of an earlier row": lambda rows: rows["customer_id"].duplicated(),
        },
    )
    kept = sifted.rows.astype({"churned": "bool"})
    _enough(kept["churned"], sifted.dropped, data)
    return Own(
        rows=kept,
        missing=tuple(fact for fact in RISK if fact not in words.facts),
        ignored=tuple(str(column) for column in raw.columns if column not in words.columns),
        unseen=dict(unseen),
        dropped=sifted.dropped,
        sha256=sha256(data.read_bytes()).hexdigest(),
    )


def _table(data: Path) -> pd.DataFrame:
    try:
        if data.suffix == ".parquet":
            return pd.read_parquet(data).reset_index(drop=True).convert_dtypes()  # 1.0 beside a blank is 1
        with data.open(encoding="utf-8-sig") as file:  # sniffers take the space in a column's name for a delimiter
            delimiter = max(",;\t|", key=file.readline().count)
        return pd.read_csv(data, sep=delimiter, dtype="str", encoding="utf-8-sig", keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' and Arrow's own errors are among them
        raise SourceError(f"{data} cannot be read: {error}") from error


def _text(value: object) -> str:
    return str(value).strip()


def _texts(given: "pd.Series[Any]") -> "pd.Series[str]":
    """Without outer white space; what is missing stays so."""
    return given.map(_text, na_action="ignore").astype("str")


def _numbers(given: "pd.Series[Any]", fact: str, data: Path) -> "pd.Series[float]":
    """Raises `SourceError` at the first value that is no number."""
    given = given.mask(_texts(given).str.casefold().isin(BLANK))
    numbers = pd.to_numeric(given, errors="coerce").astype("float64")
    wrong = given.notna() & numbers.isna()
    if wrong.any():
        row = int(wrong.idxmax())
        raise SourceError(
            f"{data.name}: column {given.name!r} is mapped to {fact}, a number, "
            f"but row {row + 1} holds {given[row]!r}, a {type(given[row]).__name__}."
        )
    return numbers


def _categories(given: "pd.Series[Any]", fact: str, words: dict[str, str], unseen: Counter[str]) -> "pd.Series[str]":
    """In the scorer's spelling; what it does not know is missing, and counted in `unseen`."""
    known = {name.casefold(): name for name in RISK[fact] or ()} | (BITS if RISK[fact] is YES_NO else {})
    known |= {_text(theirs).casefold(): ours for theirs, ours in words.items()}
    texts = _texts(given).str.casefold()
    ours = texts.map(known).astype("str")
    if strange := int((texts.notna() & ours.isna() & ~texts.isin(BLANK)).sum()):
        unseen[fact] = strange
    return ours


def _label(given: "pd.Series[Any]", words: Mapping, data: Path) -> "pd.Series[bool]":
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


def _out_of_range(fact: str) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    """Of a number that is known, and that no event could carry."""
    kind: Any = Facts.model_fields[fact].annotation
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

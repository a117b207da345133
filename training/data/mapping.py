"""A user's mapping of their columns and values to those of the scorer: one TOML file.

label = "left_us"                     # the column that tells who churned
churned = "yes"                       # its value for churned, or a list of values; one other value means stayed
id = "account"                        # optional

known_before = ["notice"]             # optional: columns that predict who left almost by themselves, and rightly

[facts]                               # our name = their column
tenure = "months"
contract = "agreement"

[values.contract]                     # their value = our value
rolling = "Month-to-month"
"""

import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from services.scorer.features import RISK_FACTS
from training.data.sources import SourceError


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


class ColumnMapping(BaseModel):
    """Content of the mapping file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    churned: Annotated[list[str | bool | int | float], BeforeValidator(_as_list)]
    id: str | None = None
    facts: dict[str, str]
    values: dict[str, dict[str, str]] = {}
    known_before: list[str] = []
    """Columns that were known before the customer left, although they almost tell who did."""

    @property
    def columns(self) -> list[str]:
        """The columns of the user's file that are read."""
        return [self.label, *([self.id] if self.id else []), *self.facts.values()]


def read_mapping(file: Path) -> ColumnMapping:
    """Read and check the mapping. Raises `SourceError`, which names the fault and suggests a correction."""
    try:
        mapping = ColumnMapping.model_validate(tomllib.loads(file.read_text("utf-8-sig")))
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        failures = "; ".join(map(_failure, error.errors()))
        raise SourceError(f"{file.name} is no mapping: {failures}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise SourceError(
            f"{file.name} is not TOML: {error}. MAPPING is the file that maps columns, DATA the table."
        ) from error
    _check(mapping, file)
    return mapping


def _failure(detail: ErrorDetails) -> str:
    """What is wrong with a key of the file; one that is not known is named with the closest that is."""
    close = get_close_matches(str(detail["loc"][0]), ColumnMapping.model_fields, n=1)
    hint = f" (did you mean {close[0]!r}?)" if detail["type"] == "extra_forbidden" and close else ""
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg'].lower()}{hint}"


def _check(mapping: ColumnMapping, file: Path) -> None:
    """Raises `SourceError` if the mapping does not fit the scorer's facts."""
    for name, content in (("churned", mapping.churned), ("[facts]", mapping.facts)):
        if not content:
            raise SourceError(f"{file.name}: {name} is empty.")
    named = {
        "label": mapping.label,
        "id": mapping.id,
        **{f"facts.{fact}": name for fact, name in mapping.facts.items()},
    }
    for key, column in named.items():
        if column is not None and not column.strip():
            raise SourceError(f"{file.name}: {key} is empty: name a column of your table, or leave the line out.")
    for fact in [*mapping.facts, *mapping.values]:
        if fact not in RISK_FACTS:
            raise SourceError(f"{file.name}: {fact!r} is no fact that the scorer uses{suggestion(fact, RISK_FACTS)}")
    for fact, mapped in mapping.values.items():
        if fact not in mapping.facts:
            raise SourceError(f"{file.name} has values of {fact}, but [facts] names no column for it.")
        known = list(RISK_FACTS[fact] or [])
        for category in mapped.values():
            if category not in known:
                raise SourceError(f"{file.name}: the scorer knows no {fact} {category!r}{suggestion(category, known)}")
    if mapping.label in mapping.facts.values():
        raise SourceError(f"{file.name}: the label {mapping.label!r} is mapped to a fact: it would predict itself.")


def suggestion(name: str, known: Iterable[str]) -> str:
    """End of an error message: the closest known name, or all known names."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f". Did you mean {close[0]!r}?" if close else f". It may be: {', '.join(map(repr, names)) or 'none'}."

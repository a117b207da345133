"""A user's words for ours: one TOML file.

label = "left_us"                     # the column that says who left
churned = "yes"                       # what it says of them, or a list; one other value says that they stayed
id = "account"                        # optional

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

from services.scorer.features import RISK_FACTS
from training.data.sources import SourceError


class Mapping(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    churned: Annotated[list[str | bool | int | float], BeforeValidator(lambda v: v if isinstance(v, list) else [v])]
    id: str | None = None
    facts: dict[str, str]
    values: dict[str, dict[str, str]] = {}

    @property
    def columns(self) -> list[str]:
        """Of the user's file, as far as they are read."""
        return [self.label, *([self.id] if self.id else []), *self.facts.values()]


def read(file: Path) -> Mapping:
    """Raises `SourceError`, saying what is wrong and what may have been meant."""
    try:
        mapping = Mapping.model_validate(tomllib.loads(file.read_text("utf-8-sig")))
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors())
        raise SourceError(f"{file.name} is no mapping: {said}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise SourceError(f"{file.name} is not TOML: {error}") from error
    for name, given in (("churned", mapping.churned), ("[facts]", mapping.facts)):
        if not given:
            raise SourceError(f"{file.name}: {name} is empty.")
    for fact in [*mapping.facts, *mapping.values]:
        if fact not in RISK_FACTS:
            raise SourceError(f"{file.name}: {fact!r} is no fact that the scorer uses{nearest(fact, RISK_FACTS)}")
    for fact, words in mapping.values.items():
        if fact not in mapping.facts:
            raise SourceError(f"{file.name} has values of {fact}, but [facts] names no column for it.")
        for ours in words.values():
            if ours not in (known := list(RISK_FACTS[fact] or [])):
                raise SourceError(f"{file.name}: the scorer knows no {fact} {ours!r}{nearest(ours, known)}")
    if mapping.label in mapping.facts.values():
        raise SourceError(f"{file.name}: the label {mapping.label!r} is mapped to a fact: it would predict itself.")
    return mapping


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that suggests what was meant."""
    words = list(known)
    close = get_close_matches(word, words, n=1)
    return f". Did you mean {close[0]!r}?" if close else f". It may be: {', '.join(map(repr, words)) or 'none'}."

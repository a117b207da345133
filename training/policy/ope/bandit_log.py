"""A bandit log: the decisions of one policy with their propensities and rewards, and the table it is read from."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.data.columns import are_unknown, read_numbers
from training.data.read_table import read_table as read_user_table
from training.data.sources import SourceError

COLUMNS = ("action", "propensity", "reward")
BOOLEANS = {"true": "1", "false": "0"}
TARGET_COLUMN = re.compile(r"target_\d+")


class TableError(ValueError):
    """The table is not a bandit log; the message says why, with the first wrong row, counted from 0."""


@dataclass(frozen=True, eq=False)
class BanditLog:
    """Decisions of the logged policy and their rewards, checked. Raises `TableError`."""

    contexts: np.ndarray
    """Contexts [n, d]; NaN if unknown and the regressor accepts it."""
    actions: np.ndarray
    """Actions [n], whole numbers from 0."""
    propensities: np.ndarray
    """Probability [n] with which the logged policy drew the action; above 0."""
    rewards: np.ndarray
    """Rewards [n]."""
    names: tuple[str, ...] = ()
    """Names of the contexts, if they have any."""
    notes: tuple[str, ...] = ()
    """What was left out of the table that this was read from, or guessed about it."""

    def __post_init__(self) -> None:
        n = len(self.actions)
        shapes = [column.shape for column in (self.actions, self.propensities, self.rewards)]
        if not n or shapes != [(n,)] * 3 or self.contexts.ndim != 2 or len(self.contexts) != n:
            raise TableError(
                "contexts should be [n, d], and actions, propensities and rewards [n]:"
                f" they are {self.contexts.shape} and {shapes}"
            )
        check_rows("action", "a whole number from 0", self.actions, (self.actions >= 0) & (self.actions % 1 == 0))
        in_range = (self.propensities > 0) & (self.propensities <= 1)
        check_rows("propensity", "above 0, at most 1", self.propensities, in_range)
        check_rows("reward", "a finite number", self.rewards, np.isfinite(self.rewards))
        check_rows("context", "finite", self.contexts, ~np.isinf(self.contexts).any(axis=1))


def check_rows(name: str, expected: str, values: np.ndarray, valid: np.ndarray) -> None:
    """Raises `TableError` unless all of `valid` [n] are true; `values` are [n] or [n, k]."""
    if not valid.all():
        row = int(np.argmin(valid))
        raise TableError(
            f"{name} should be {expected}: row {row} has {values[row]}; {(~valid).sum():,} of {len(valid):,} rows"
            " are wrong"
        )


def read_table(file: Path) -> tuple[BanditLog, np.ndarray]:
    """The log, and the target policy's probabilities [n, k], of a table (`training.data.read_table`).

    Raises `TableError`, which names what is wrong.
    """
    try:
        table = read_user_table(file, keep=COLUMNS)
    except SourceError as error:
        raise TableError(str(error)) from error
    columns = {name: _numbers(column) for name, column in table.frame.items()}
    targets = [f"target_{action}" for action in range(sum(1 for name in columns if TARGET_COLUMN.fullmatch(name)))]
    required = [*COLUMNS, *(targets or ["target_0"])]
    for name in required:
        if name not in columns:
            raise TableError(f"{file.name} has no column {name!r} of numbers")
        if isinstance(wrong := columns[name], int):
            raise TableError(
                f"{file.name}: column {name!r} should be numbers, and {table.places[wrong]} has "
                f"{str(table.frame[name].iloc[wrong])!r}"
            )
    numbers = {name: column for name, column in columns.items() if not isinstance(column, int)}
    contexts = tuple(name for name in numbers if name not in required)
    text = [repr(name) for name in columns if name not in numbers]
    notes = (*table.notes, *([f"columns that are no numbers, and no contexts: {', '.join(text)}"] if text else []))
    action, propensity, reward = (numbers[name] for name in COLUMNS)
    rows = np.column_stack([numbers[name] for name in contexts]) if contexts else np.empty((len(reward), 0))
    log = BanditLog(rows, action, propensity, reward, contexts, notes)
    return log, np.column_stack([numbers[name] for name in targets])


def _numbers(column: "pd.Series[Any]") -> np.ndarray | int:
    """The column as numbers [n], NaN where blank; or the index of the first value that is no number and no boolean."""
    cells = column.astype("object").map(lambda value: BOOLEANS.get(str(value).strip().casefold(), value))
    values = read_numbers(cells)
    wrong = values.isna() & ~are_unknown(cells)
    return int(np.argmax(wrong)) if wrong.any() else values.to_numpy()

"""A bandit log: the decisions of one policy with their propensities and rewards, and the table it is read from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
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
    """The log, and the target policy's probabilities [n, k], of a CSV or Parquet file.

    Raises `TableError` and OSError.
    """
    if file.suffix not in READERS:
        raise TableError(f"{file.name} should end in one of {', '.join(READERS)}")
    try:
        frame = READERS[file.suffix](file).select_dtypes(["number", "bool"]).astype(float)
    except ValueError as error:  # pandas' and pyarrow's own are ValueErrors
        raise TableError(f"{file.name} cannot be read as a table: {error}") from error
    targets = [f"target_{action}" for action in range(sum(1 for name in frame if TARGET_COLUMN.fullmatch(str(name))))]
    for name in ["action", "propensity", "reward", *(targets or ["target_0"])]:
        if name not in frame:
            raise TableError(f"{file.name} has no column {name!r} of numbers")
    columns = [frame.pop(name).to_numpy() for name in ("action", "propensity", "reward")]
    target = np.column_stack([frame.pop(name) for name in targets])
    return BanditLog(frame.to_numpy(), *columns), target

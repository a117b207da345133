"""Decisions as they were logged, and the table that they are read from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
TARGET = re.compile(r"target_\d+")


class TableError(ValueError):
    """The table is none; the text says why, and the first row at fault, the top one being row 0."""


@dataclass(frozen=True, eq=False)
class Log:
    """Decisions of one policy and what they brought. Raises `TableError`."""

    contexts: np.ndarray
    """[n, d]; NaN is not known, where the regressor can take it."""
    actions: np.ndarray
    """[n], whole numbers from 0."""
    propensities: np.ndarray
    """[n], of the logged action, above 0."""
    rewards: np.ndarray
    """[n]"""

    def __post_init__(self) -> None:
        n = len(self.actions)
        shapes = [each.shape for each in (self.actions, self.propensities, self.rewards)]
        if not n or shapes != [(n,)] * 3 or self.contexts.ndim != 2 or len(self.contexts) != n:
            raise TableError(
                f"contexts are [n, d]; actions, propensities and rewards [n]: these are {self.contexts.shape}, {shapes}"
            )
        check("action", "a whole number from 0", self.actions, (self.actions >= 0) & (self.actions % 1 == 0))
        check("propensity", "above 0, at most 1", self.propensities, (self.propensities > 0) & (self.propensities <= 1))
        check("reward", "a number", self.rewards, np.isfinite(self.rewards))
        check("context", "finite", self.contexts, ~np.isinf(self.contexts).any(axis=1))


def check(what: str, expected: str, values: np.ndarray, holds: np.ndarray) -> None:
    if not holds.all():
        row = int(np.argmin(holds))
        raise TableError(f"{what} should be {expected}; row {row} has {values[row]}, and {(~holds).sum():,} rows such")


def read(file: Path) -> tuple[Log, np.ndarray]:
    """The log and the target [n, k] of a CSV or Parquet file. Raises `TableError` and OSError."""
    if file.suffix not in READERS:
        raise TableError(f"{file.name} is none of {', '.join(READERS)}")
    try:
        frame = READERS[file.suffix](file).select_dtypes(["number", "bool"]).astype(float)
    except ValueError as error:  # pandas' and pyarrow's own are ValueErrors
        raise TableError(f"{file.name} is no table: {error}") from error
    targets = [f"target_{action}" for action in range(sum(1 for name in frame if TARGET.fullmatch(str(name))))]
    for name in ["action", "propensity", "reward", *(targets or ["target_0"])]:
        if name not in frame:
            raise TableError(f"{file.name} has no column {name!r} of numbers")
    columns = [frame.pop(name).to_numpy() for name in ("action", "propensity", "reward")]
    target = np.column_stack([frame.pop(name) for name in targets])
    return Log(frame.to_numpy(), *columns), target

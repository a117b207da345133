from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.policy.ope.bandit_log import BanditLog, TableError, read_table

COLUMNS = {
    "contexts": np.zeros((4, 1)),
    "actions": np.array([0, 1, 0, 1]),
    "propensities": np.array([0.5, 0.5, 0.8, 0.2]),
    "rewards": np.array([1.0, 4.0, 0.0, 2.0]),
}
"""Of a valid log."""


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("propensities", 2, 0, r"propensity should be above 0, at most 1: row 2 has 0\.0; 1 of 4 rows are wrong"),
        ("propensities", 1, 1.1, "row 1 has 1.1"),
        ("propensities", 0, np.nan, "row 0 has nan"),
        ("rewards", 3, np.inf, "reward should be a finite number: row 3 has inf"),
        ("actions", 1, -1, "action should be a whole number from 0: row 1 has -1"),
        ("contexts", 2, np.inf, "context should be finite: row 2"),
    ],
)
def test_an_impossible_value_is_reported_with_its_column_and_row(
    column: str, row: int, value: float, message: str
) -> None:
    values = COLUMNS[column].copy()
    values[row] = value
    with pytest.raises(TableError, match=message):
        BanditLog(**{**COLUMNS, column: values})


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(TableError, match=r"\(4, 1\) and \[\(4,\), \(4,\), \(3,\)\]"):
        BanditLog(**{**COLUMNS, "rewards": np.zeros(3)})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbered_target_columns_are_the_target_and_other_numbers_and_booleans_are_contexts(
    tmp_path: Path, suffix: str
) -> None:
    columns = {
        "action": [0, 1],
        "propensity": 0.5,
        "reward": [1.0, 0.0],
        "target_0": [0.9, 0.2],
        "target_1": [0.1, 0.8],
    }
    frame = pd.DataFrame({**columns, "target_group": [7, 8], "is_new": [True, False], "name": ["a", "b"]})
    file = tmp_path / f"log{suffix}"
    frame.to_csv(file, index=False) if suffix == ".csv" else frame.to_parquet(file)

    log, target = read_table(file)

    assert target.tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert log.contexts.tolist() == [[7, 1], [8, 0]]

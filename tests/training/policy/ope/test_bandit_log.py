from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.policy.ope.bandit_log import Log, TableError, read


def small(**more: object) -> Log:
    columns = {
        "contexts": np.zeros((4, 1)),
        "actions": np.array([0, 1, 0, 1]),
        "propensities": np.array([0.5, 0.5, 0.8, 0.2]),
        "rewards": np.array([1.0, 4.0, 0.0, 2.0]),
    }
    return Log(**{**columns, **more})


@pytest.mark.parametrize(
    ("column", "row", "value", "told"),
    [
        ("propensities", 2, 0, r"propensity should be above 0, at most 1; row 2 has 0\.0, and 1 rows such"),
        ("propensities", 1, 1.1, "row 1 has 1.1"),
        ("propensities", 0, np.nan, "row 0 has nan"),
        ("rewards", 3, np.inf, "reward should be a number; row 3 has inf"),
        ("actions", 1, -1, "action should be a whole number from 0; row 1 has -1"),
        ("contexts", 2, np.inf, "context should be finite; row 2"),
    ],
)
def test_what_cannot_be_is_named_with_its_row(column: str, row: int, value, told: str) -> None:
    values = getattr(small(), column).copy()
    values[row] = value
    with pytest.raises(TableError, match=told):
        small(**{column: values})


def test_columns_of_other_lengths_are_no_log() -> None:
    with pytest.raises(TableError, match=r"\(4, 1\), \[\(4,\), \(4,\), \(3,\)\]"):
        small(rewards=np.zeros(3))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_target_is_a_number_and_true_or_false_is_a_context(tmp_path: Path, suffix: str) -> None:
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

    log, target = read(file)

    assert target.tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert log.contexts.tolist() == [[7, 1], [8, 0]]

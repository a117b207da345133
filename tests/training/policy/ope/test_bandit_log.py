from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.policy.ope.bandit_log import BanditLog, TableError, read_table

COLUMNS: dict[str, Any] = {
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


TABLE = pd.DataFrame({"action": [0, 1], "propensity": 0.5, "reward": [1.0, 0.0], "target_0": 0.5, "target_1": 0.5})


def test_an_index_of_pandas_is_no_context_and_text_is_none_either(tmp_path: Path) -> None:
    TABLE.assign(age=[30, 40], name="x").to_csv(tmp_path / "log.csv")
    log, _ = read_table(tmp_path / "log.csv")
    assert log.names == ("age",)
    assert any("without a name, such as an index" in note for note in log.notes)
    assert any("no numbers, and no contexts: 'name'" in note for note in log.notes)


@pytest.mark.parametrize("spelling", ["", "NA", "nan", "null"])
def test_a_blank_context_is_missing(tmp_path: Path, spelling: str) -> None:
    TABLE.assign(age=["30", spelling]).to_csv(tmp_path / "log.csv", index=False)
    log, _ = read_table(tmp_path / "log.csv")
    assert np.isnan(log.contexts).tolist() == [[False], [True]]


@pytest.mark.parametrize("column", ["action", "propensity", "reward", "target_1"])
def test_a_value_that_is_no_number_is_named_with_its_line(tmp_path: Path, column: str) -> None:
    TABLE.assign(**{column: ["1", "much"]}).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(TableError, match=rf"column '{column}' should be numbers, and line 3 has 'much'"):
        read_table(tmp_path / "log.csv")


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.csv").touch()
    with pytest.raises(TableError, match=r"log\.csv cannot be read: it is empty"):
        read_table(tmp_path / "log.csv")


def test_a_table_as_excel_writes_it_where_decimals_have_commas_is_the_same(tmp_path: Path) -> None:
    table = TABLE.assign(age=[30.5, 41.25], is_new=[True, False])
    table.to_csv(tmp_path / "log.csv", index=False)
    content = "sep=;\r\n" + table.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n")
    (tmp_path / "excel.csv").write_text(content, "utf-8-sig", newline="")
    (log, target), (excel, excel_target) = (read_table(tmp_path / name) for name in ("log.csv", "excel.csv"))
    assert excel.contexts.tolist() == log.contexts.tolist() == [[30.5, 1], [41.25, 0]]
    assert (excel.propensities.tolist(), excel_target.tolist()) == (log.propensities.tolist(), target.tolist())

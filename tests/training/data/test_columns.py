"""Cells of tables mean the same as the facts of events."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shared.messages import CustomerEvent
from training.data import columns
from training.data.mapping import ColumnMapping
from training.data.sources import SourceError

FILE = Path("mine.csv")
PLACES = [f"line {row}" for row in range(2, 50)]


def event(**facts: object) -> CustomerEvent:
    return CustomerEvent.parse(json.dumps({"customer_id": "c", **facts}).encode(), "1")


@pytest.mark.parametrize(
    "cell",
    ["12", " 12 ", "12.0", "89,99", "$89.99", "89.99 EUR", "1.234,56", "1,234.56", "1 234,56", "1.234", 12, 12.5],
)
def test_a_number_is_the_same_in_a_table_and_in_an_event(cell: object) -> None:
    [in_table] = columns.read_numbers(pd.Series([cell]))
    assert in_table == event(monthly_charges=cell).monthly_charges


@pytest.mark.parametrize("cell", ["", "-", "n/a", "NaN", "null", "None", "Unknown", "?", None, float("nan")])
def test_an_unknown_value_is_the_same_in_a_table_and_in_an_event(cell: object) -> None:
    column = pd.Series([cell, "12"], dtype="object")
    unknown: dict[str, pd.Series[Any]] = {}
    assert columns.numbers(column, "tenure", FILE, PLACES, unknown).isna().tolist() == [True, False]
    column = pd.Series([cell, "Yes"], dtype="object")
    assert columns.categories(column, "partner", {}, FILE, unknown).isna().tolist() == [True, False]
    assert columns.ids(column).isna().tolist() == [True, False]
    assert unknown == {}
    assert event(tenure=cell, partner=cell) == event()


@pytest.mark.parametrize("cell", [True, 1, 1.0, "true", "Y", "yes", "1", "1.0", False, 0, 0.0, "N", "no", "OFF", "0"])
def test_a_truth_value_is_the_same_in_a_table_and_in_an_event(cell: object) -> None:
    for column in (pd.Series([cell]), pd.Series([cell, None], dtype="object"), pd.Series([cell]).convert_dtypes()):
        in_table = columns.categories(column, "partner", {}, FILE, {})[0]
        assert in_table == event(partner=cell).partner


@pytest.mark.parametrize("cell", ["7", " 7 ", 7, 7.0, "7\u00a0", "\ufeff7"])
def test_an_id_is_the_same_in_a_table_and_in_an_event(cell: object) -> None:
    assert columns.ids(pd.Series([cell]))[0] == event(event_id=cell).event_id == "7"


@pytest.mark.parametrize("cell", ["5,340", "$5.340"])
def test_a_number_that_may_mean_two_is_asked_about(cell: str) -> None:
    column = pd.Series(["20.5", "20.5", cell], name="fee")
    with pytest.raises(
        SourceError, match=r"line 4 holds '.*': a (comma|point) before three digits may mean thousands or"
    ):
        columns.numbers(column, "monthly_charges", FILE, PLACES, {})
    with pytest.raises(ValueError, match="before three digits may mean thousands or"):
        event(monthly_charges=cell)


@pytest.mark.parametrize("cells", [["1", "0"], ["1.0", "0.0"], [1, 0], [1.0, 0.0]])
@pytest.mark.parametrize("churned", [1, "1"])
def test_the_label_may_be_a_number_in_any_spelling(cells: list[object], churned: str | int) -> None:
    mapping = ColumnMapping(label="left", churned=[churned], facts={})
    assert columns.label(pd.Series(cells), mapping, FILE).tolist() == [True, False]

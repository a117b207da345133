import gzip
import json
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pytest

from training.data import bank, telco
from training.data.sources import SourceError
from training.data.table import RowCondition, drop_rows, json_column, read_json_lines

TELCO = [
    "7590-VHVEG,Female,0,Yes,No,1,No,No phone service,DSL,No,Yes,No,No,No,No,Month-to-month,Yes,Electronic check,"
    "29.85,29.85,No",
    "4472-LVYGI,Female,0,Yes,Yes,0,No,No phone service,DSL,Yes,No,Yes,Yes,Yes,No,Two year,Yes,"
    "Bank transfer (automatic),52.55, ,No",
    "3668-QPYBK,Male,1,No,No,2,Yes,No,No," + 6 * "No internet service," + "One year,Yes,Mailed check,53.85,108.15,Yes",
]
JSON_SCHEMA = pa.DataFrameSchema(
    {"text": json_column(str), "labels": json_column(int, check=pa.Check.isin([0, 1], error="0 or 1"), nullable=True)},
    strict=True,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three customers of IBM's file; the second one has a blank."""
    file = tmp_path / "telco.csv"
    file.write_text("\n".join([",".join(telco.SCHEMA.columns), *TELCO]) + "\n")
    return file


def changed(file: Path, old: str, new: str) -> Path:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return file


def test_a_table_has_the_types_of_its_schema(file: Path) -> None:
    frame = telco.read(file)
    assert frame["tenure"].tolist() == [1, 0, 2]
    assert frame["TotalCharges"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tenure", "months", r"column 'tenure' is missing"),
        ("Churn\n", "Churn,Note\n", r"column 'Note' is not expected"),
        (",1,No,No phone", ",one,No,No phone", r"column 'tenure' should hold a whole number; line 2 holds 'one'"),
        (",1,No,No phone", ",1.5,No,No phone", r"column 'tenure' should hold a whole number; line 2 holds '1.5'"),
        (",1,No,No phone", ",,No,No phone", r"column 'tenure' should hold a whole number; line 2 holds ''"),
        (",2,Yes,No", ",-2,Yes,No", r"column 'tenure' should hold 0 to 100; line 4 holds -2"),
        ("53.85", "inf", r"column 'MonthlyCharges' should hold 0 to 1,000; line 4 holds inf"),
        ("53.85", "nan", r"column 'MonthlyCharges' should hold a value; line 4 holds nothing"),
        (
            "Mailed check",
            "Cash",
            r"column 'PaymentMethod' should hold one of Electronic check, .*; line 4 holds 'Cash'",
        ),
        ("Male", "", r"column 'gender' should hold one of Female, Male; line 4 holds ''"),
        ("3668-QPYBK", "7590-VHVEG", r"column 'customerID' should hold no value twice; line 2 holds '7590-VHVEG'"),
        (",Yes\n", ",Yes,more,cells\n", r"telco\.csv is no table: .*line 4"),
    ],
)
def test_a_wrong_value_is_reported_with_its_column_and_line(file: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as error:
        telco.read(changed(file, old, new))
    assert str(error.value).startswith("telco.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01"])
def test_a_file_that_is_no_table_is_reported(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"telco\.csv is no table"):
        telco.read(file)


def test_a_missing_column_is_reported_before_wrong_values(file: Path) -> None:
    with pytest.raises(SourceError, match="column 'Churn' is missing"):
        telco.read(changed(changed(file, "Churn\n", "Left\n"), "Electronic check", "Cash"))


@pytest.mark.parametrize("column", ["labels", "text"])
def test_json_lines_keep_their_types(tmp_path: Path, column: str) -> None:
    good = {"text": "a", "labels": 1}
    rows = [good, good | {"labels": None}, good | {column: 1.0}]
    with gzip.open(tmp_path / "set.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows[:2])
    assert read_json_lines(tmp_path / "set.jsonl.gz", JSON_SCHEMA)["labels"].tolist() == [1, None]
    with gzip.open(tmp_path / "set.jsonl.gz", "at") as lines:
        lines.write(json.dumps(rows[2]) + "\n")
    with pytest.raises(
        SourceError, match=rf"set\.jsonl\.gz: column '{column}' should hold (int|str); line 3 holds 1\.0"
    ):
        read_json_lines(tmp_path / "set.jsonl.gz", JSON_SCHEMA)


@pytest.mark.parametrize(
    "content",
    [
        b"not gzip",
        gzip.compress(b"not JSON\n"),
        gzip.compress(b"{}\n" * 9)[:-9],
        gzip.compress(b"{}\n" * 9)[:10] + b"\xff" * 20,
    ],
    ids=["not gzip", "not JSON", "cut short", "damaged"],
)
def test_a_file_that_is_not_gzipped_json_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.jsonl.gz").write_bytes(content)
    with pytest.raises(SourceError, match=r"set\.jsonl\.gz is not gzipped JSON lines"):
        read_json_lines(tmp_path / "set.jsonl.gz", JSON_SCHEMA)


@pytest.mark.parametrize(("line", "message"), [(b"[1]", "it is no object"), (b"{", "Expecting property name")])
def test_a_line_that_is_no_object_is_reported(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "set.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "labels": 1}\n' + line + b"\n"))
    with pytest.raises(SourceError, match=rf"^set\.jsonl\.gz is not gzipped JSON lines: line 2: {message}"):
        read_json_lines(tmp_path / "set.jsonl.gz", JSON_SCHEMA)


def test_a_line_without_a_field_is_reported(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "labels": 1}\n{"labels": 1}\n'))
    with pytest.raises(SourceError, match="column 'text' should hold a value; line 2 holds nothing"):
        read_json_lines(tmp_path / "set.jsonl.gz", JSON_SCHEMA)


def test_a_row_is_dropped_for_the_first_reason_that_applies() -> None:
    rows = pd.DataFrame({"n": [1, 2, 3, 4]})
    conditions: dict[str, RowCondition] = {
        "even": lambda rows: rows["n"] % 2 == 0,
        "above 2": lambda rows: rows["n"] > 2,
        "nil": lambda rows: rows["n"] == 0,
    }
    cleaned = drop_rows(rows, conditions)
    assert cleaned.rows["n"].tolist() == [1]
    assert cleaned.dropped == {"even": 2, "above 2": 1}


def test_telco_is_converted_to_our_facts(file: Path) -> None:
    cleaned = telco.clean(telco.read(file))
    assert cleaned.dropped == {"TotalCharges is blank (tenure 0)": 1}
    assert cleaned.rows["position"].tolist() == [0, 2]
    assert cleaned.rows["churned"].tolist() == [False, True]
    first, last = cleaned.rows.to_dict("records")
    assert (first["customer_id"], first["senior_citizen"], last["senior_citizen"]) == ("7590-VHVEG", "No", "Yes")
    assert (first["tenure"], first["total_charges"], last["internet_service"]) == (1, 29.85, "No")


def test_the_bank_is_converted_to_our_facts(tmp_path: Path) -> None:
    (tmp_path / "bank.csv").write_text(
        ";".join(bank.SCHEMA.columns) + "\n"
        "56;unknown;married;basic.4y;no;unknown;yes;telephone;may;mon;261;1;999;0;nonexistent;1.1;93.994;-36.4;4.857;5191;no\n"
        "40;admin.;single;illiterate;no;no;no;cellular;nov;fri;9;2;3;1;success;-1.1;94.767;-50.8;1.028;4963.6;yes\n"
        "40;admin.;single;illiterate;no;no;no;cellular;nov;fri;8;2;3;1;success;-1.1;94.767;-50.8;1.028;4963.6;yes\n"
    )
    cleaned = bank.clean(bank.read(tmp_path / "bank.csv"))
    assert cleaned.dropped == {}
    assert list(cleaned.noted.values()) == [1]
    assert "duration" not in cleaned.rows.columns
    first = cleaned.rows.iloc[0].dropna().to_dict()
    assert not {"job", "housing_loan", "days_since_campaign"} & first.keys()
    assert (first["personal_loan"], first["credit_default"], first["offer_level"]) == ("Yes", "No", 3)
    last = cleaned.rows.iloc[2].to_dict()
    assert (last["days_since_campaign"], last["offer_level"], last["accepted"], last["month"]) == (3, 2, True, "nov")


@pytest.mark.parametrize(("calls", "level"), [(1, 3), (2, 2), (3, 1), (4, 0), (56, 0)])
def test_fewer_calls_stand_in_for_a_higher_offer_level(calls: int, level: int) -> None:
    raw = pd.DataFrame({name: ["no"] for name in bank.SCHEMA.columns} | {"campaign": [calls]})
    raw = raw.assign(age=1.0, pdays=1.0, previous=0)
    assert bank.clean(raw).rows["offer_level"].tolist() == [level]

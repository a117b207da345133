import gzip
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.scorer.features import RISK_FACTS
from shared.messages import CustomerFacts
from training.data.sources import SourceError
from training.data.user_data import UserData, read_user_data

Read = Callable[..., UserData]

MAPPING = """
label = "status"
churned = ["left", "thrown out"]
id = "account"

[facts]
tenure = "months"
monthly_charges = "fee"
contract = "agreement"
partner = "married"
internet_service = "net"

[values.contract]
rolling = "Month-to-month"

[values.internet_service]
None = "No"
"""


def customers(n: int = 600) -> pd.DataFrame:
    """`n` customers with a user's columns and values; every fourth has churned."""
    return pd.DataFrame(
        {
            "account": [f"A{i}" for i in range(n)],
            "months": np.arange(n) % 70,
            "fee": 20 + np.arange(n) / 8,
            "agreement": ["rolling", "One year", " two YEAR "] * (n // 3),
            "married": [True, False] * (n // 2),
            "net": ["DSL", "None", "Fiber optic"] * (n // 3),
            "shoe size": 42,
            "status": ["left", "here", "here", "here"] * (n // 4),
        }
    )


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a frame by way of a file: a CSV with semicolons unless `options` of pandas or the name say otherwise."""

    def read(frame: pd.DataFrame, mapping: str = MAPPING, name: str = "mine.csv", **options: Any) -> UserData:
        data = tmp_path / name
        if name.endswith("parquet"):
            frame.to_parquet(data)
        else:
            frame.to_csv(data, index=False, **{"sep": ";"} | options)
        (tmp_path / "mine.toml").write_text(mapping, "utf-8")
        return read_user_data(data, tmp_path / "mine.toml")

    return read


def test_a_users_customers_get_the_form_of_telcos(read: Read) -> None:
    user_data = read(customers())
    assert list(user_data.rows.columns) == ["position", "customer_id", *RISK_FACTS, "churned"]
    numbers = {fact for fact, encoding in RISK_FACTS.items() if encoding is None}
    assert {name: str(kind) for name, kind in user_data.rows.dtypes.items()} == (
        {"position": "int64", "customer_id": "str"}
        | {fact: "float64" if fact in numbers else "str" for fact in RISK_FACTS}
        | {"churned": "bool"}
    )
    first, second, third, *_ = user_data.rows.to_dict("records")
    assert (first["customer_id"], first["churned"], second["churned"]) == ("A0", True, False)
    assert [row["contract"] for row in (first, second, third)] == ["Month-to-month", "One year", "Two year"]
    assert [row["internet_service"] for row in (first, second, third)] == ["DSL", "No", "Fiber optic"]
    assert (second["tenure"], second["monthly_charges"], first["partner"], second["partner"]) == (
        1,
        20.125,
        "Yes",
        "No",
    )
    assert user_data.ignored == ("shoe size",)
    assert set(user_data.missing) == set(RISK_FACTS) - {
        "tenure",
        "monthly_charges",
        "contract",
        "partner",
        "internet_service",
    }
    assert user_data.rows[list(user_data.missing)].isna().all(axis=None)
    assert (user_data.unknown, user_data.dropped) == ({}, {})


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_of_any_delimiter_and_parquet_are_the_same(read: Read, separator: str) -> None:
    csv, parquet = read(customers(), sep=separator), read(customers(), name="mine.parquet")
    pd.testing.assert_frame_equal(csv.rows, parquet.rows)
    assert csv.sha256 != parquet.sha256


def test_the_checksum_is_that_of_the_file(read: Read, tmp_path: Path) -> None:
    assert read(customers()).sha256 == sha256((tmp_path / "mine.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_an_unknown_category_is_missing_and_counted_and_a_blank_is_only_missing(read: Read, name: str) -> None:
    frame = customers().astype({"married": "object"})
    frame.loc[:6, "net"] = [" Carrier pigeon"] * 2 + ["smoke"] * 3 + ["drums", "shouting"]
    frame.loc[7, "net"] = frame.loc[8, "net"] = frame.loc[9, "married"] = None
    frame.loc[[10, 11, 12], "agreement"] = ["n/a", "#N/A", "-"]
    user_data = read(frame, name=name)
    assert user_data.unknown == {"internet_service": 7}
    assert user_data.examples == {"internet_service": ("'smoke'", "' Carrier pigeon'", "'drums'")}
    assert user_data.rows["internet_service"].isna().sum() == 9
    assert user_data.rows.loc[[9, 10], "partner"].isna().tolist() == [True, False]
    assert user_data.rows["contract"].isna().sum() == 3


def test_rows_that_are_invalid_in_an_event_and_repeated_ids_are_dropped_and_counted(read: Read) -> None:
    frame = customers().astype({"status": "object", "fee": "object", "months": "object"})
    frame.loc[0, "status"] = None
    frame.loc[1, "months"], frame.loc[2, "months"], frame.loc[3, "fee"] = -1, 0.5, "inf"
    frame.loc[[4, 9, 10], "account"] = [None, "N/A", "N/A"]
    frame.loc[6, "account"] = "A5"
    frame.loc[7, "months"], frame.loc[8, "fee"] = " ", "NA"
    user_data = read(frame)
    assert user_data.dropped == {
        "'status' says nothing": 1,
        "tenure is no whole number": 1,
        "tenure is out of range": 1,
        "monthly_charges is out of range": 1,
        "no id": 3,
        "an id of an earlier row": 1,
    }
    assert user_data.rows["position"].tolist() == [5, 7, 8, *range(11, 600)]
    assert user_data.rows["tenure"].isna().sum() == user_data.rows["monthly_charges"].isna().sum() == 1


def test_every_remaining_row_is_valid_in_an_event(read: Read) -> None:
    for row in read(customers()).rows.to_dict("records"):
        CustomerFacts.model_validate({fact: row[fact] for fact in RISK_FACTS if pd.notna(row[fact])})


def test_without_an_id_customers_are_identified_by_their_row(read: Read) -> None:
    user_data = read(customers(), MAPPING.replace('id = "account"', ""))
    assert user_data.rows["customer_id"].tolist()[:2] == ["0", "1"]
    assert user_data.ignored == ("account", "shoe size")


def test_the_value_that_means_churned_may_be_a_number_or_a_boolean(read: Read) -> None:
    frame = customers()
    as_text = read(frame).rows["churned"]
    frame["status"] = frame["status"].eq("left")
    for name in ("mine.csv", "mine.parquet"):
        assert read(frame, MAPPING.replace('["left", "thrown out"]', "true"), name).rows["churned"].equals(as_text)
    frame["status"] = frame["status"].astype(float)
    assert read(frame, MAPPING.replace('["left", "thrown out"]', "1"), "mine.parquet").rows["churned"].equals(as_text)


def wrong(frame: pd.DataFrame | None = None, **columns: Any) -> pd.DataFrame:
    return (customers() if frame is None else frame).assign(**columns)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (wrong(customers().rename(columns={"fee": "fees"})), r"mine\.csv has no column 'fee'.* Did you mean 'fees'\?"),
        (wrong(customers().drop(columns="status")), r"has no column 'status'"),
        (
            wrong(status="here"),
            r"column 'status' never says 'left', 'thrown out', which means churned; it says 'here'\.",
        ),
        (wrong(status=""), r"never says .*; it says nothing\."),
        (wrong(status="left"), r"says of every customer that they churned"),
        (wrong(status=["left", "here", "away"] * 200), r"only one of 'away', 'here'\."),
        (
            wrong(status=[f"{i % 9}" for i in range(599)] + ["left"]),
            r"only one of '0', '1', '2', '3', '4' and 4 more\.",
        ),
        (
            wrong(fee=["20", "beer", "wine"] * 200),
            r"column 'fee' is mapped to monthly_charges, a number, but 400 of its 600 values are none; "
            r"line 3 holds the text 'beer'\.$",
        ),
        (wrong(fee="1,234"), r"line 2 holds '1,234': a comma before three digits may mean thousands or decimals\."),
        (
            wrong(agreement=["monthly", "yearly"] * 300),
            r"column 'agreement' is mapped to contract, but holds only 'monthly', 'yearly'\. "
            r"The scorer knows 'Month-to-month', .*: say under \[values\.contract\] which is which\.",
        ),
        (
            customers(480),
            r"mine\.csv: 480 customers, of whom 120 left\. At least 500 are needed, and 50 of each class",
        ),
        (wrong(status=["left"] * 49 + ["here"] * 551), r"600 customers, of whom 49 left"),
        (wrong(months=-1), r"0 customers.* Dropped: 600 because tenure is out of range\."),
    ],
)
def test_wrong_customers_are_reported(read: Read, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(frame)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[facts]", "[facts", r"mine\.toml is not TOML: .*line 6"),
        ("tenure =", "tenur =", r"mine\.toml: 'tenur' is no fact that the scorer uses\. Did you mean 'tenure'\?"),
        ("tenure =", "zodiac =", r"'zodiac' is no fact .* It may be: 'tenure', 'monthly_charges',"),
        ("[values.contract]", "[values.contracts]", r"'contracts' is no fact .* Did you mean 'contract'\?"),
        ("[values.contract]", "[values.gender]", r"has values of gender, but \[facts\] names no column for it"),
        (
            '"Month-to-month"',
            '"Month to month"',
            r"knows no contract 'Month to month'\. Did you mean 'Month-to-month'\?",
        ),
        ("[values.contract]", "[values.tenure]", r"knows no tenure 'Month-to-month'\. It may be: none\."),
        ('["left", "thrown out"]', "[]", r"mine\.toml: churned is empty\.$"),
        (MAPPING[MAPPING.index("tenure") :], "", r"mine\.toml: \[facts\] is empty\.$"),
        ('label = "status"', "", r"mine\.toml is no mapping: label: field required"),
        ("label =", "target =", r"is no mapping: label: field required; target: extra inputs are not permitted"),
        ('"months"', "3", r"is no mapping: facts\.tenure: input should be a valid string"),
        ('"months"', '"status"', r"the label 'status' is mapped to a fact: it would predict itself"),
    ],
)
def test_a_wrong_mapping_is_reported(read: Read, old: str, new: str, message: str) -> None:
    assert old in MAPPING
    with pytest.raises(SourceError, match=message):
        read(customers(), MAPPING.replace(old, new))


@pytest.mark.parametrize(
    ("months", "message"), [(True, "bool 'True'"), (pd.Timestamp(2026, 1, 1), "timestamp '2026-01-01")]
)
def test_booleans_and_dates_are_no_numbers(read: Read, months: object, message: str) -> None:
    with pytest.raises(SourceError, match=rf"tenure, a number, but 600 of its 600 values .* row 1 holds the {message}"):
        read(customers().assign(months=months), name="mine.parquet")


def test_columns_of_a_parquet_file_may_have_numbers_as_names(read: Read) -> None:
    frame, mapping = customers(), MAPPING
    for number, name in enumerate(frame):
        mapping = mapping.replace(f'"{name}"', f'"{number}"')
    assert read(frame.set_axis(range(8), axis=1), mapping, "mine.parquet").rows.equals(read(frame).rows)


def test_a_gzipped_csv_and_a_mapping_with_a_byte_order_mark_are_read(read: Read) -> None:
    assert read(customers(), "\ufeff" + MAPPING, "mine.csv.gz").rows.equals(read(customers()).rows)


def test_a_damaged_gzipped_csv_is_reported(read: Read, tmp_path: Path) -> None:
    read(customers(), name="mine.csv.gz")
    whole = (tmp_path / "mine.csv.gz").read_bytes()
    for damaged in (whole[:-99], whole[:60] + bytes(60) + whole[120:]):
        (tmp_path / "mine.csv.gz").write_bytes(damaged)
        with pytest.raises(SourceError, match=r"mine\.csv\.gz cannot be read"):
            read_user_data(tmp_path / "mine.csv.gz", tmp_path / "mine.toml")


def test_a_csv_in_another_encoding_is_read_and_said_to_be(read: Read) -> None:
    user_data = read(customers().assign(account=[f"Zoë {n}" for n in range(600)]), encoding="latin-1")
    assert user_data.rows["customer_id"][0] == "Zoë 0"
    assert user_data.notes == (
        "mine.csv is not UTF-8 and was read as Windows-1252; if letters come out wrong, save it as UTF-8",
    )


@pytest.mark.parametrize("bad", ["twelve", "12 months", "1:30", "1.2.3"])
def test_a_number_that_cannot_be_read_is_missing_and_counted_with_the_first(read: Read, bad: str) -> None:
    frame = customers().astype({"months": "object"})
    frame.loc[[7, 9], "months"] = bad
    frame.loc[7, "status"] = None  # a row that is dropped is not counted
    user_data = read(frame)
    assert user_data.unknown == {"tenure": 1}
    assert user_data.examples == {"tenure": (repr(bad),)}
    assert user_data.first_unknown == {"tenure": "line 11"}
    assert user_data.rows["tenure"].isna().sum() == 1


def test_decimal_commas_are_read(read: Read) -> None:
    fees = [f"{20 + n / 8:.2f}" for n in range(600)]
    commas = read(customers().assign(fee=[fee.replace(".", ",") for fee in fees]))
    assert commas.rows.equals(read(customers().assign(fee=fees)).rows)
    assert commas.notes == ("commas in columns of mine.csv were read as decimal points: fee",)


def test_unknown_values_of_dropped_rows_are_not_counted(read: Read) -> None:
    frame = customers()
    frame.loc[:9, "agreement"] = "weekly"
    frame.loc[:4, "account"] = "A0"
    user_data = read(frame)
    assert user_data.unknown == {"contract": 6}
    assert user_data.first_unknown == {"contract": "line 2"}


def test_mapped_values_that_no_row_has_are_told(read: Read) -> None:
    mapping = MAPPING.replace('rolling = "Month-to-month"', '" ROLLING " = "Month-to-month"\nrollling = "One year"')
    assert read(customers(), mapping).unused_values == {"contract": ("rollling",)}


@pytest.mark.parametrize(
    "ended",
    [
        [f"2026-{1 + n % 9}-01" if n % 4 == 0 else "" for n in range(600)],
        ["0" if n % 4 == 0 else str(n) for n in range(600)],
        ["closed" if n % 4 == 0 else ("open", "new")[n % 2] for n in range(600)],
        [("", "1")[n % 4 == 0] if n > 4 else "" for n in range(600)],
        [f"{'Z' if n % 4 == 0 else 'A'}{n}" for n in range(600)],
    ],
    ids=["date of leaving", "number", "status", "almost", "id"],
)
def test_a_column_that_alone_tells_who_left_is_named(read: Read, ended: list[str]) -> None:
    frame = customers().assign(ended=ended)
    assert list(read(frame).leaks) == ["ended"]
    tenure = MAPPING.replace('"months"', '"ended"')
    if all(value.isdigit() for value in ended if value):
        message = r"alone tells who left.*: 'ended' \(AUC (1\.000|0\.99\d)\)\..* known_before = \['ended'\]"
        with pytest.raises(SourceError, match=message):
            read(frame, tenure)
        assert read(frame, f'known_before = ["ended"]\n{tenure}').leaks == {}


def test_columns_that_do_not_tell_who_left_are_not_named(read: Read) -> None:
    rng = np.random.default_rng(0)
    likely = np.where(np.arange(600) % 4 == 0, rng.random(600) + 0.5, rng.random(600))
    assert read(customers().assign(number=likely, shuffled=rng.permutation(600))).leaks == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[facts]", "[fact]", r"facts: field required; fact: extra inputs .* \(did you mean 'facts'\?\)"),
        ("[values.contract]", "[value.contract]", r"value: .* \(did you mean 'values'\?\)"),
        ("churned =", "churn =", r"churn: .* \(did you mean 'churned'\?\)"),
        ('"months"', '""', r"mine\.toml: facts\.tenure is empty: name a column"),
        ('id = "account"', 'id = " "', r"mine\.toml: id is empty"),
        ('label = "status"', 'label = ""', r"mine\.toml: label is empty"),
    ],
)
def test_a_wrong_word_of_a_mapping_is_named_with_its_nearest(read: Read, old: str, new: str, words: str) -> None:
    assert old in MAPPING
    with pytest.raises(SourceError, match=words):
        read(customers(), MAPPING.replace(old, new))


def test_a_missing_mapping_or_file_is_reported(read: Read, tmp_path: Path) -> None:
    read(customers())
    with pytest.raises(SourceError, match=r"no\.toml cannot be read: No such file"):
        read_user_data(tmp_path / "mine.csv", tmp_path / "no.toml")
    with pytest.raises(SourceError, match=r"no\.csv cannot be read"):
        read_user_data(tmp_path / "no.csv", tmp_path / "mine.toml")


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
@pytest.mark.parametrize("content", [b"", gzip.compress(b"not a table" * 99)], ids=["empty", "gzip"])
def test_a_file_that_is_no_table_is_reported(read: Read, tmp_path: Path, name: str, content: bytes) -> None:
    read(customers())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=rf"{name} cannot be read"):
        read_user_data(tmp_path / name, tmp_path / "mine.toml")


@pytest.mark.filterwarnings("ignore")  # what pandas only warns of must be an error outside of tests, too
@pytest.mark.parametrize(("prefix", "end"), [("", ";"), ("7;", "")])
def test_rows_longer_than_the_header_are_refused(read: Read, tmp_path: Path, prefix: str, end: str) -> None:
    read(customers())
    header, *rows = (tmp_path / "mine.csv").read_text().splitlines()
    (tmp_path / "mine.csv").write_text("\n".join([header, *(prefix + row + end for row in rows)]))
    with pytest.raises(SourceError, match=r"mine\.csv has rows longer than its header: .* end no row with ';'\."):
        read_user_data(tmp_path / "mine.csv", tmp_path / "mine.toml")


def test_a_row_longer_than_the_others_is_reported(read: Read, tmp_path: Path) -> None:
    read(customers())
    with (tmp_path / "mine.csv").open("a") as file:
        file.write(";" * 8)
    with pytest.raises(SourceError, match=r"mine\.csv cannot be read: .*line 602"):
        read_user_data(tmp_path / "mine.csv", tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("frame", "mapping"),
    [
        (customers().rename(columns={"status": "a\nb"}), MAPPING),
        (customers(), MAPPING.replace('"months"', r'"a\nb"')),
        (wrong(**{"a\nb": "rolling"}), MAPPING.replace('"months"', r'"a\nb"')),
        (wrong(**{"a\nb": ""}), MAPPING.replace('"status"', r'"a\nb"')),
        (wrong(**{"a\nb": ["left", None, "here"] * 200}).head(480), MAPPING.replace('"status"', r'"a\nb"')),
    ],
)
def test_a_column_name_with_a_line_break_is_quoted(read: Read, frame: pd.DataFrame, mapping: str) -> None:
    with pytest.raises(SourceError, match=r"'a\\nb'") as error:
        read(frame, mapping)
    assert "\n" not in str(error.value)

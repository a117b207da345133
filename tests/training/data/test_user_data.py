import gzip
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.scorer.features import RISK_FACTS
from shared.messages import CustomerFacts
from training.data import user_data
from training.data.sources import SourceError

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


def customers(n=600):
    """`n` customers in words that are not ours, each fourth of whom left."""
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
def read(tmp_path: Path):
    """Reads a frame as a CSV of semicolons, or as told, by the mapping."""

    def read(frame, mapping=MAPPING, name="mine.csv", **options):
        data = tmp_path / name
        frame.to_parquet(data) if name.endswith("parquet") else frame.to_csv(
            data, index=False, **{"sep": ";"} | options
        )
        (tmp_path / "mine.toml").write_text(mapping, "utf-8")
        return user_data.read(data, tmp_path / "mine.toml")

    return read


def test_customers_in_other_words_become_the_frame_that_telcos_have(read) -> None:
    mine = read(customers())
    assert list(mine.rows.columns) == ["position", "customer_id", *RISK_FACTS, "churned"]
    numbers = {fact for fact, encoding in RISK_FACTS.items() if encoding is None}
    assert {name: str(kind) for name, kind in mine.rows.dtypes.items()} == (
        {"position": "int64", "customer_id": "str"}
        | {fact: "float64" if fact in numbers else "str" for fact in RISK_FACTS}
        | {"churned": "bool"}
    )
    first, second, third, *_ = mine.rows.to_dict("records")
    assert (first["customer_id"], first["churned"], second["churned"]) == ("A0", True, False)
    assert [row["contract"] for row in (first, second, third)] == ["Month-to-month", "One year", "Two year"]
    assert [row["internet_service"] for row in (first, second, third)] == ["DSL", "No", "Fiber optic"]
    assert (second["tenure"], second["monthly_charges"], first["partner"], second["partner"]) == (
        1,
        20.125,
        "Yes",
        "No",
    )
    assert mine.ignored == ("shoe size",)
    assert set(mine.missing) == set(RISK_FACTS) - {
        "tenure",
        "monthly_charges",
        "contract",
        "partner",
        "internet_service",
    }
    assert mine.rows[list(mine.missing)].isna().all(axis=None)
    assert (mine.unknown, mine.dropped) == ({}, {})


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_of_any_delimiter_and_parquet_are_the_same(read, separator: str) -> None:
    csv, parquet = read(customers(), sep=separator), read(customers(), name="mine.parquet")
    pd.testing.assert_frame_equal(csv.rows, parquet.rows)
    assert csv.sha256 != parquet.sha256


def test_the_files_sum_is_kept(read, tmp_path: Path) -> None:
    assert read(customers()).sha256 == sha256((tmp_path / "mine.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_an_unseen_category_is_missing_and_counted_and_a_blank_is_not(read, name: str) -> None:
    frame = customers().astype({"married": "object"})
    frame.loc[:6, "net"] = [" Carrier pigeon"] * 2 + ["smoke"] * 3 + ["drums", "shouting"]
    frame.loc[7, "net"] = frame.loc[8, "net"] = frame.loc[9, "married"] = None
    frame.loc[[10, 11, 12], "agreement"] = ["n/a", "#N/A", "-"]
    mine = read(frame, name=name)
    assert mine.unknown == {"internet_service": 7}
    assert mine.examples == {"internet_service": ("'smoke'", "' Carrier pigeon'", "'drums'")}
    assert mine.rows["internet_service"].isna().sum() == 9
    assert mine.rows.loc[[9, 10], "partner"].isna().tolist() == [True, False]
    assert mine.rows["contract"].isna().sum() == 3


def test_rows_that_no_event_could_carry_and_repeated_ids_are_dropped_and_counted(read) -> None:
    frame = customers().astype({"status": "object", "fee": "object", "months": "object"})
    frame.loc[0, "status"] = None
    frame.loc[1, "months"], frame.loc[2, "months"], frame.loc[3, "fee"] = -1, 0.5, "inf"
    frame.loc[[4, 9, 10], "account"] = [None, "N/A", "N/A"]
    frame.loc[6, "account"] = "A5"
    frame.loc[7, "months"], frame.loc[8, "fee"] = " ", "NA"
    mine = read(frame)
    assert mine.dropped == {
        "'status' says nothing": 1,
        "tenure is no whole number": 1,
        "tenure is out of range": 1,
        "monthly_charges is out of range": 1,
        "no id": 3,
        "an id of an earlier row": 1,
    }
    assert mine.rows["position"].tolist() == [5, 7, 8, *range(11, 600)]
    assert mine.rows["tenure"].isna().sum() == mine.rows["monthly_charges"].isna().sum() == 1


def test_every_row_that_is_kept_is_one_that_an_event_could_carry(read) -> None:
    for row in read(customers()).rows.to_dict("records"):
        CustomerFacts.model_validate({fact: row[fact] for fact in RISK_FACTS if pd.notna(row[fact])})


def test_without_an_id_customers_are_known_by_their_row(read) -> None:
    mine = read(customers(), MAPPING.replace('id = "account"', ""))
    assert mine.rows["customer_id"].tolist()[:2] == ["0", "1"]
    assert mine.ignored == ("account", "shoe size")


def test_one_value_may_mean_churned_and_be_a_number_or_truth(read) -> None:
    frame = customers()
    as_text = read(frame).rows["churned"]
    frame["status"] = frame["status"].eq("left")
    for name in ("mine.csv", "mine.parquet"):
        assert read(frame, MAPPING.replace('["left", "thrown out"]', "true"), name).rows["churned"].equals(as_text)
    frame["status"] = frame["status"].astype(float)
    assert read(frame, MAPPING.replace('["left", "thrown out"]', "1"), "mine.parquet").rows["churned"].equals(as_text)


def wrong(frame=None, **columns):
    return (customers() if frame is None else frame).assign(**columns)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (wrong(customers().rename(columns={"fee": "fees"})), r"mine\.csv has no column 'fee'.* Did you mean 'fees'\?"),
        (wrong(customers().drop(columns="status")), r"has no column 'status'"),
        (
            wrong(status="here"),
            r"column 'status' never says 'left', 'thrown out', which means churned; it says 'here'\.",
        ),
        (wrong(status=""), r"never says .*; it says nothing\."),
        (wrong(status="left"), r"says of everyone that they left"),
        (wrong(status=["left", "here", "away"] * 200), r"only one of 'away', 'here'\."),
        (
            wrong(status=[f"{i % 9}" for i in range(599)] + ["left"]),
            r"only one of '0', '1', '2', '3', '4' and 4 more\.",
        ),
        (
            wrong(fee=["20", "21", "22 EUR"] * 200),
            r"column 'fee' is mapped to monthly_charges, a number, but 200 of its 600 values are none; "
            r"row 3 holds the text '22 EUR'\.$",
        ),
        (wrong(fee="97,06"), r"600 of its 600 .* the text '97,06'\. Write decimals with a point, not a comma\.$"),
        (
            wrong(agreement=["monthly", "yearly"] * 300),
            r"column 'agreement' is mapped to contract, but holds only 'monthly', 'yearly'\. "
            r"The scorer knows 'Month-to-month', .*: say under \[values\.contract\] which is which\.",
        ),
        (
            customers(480),
            r"mine\.csv: 480 customers, of whom 120 left\. At least 500 are needed, and 50 of either kind",
        ),
        (wrong(status=["left"] * 49 + ["here"] * 551), r"600 customers, of whom 49 left"),
        (wrong(months=-1), r"0 customers.* Dropped: 600 because tenure is out of range\."),
    ],
)
def test_what_is_wrong_with_the_customers_is_said(read, frame, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(frame)


@pytest.mark.parametrize(
    ("old", "new", "said"),
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
def test_what_is_wrong_with_the_mapping_is_said(read, old, new: str, said: str) -> None:
    assert old in MAPPING
    with pytest.raises(SourceError, match=said):
        read(customers(), MAPPING.replace(old, new))


@pytest.mark.parametrize(
    ("months", "said"), [(True, "bool 'True'"), (pd.Timestamp(2026, 1, 1), "timestamp '2026-01-01")]
)
def test_truth_and_time_are_no_numbers(read, months, said: str) -> None:
    with pytest.raises(SourceError, match=rf"tenure, a number, but 600 of its 600 values .* row 1 holds the {said}"):
        read(customers().assign(months=months), name="mine.parquet")


def test_columns_of_a_parquet_may_have_numbers_for_names(read) -> None:
    frame, mapping = customers(), MAPPING
    for number, name in enumerate(frame):
        mapping = mapping.replace(f'"{name}"', f'"{number}"')
    assert read(frame.set_axis(range(8), axis=1), mapping, "mine.parquet").rows.equals(read(frame).rows)


def test_a_gzipped_csv_and_a_mapping_with_a_byte_order_mark_are_read(read) -> None:
    assert read(customers(), "\ufeff" + MAPPING, "mine.csv.gz").rows.equals(read(customers()).rows)


def test_a_damaged_gzipped_csv_is_named(read, tmp_path: Path) -> None:
    read(customers(), name="mine.csv.gz")
    whole = (tmp_path / "mine.csv.gz").read_bytes()
    for damaged in (whole[:-99], whole[:60] + bytes(60) + whole[120:]):
        (tmp_path / "mine.csv.gz").write_bytes(damaged)
        with pytest.raises(SourceError, match=r"mine\.csv\.gz cannot be read"):
            user_data.read(tmp_path / "mine.csv.gz", tmp_path / "mine.toml")


def test_a_csv_in_another_encoding_is_told_to_be_utf_8(read) -> None:
    with pytest.raises(SourceError, match=r"mine\.csv cannot be read: it is not UTF-8\. Save it as UTF-8\."):
        read(customers().assign(account="Zoë"), encoding="latin-1")


def test_a_mapping_or_file_that_is_not_there_is_named(read, tmp_path: Path) -> None:
    read(customers())
    with pytest.raises(SourceError, match=r"no\.toml cannot be read: No such file"):
        user_data.read(tmp_path / "mine.csv", tmp_path / "no.toml")
    with pytest.raises(SourceError, match=r"no\.csv cannot be read"):
        user_data.read(tmp_path / "no.csv", tmp_path / "mine.toml")


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
@pytest.mark.parametrize("content", [b"", gzip.compress(b"not a table" * 99)], ids=["empty", "gzip"])
def test_what_is_no_table_is_named(read, tmp_path: Path, name: str, content) -> None:
    read(customers())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=rf"{name} cannot be read"):
        user_data.read(tmp_path / name, tmp_path / "mine.toml")


@pytest.mark.filterwarnings("ignore")  # what pandas only warns of must be an error outside of tests too
@pytest.mark.parametrize(("front", "end"), [("", ";"), ("7;", "")])
def test_rows_longer_than_the_header_are_refused(read, tmp_path: Path, front: str, end: str) -> None:
    read(customers())
    header, *rows = (tmp_path / "mine.csv").read_text().splitlines()
    (tmp_path / "mine.csv").write_text("\n".join([header, *(front + row + end for row in rows)]))
    with pytest.raises(SourceError, match=r"mine\.csv has rows longer than its header: .* end no row with ';'\."):
        user_data.read(tmp_path / "mine.csv", tmp_path / "mine.toml")


def test_one_row_longer_than_the_others_is_named(read, tmp_path: Path) -> None:
    read(customers())
    with (tmp_path / "mine.csv").open("a") as file:
        file.write(";" * 8)
    with pytest.raises(SourceError, match=r"mine\.csv cannot be read: .*line 602"):
        user_data.read(tmp_path / "mine.csv", tmp_path / "mine.toml")


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
def test_a_column_with_an_odd_name_is_quoted(read, frame, mapping) -> None:
    with pytest.raises(SourceError, match=r"'a\\nb'") as error:
        read(frame, mapping)
    assert "\n" not in str(error.value)

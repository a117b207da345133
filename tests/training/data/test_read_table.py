"""Tables as people's tools write them: all of these are read as the same, or refused with what to do."""

import codecs
import gzip
import json
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from training.data.read_table import checksum, read_table
from training.data.sources import SourceError

FRAME = pd.DataFrame({"id": ["a", "b", "c"], "months": ["1", "2", ""], "plan": ["Café, noir", 'the "big" one', "x\ny"]})
TEXT = FRAME.to_csv(index=False)


def cells(path: Path) -> list[list[str]]:
    """The cells as text, blank where missing."""
    frame = read_table(path).frame
    assert list(frame) == list(FRAME)
    rows: list[list[str]] = frame.astype("object").map(str, na_action="ignore").fillna("").to_numpy().tolist()
    return rows


def text(content: str, encoding: str = "utf-8", name: str = "table.csv") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content.encode(encoding))
        return folder / name

    return write


def spark(suffix: str) -> Callable[[Path], Path]:
    """A folder of two part files with the marks and checksums that Spark leaves."""

    def write(folder: Path) -> Path:
        out = folder / "out"
        out.mkdir()
        for number, part in enumerate((FRAME[:2], FRAME[2:])):
            file = out / f"part-{number:05}-4f1c-c000{suffix}"
            if suffix.endswith("parquet"):
                part.to_parquet(file, index=False, compression="snappy")
            elif "json" in suffix:
                part.to_json(file, orient="records", lines=True)
            else:
                part.to_csv(file, index=False)
            (out / f".{file.name}.crc").write_bytes(b"crc")
        if not suffix.endswith("parquet"):
            (out / f"part-00002-4f1c-c000{suffix}").touch()
        (out / "_SUCCESS").touch()
        return out

    return write


def parquet(folder: Path) -> Path:
    FRAME.to_parquet(folder / "table")
    return folder / "table"


def gzipped(folder: Path) -> Path:
    (folder / "table.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    return folder / "table.csv.gz"


RECORDS = FRAME.to_dict("records")
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


@pytest.mark.parametrize(
    "write",
    [
        text(TEXT),
        text(TEXT, name="table.txt"),
        text(TEXT, "utf-8-sig"),
        text(TEXT, "utf-16"),
        text(TEXT, "latin-1"),
        text(FRAME.to_csv(index=False, sep=";")),
        text(FRAME.to_csv(index=False, sep="\t"), name="table.tsv"),
        text(FRAME.to_csv(index=False, sep="|")),
        text("sep=;\r\n" + FRAME.to_csv(index=False, sep=";"), "utf-8-sig"),
        text("sep=\t\n" + FRAME.to_csv(index=False, sep="\t"), "utf-16"),
        text(FRAME.to_csv(index=False, lineterminator="\r\n", quoting=1)),
        text(TEXT.replace("id,months,plan", ' id, "months",plan ')),
        text("\n\n" + TEXT + ",,\n\n  ,,\n"),
        text(FRAME.to_csv()),
        text(FRAME.assign(**{"": ""}).to_csv(index=False)),
        text(FRAME.reset_index(names="Unnamed: 0").to_csv(index=False)),
        text(FRAME.reset_index().to_csv(index=False)),
        gzipped,
        text(LINES, name="table.jsonl"),
        text(LINES, "utf-8-sig", name="table"),
        text(json.dumps(RECORDS), name="table.json"),
        text(json.dumps(RECORDS, indent=2), name="table.json"),
        text("\n".join(json.dumps(record, indent=1) for record in RECORDS)),
        parquet,
        lambda folder: (FRAME.set_index("id").to_parquet(folder / "table"), folder / "table")[1],
        lambda folder: (FRAME.set_index(pd.Index([3, 1, 2])).to_parquet(folder / "table"), folder / "table")[1],
        lambda folder: (FRAME.assign(__index_level_0__=7).to_parquet(folder / "table"), folder / "table")[1],
        lambda folder: (FRAME.astype("category").to_parquet(folder / "table"), folder / "table")[1],
        lambda folder: (FRAME.map(str.encode).to_parquet(folder / "table"), folder / "table")[1],
        spark(".snappy.parquet"),
        spark(".csv"),
        spark(".json"),
    ],
)
def test_any_of_these_is_the_same_table(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    assert cells(write(tmp_path)) == FRAME.to_numpy().tolist()


@pytest.mark.parametrize(
    ("write", "note"),
    [
        (text(TEXT, "latin-1"), "is not UTF-8 and was read as Windows-1252"),
        (text(TEXT.replace("noir", "\x81"), "latin-1"), "is not UTF-8 and was read as Latin-1"),
        (text(TEXT, "utf-16"), "was read as UTF-16"),
        (text(FRAME.to_csv()), "without a name, such as an index, were left out: 1"),
        (
            text(FRAME.assign(**{"Unnamed: 7": 1}).to_csv(index=False)),
            "the column 'Unnamed: 7' of table.csv is an index",
        ),
        (text(FRAME.reset_index().to_csv(index=False)), "the column 'index' of table.csv is an index"),
        (text(TEXT + ",,\n,,\n"), "blank rows of table.csv were left out: 2"),
        (
            lambda folder: (FRAME.set_index(pd.Index([3, 1, 2])).to_parquet(folder / "t"), folder / "t")[1],
            "the index of t",
        ),
    ],
)
def test_what_is_guessed_or_left_out_is_said(tmp_path: Path, write: Callable[[Path], Path], note: str) -> None:
    [said] = read_table(write(tmp_path)).notes
    assert note in said


@pytest.mark.parametrize("write", [text(TEXT), parquet, spark(".csv"), text(LINES)])
def test_of_a_plain_table_nothing_is_said(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    assert read_table(write(tmp_path)).notes == ()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["97,06", "5,340", "", "-3"], ["97.06", "5.340", "", "-3"]),
        (["0,125", "0,250"], ["0.125", "0.250"]),
        (["1.234,56", "999,00", "1.000"], ["1234.56", "999.00", "1000"]),
        (["5,340", "1,234"], None),
        (["1.234", "5"], None),
        (["97,06", "about 3"], None),
        (["1,234.50", "2,000.00"], None),
        (["a, b", "c"], None),
    ],
)
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas_are_points_where_a_column_shows_that_they_are(
    tmp_path: Path, written: list[str], read: list[str] | None, delimiter: str
) -> None:
    content = pd.DataFrame({"id": range(len(written)), "fee": written}).to_csv(index=False, sep=delimiter)
    table = read_table(text(content)(tmp_path))
    assert table.frame["fee"].tolist() == (read or written)
    said = "commas in columns of table.csv were read as decimal points: fee"
    assert table.notes == ((said,) if read else ())


def test_a_mapped_column_is_no_index_whatever_its_name(tmp_path: Path) -> None:
    path = text(FRAME.reset_index(names="Unnamed: 0").to_csv(index=False))(tmp_path)
    assert list(read_table(path, keep=["Unnamed: 0"]).frame) == ["Unnamed: 0", *FRAME]


def test_rows_are_placed_by_line_or_number(tmp_path: Path) -> None:
    assert read_table(text("sep=,\n\n" + TEXT)(tmp_path)).places == ["line 4", "line 5", "line 6"]
    assert read_table(parquet(tmp_path)).places == ["row 1", "row 2", "row 3"]
    assert read_table(text(LINES)(tmp_path)).places == ["line 1", "line 2", "line 3"]
    assert read_table(spark(".csv")(tmp_path)).places[2] == "part-00001-4f1c-c000.csv line 2"


def test_the_folders_of_partitions_are_columns(tmp_path: Path) -> None:
    FRAME.assign(country=["de", "es", "de"]).to_parquet(tmp_path / "out", partition_cols=["country"])
    frame = read_table(tmp_path / "out").frame
    assert sorted(zip(frame["id"], frame["country"].astype(str), strict=True)) == [
        ("a", "de"),
        ("b", "es"),
        ("c", "de"),
    ]


def test_numbers_of_parquet_and_json_keep_their_types(tmp_path: Path) -> None:
    pd.DataFrame({"a": [Decimal("1.50"), None], "b": [1, None], "c": [True, None]}).to_parquet(tmp_path / "t")
    assert read_table(tmp_path / "t").frame.astype("object").iloc[0].tolist() == [1.5, 1, True]
    path = text('{"a": 1.5, "b": 1, "c": true, "d": {"e": [1]}}\n{"b": null}')(tmp_path)
    assert read_table(path).frame.astype("object").iloc[0].tolist() == [1.5, 1, True, '{"e": [1]}']
    assert read_table(path).frame.iloc[1].isna().all()


def archive(*names: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "table.csv", "w") as file:
            for name in names:
                file.writestr(name, TEXT)
        return folder / "table.csv"

    return write


def raw(content: bytes, name: str = "table.csv") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def folder_of(*names: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        out = folder / "out"
        for name in names:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(TEXT if "other" not in name else TEXT.replace("id", "account"))
        out.mkdir(exist_ok=True)
        return out

    return write


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: folder / "nowhere.csv", "nowhere.csv cannot be read: No such file"),
        (raw(b""), "cannot be read: it is empty"),
        (raw(codecs.BOM_UTF8 + b"\r\n \n"), "cannot be read: it is empty"),
        (raw(b"sep=;\n"), "cannot be read: it is empty"),
        (raw(b"id,months\n"), "it has no rows below its header"),
        (raw(b"id,months\n,\n\n"), "it has no rows below its header"),
        (raw(b"[]"), "cannot be read"),
        (raw(b"id,plan,id\na,b,c\n"), "has two columns 'id': rename or remove one of them"),
        (raw(b"id, plan ,plan\na,b,c\n"), "has two columns 'plan'"),
        (raw(b"id,plan\na,b\nb,c,d\n"), "line 3 has 3 cells, and the header 2"),
        (raw(b'id,plan\n"a\nb",b\nb\n'), "line 4 has 1 cells, and the header 2"),
        (
            raw(b"id;plan\na;b;\nb;c;\n"),
            "rows longer than its header: name every column, row numbers too, and end no row",
        ),
        (raw(b'id,plan\na,"b\nc,d\n'), "the row that begins in line 2"),
        (raw(b'id,plan\na,"b" c\n'), "the row that begins in line 2"),
        (raw(b'{"id": 1}\n{"id"\n'), "line 2 is not JSON"),
        (raw(b'{"id": 1}\n\n[2]\n'), "line 3 is no JSON object but list"),
        (raw(b'[{"id": 1},\n'), "begins as a JSON array, but is none: line 2"),
        (
            archive("xl/workbook.xml"),
            "is an Excel workbook, which is not read: in the spreadsheet choose Save as, CSV UTF-8",
        ),
        (archive("mimetype", "content.xml"), "is an OpenDocument spreadsheet, which is not read"),
        (archive("a.csv", "b.csv"), "is a ZIP archive: unpack it, and give the table in it (a.csv, b.csv)"),
        (raw(b"\xd0\xcf\x11\xe0rest"), "is an Excel workbook"),
        (raw(b"\n<html><table>"), "is HTML or XML, as some exports called .xls are"),
        (raw(b"BZh91AY"), "is compressed by bzip2: uncompress it"),
        (raw(b"ARROW1"), "is an Arrow file, which is not read: write the table as CSV or Parquet"),
        (raw(b"PAR1 and no more"), "cannot be read"),
        (raw(b"id\0plan\n"), "it is no text"),
        (raw(b"\xff\xfei\0d\0x"), "begins as UTF-16 and is none"),
        (raw(gzip.compress(TEXT.encode() * 99)[:-9]), "damaged gzip file"),
        (folder_of(), "is a folder without tables"),
        (folder_of("_SUCCESS", ".hidden.csv", "_temporary/0/part.csv"), "is a folder without tables"),
        (folder_of("_delta_log/0.json", "part-0.csv"), "is a Delta table"),
        (
            folder_of("a.csv", "other.csv"),
            "other.csv has other columns than a.csv beside it: 'account', 'months', 'plan'",
        ),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_do(tmp_path: Path, write: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(SourceError) as error:
        read_table(write(tmp_path))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_of_several_kinds_is_refused(tmp_path: Path) -> None:
    out = folder_of("a.csv")(tmp_path)
    parquet(out)
    with pytest.raises(SourceError, match="has files of several kinds"):
        read_table(out)


def test_the_checksum_of_a_folder_is_of_its_tables(tmp_path: Path) -> None:
    out = folder_of("a.csv", "b.csv")(tmp_path)
    before = checksum(out)
    (out / "_SUCCESS").write_text("x")
    assert checksum(out) == before
    (out / "b.csv").write_text(TEXT + "d,1,x\n")
    assert checksum(out) != before

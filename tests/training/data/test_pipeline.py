import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from training.data import bank, pipeline, resolve, sources
from training.data.dialogue import opening
from training.data.pipeline import load, prepare
from training.data.sources import BANK, HH_RLHF, SHP2, TELCO, Hub, SourceError
from training.data.split import SPLITS

TEXT = ("oasst1", "hh-rlhf")


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory):
    """The folder where every set that the mirror has is made."""
    out = tmp_path_factory.mktemp("data")
    for name in ("telco", "bank", *TEXT):
        assert prepare(name, data, out) == out / name
    return out


def report(made, name):
    return json.loads((made / name / "report.json").read_text())


def test_telco_has_7032_whole_customers_split_80_10_10(made) -> None:
    assert [len(load("telco", made, split)) for split in SPLITS] == [5625, 703, 704]
    rows = load("telco", made, *SPLITS)
    assert list(rows.columns) == ["position", "customer_id", *RISK_FACTS, "churned"]
    assert rows["customer_id"].is_unique
    assert rows["position"].is_monotonic_increasing
    assert rows["position"].is_unique
    assert rows.notna().all(axis=None)
    assert rows["churned"].sum() == 1869
    assert report(made, "telco")["dropped"] == {"TotalCharges is blank (tenure 0)": 11}


def test_the_bank_keeps_every_call_and_what_is_unknown_is_missing(made) -> None:
    assert [len(load("bank", made, split)) for split in SPLITS] == [32950, 4119, 4119]
    rows = load("bank", made, *SPLITS)
    assert list(rows.columns) == ["position", *ACCEPT_FACTS, *bank.CONTEXT.values(), "offer_level", "accepted"]
    assert rows["position"].tolist() == list(range(41188))
    assert rows["accepted"].sum() == 4640
    assert not rows[[*ACCEPT_FACTS]].isin(["unknown", 999]).any(axis=None)
    assert report(made, "bank")["missing"]["credit_default"] == rows["credit_default"].isna().sum() == 8597
    assert set(rows["offer_level"]) == {0, 1, 2, 3}


@pytest.mark.parametrize(("name", "facts"), [("telco", RISK_FACTS), ("bank", ACCEPT_FACTS)])
def test_every_category_is_one_that_the_scorer_knows(made, name: str, facts) -> None:
    rows = load(name, made, *SPLITS)
    for fact, encoding in facts.items():
        assert rows[fact].dtype == "float64" if encoding is None else set(rows[fact].dropna()) <= set(encoding), fact


@pytest.mark.parametrize(("name", "label"), [("telco", "churned"), ("bank", "accepted")])
def test_each_split_has_its_share_of_the_label_and_the_same_schema(made, name: str, label: str) -> None:
    shares = [load(name, made, split)[label].mean() for split in SPLITS]
    assert max(shares) - min(shares) < 0.001
    train, *others = [pq.read_schema(made / name / f"{split}.parquet").remove_metadata() for split in SPLITS]
    assert others == [train, train]
    assert set(map(str, train.types)) == {"int64", "double", "large_string", "bool"}


@pytest.mark.parametrize("name", TEXT)
def test_no_conversation_is_in_two_splits(made, name) -> None:
    splits = [load(name, made, split) for split in SPLITS]
    openings = [set(rows["prompt"].map(opening)) for rows in splits]
    assert len(set().union(*openings)) == sum(map(len, openings))
    rows = pd.concat(splits)
    assert [len(split) / len(rows) for split in splits] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert rows["position"].is_unique
    assert all(prompt[-1]["role"] == "user" for prompt in rows["prompt"])


@pytest.mark.parametrize("name", ["telco", "bank", *TEXT])
def test_every_row_is_kept_or_dropped_for_a_reason_and_the_report_says_so(made, name) -> None:
    said, page = report(made, name), (made / name / "report.md").read_text()
    assert said["read"] == sum(said["dropped"].values()) + sum(said["splits"].values())
    assert said["splits"] == {split: len(load(name, made, split)) for split in SPLITS}
    for text in (said["licence"], said["taken_from"], said["part"], *said["dropped"], *said["files"].values()):
        assert text in page


def test_a_part_of_a_set_is_called_one(made) -> None:
    assert "**A part of the set:** the two test splits" in (made / "hh-rlhf" / "report.md").read_text()
    assert report(made, "hh-rlhf")["read"] == 4664
    assert "A part" not in (made / "telco" / "report.md").read_text()


def test_a_set_that_is_made_already_is_left_alone(made, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in (made / "telco").iterdir()}
    prepare("telco", data, made)
    assert {file: file.stat().st_mtime_ns for file in (made / "telco").iterdir()} == before
    assert "is made of these files already" in capsys.readouterr().out


def test_a_set_is_made_again_when_the_code_has_changed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("telco", data, tmp_path)
    (tmp_path / "telco" / "stale").touch()
    monkeypatch.setattr(pipeline, "CODE", (bank,))
    prepare("telco", data, tmp_path)
    assert not (tmp_path / "telco" / "stale").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "valid.parquet").unlink(),
        lambda folder: (folder / "report.json").unlink(),
        lambda folder: (folder / "report.json").write_text('{"made_of": "'),
        lambda folder: (folder / "report.json").write_text("{}"),
        lambda folder: (folder / "report.json").write_text("[]"),
    ],
)
def test_a_set_that_is_damaged_is_made_again(data: Path, tmp_path: Path, damage) -> None:
    prepare("telco", data, tmp_path)
    damage(tmp_path / "telco")
    prepare("telco", data, tmp_path)
    assert len(load("telco", tmp_path, *SPLITS)) == report(tmp_path, "telco")["read"] - 11


def test_a_report_is_utf_8_whatever_the_platform_writes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("io.text_encoding", lambda encoding, stacklevel=2: encoding or "utf-16")
    prepare("oasst1", data, tmp_path)
    assert "Köpf" in (tmp_path / "oasst1" / "report.md").read_text("utf-8")
    assert json.loads((tmp_path / "oasst1" / "report.json").read_text("utf-8"))["name"] == "oasst1"


def small(monkeypatch, data, tmp_path, change):
    """A mirror whose telco file is what `change` makes of it, and a catalogue that expects just that."""
    content = change((data / TELCO.copies[0].path).read_text()).encode()
    (tmp_path / "telco").mkdir()
    (tmp_path / TELCO.copies[0].path).write_bytes(content)
    copy = replace(TELCO.copies[0], sha256=sha256(content).hexdigest(), bytes=len(content))
    monkeypatch.setitem(sources.SOURCES, "telco", replace(TELCO, copies=(copy,)))


def test_fewer_rows_than_the_catalogue_says_are_an_error_and_leave_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, data, tmp_path, lambda text: text[: text.rindex("\n", 0, -1) + 1])
    with pytest.raises(SourceError, match=r"telco: 7,042 rows from the mirror .*, where 7,043 are expected"):
        prepare("telco", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_set_that_is_not_made_says_how(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"valid\.parquet is not there: .* python -m training\.data bank"):
        load("bank", tmp_path, "valid")


def test_a_mirrors_file_that_is_another_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "telco").mkdir()
    (tmp_path / TELCO.copies[0].path).write_text("customerID,Churn\n" * 100_000)
    with pytest.raises(SourceError, match="is another file"):
        resolve.obtain(TELCO, (), tmp_path, tmp_path / "raw", None)


@pytest.mark.parametrize(
    ("source", "kaggle", "url", "key"),
    [
        (TELCO, None, TELCO.download.url, None),
        (TELCO, ("ada", "secret"), TELCO.kaggle.url, ("ada", "secret")),
        (BANK, ("ada", "secret"), BANK.download.url, None),
    ],
)
def test_what_the_mirror_lacks_is_downloaded_and_from_kaggle_with_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source, kaggle, url, key
) -> None:
    asked = []
    monkeypatch.setattr(resolve.fetch, "fetched", lambda *args: asked.append(args) or tmp_path / "file")
    files = resolve.obtain(source, (), tmp_path, tmp_path / "raw", kaggle)
    assert files == resolve.Files((tmp_path / "file",), url, source.rows)
    [(download, copy, folder, shown)] = asked
    assert (download.url, copy, folder, shown) == (url, source.copies[0], tmp_path / "raw", key)


@pytest.mark.parametrize(
    ("source", "rows", "part"), [(HH_RLHF, 91_038, ""), (SHP2, None, "the first 2,000 rows of each")]
)
def test_text_that_the_mirror_lacks_comes_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source, rows: int | None, part: str
) -> None:
    monkeypatch.setattr(resolve.hub, "read", lambda *args: [tmp_path / "file"])
    files = resolve.obtain(source, {"chosen"}, None, tmp_path / "raw", None)
    assert (files.paths, files.rows) == ((tmp_path / "file",), rows)
    assert files.part.startswith(part)
    assert source.hub.repo in files.taken_from


def test_where_neither_mirror_nor_hub_has_a_set_both_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(hub: Hub) -> None:
        raise SourceError("the hub could not be reached: no route")

    monkeypatch.setattr(resolve.hub, "reach", unreachable)
    with pytest.raises(
        SourceError, match=r"^no copy of shp2 in the mirror .*, and the hub could not be reached: no ro"
    ):
        prepare("shp2", tmp_path, tmp_path / "out")
    there, *absent = (tmp_path / copy.path for copy in HH_RLHF.copies)
    there.parent.mkdir(parents=True)
    there.touch()
    lacking = ", ".join(str(file.relative_to(tmp_path)) for file in absent)
    with pytest.raises(SourceError, match=rf"^no copy of {lacking} in the mirror"):
        prepare("hh-rlhf", tmp_path, tmp_path / "out")
    with pytest.raises(SourceError, match=r"^the hub could not be reached"):
        prepare("shp2", None, tmp_path / "out")

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, Encoding
from training.data import bank, fetch, hub, pipeline, sources
from training.data import resolve as resolve_module
from training.data.dialogue import opening
from training.data.pipeline import load, prepare
from training.data.resolve import KaggleKey
from training.data.sources import BANK, HH_RLHF, SHP2, TELCO, Download, HubDataset, Source, SourceError
from training.data.split import SPLITS

TEXT = ("oasst1", "hh-rlhf")


@pytest.fixture(scope="module")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where every set that the mirror has is prepared."""
    out = tmp_path_factory.mktemp("data")
    for name in ("telco", "bank", *TEXT):
        assert prepare(name, data, out) == out / name
    return out


def report(folder: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / name / "report.json").read_text())
    return document


@pytest.mark.slow
def test_telco_has_7032_complete_customers_split_80_10_10(prepared: Path) -> None:
    assert [len(load("telco", prepared, split)) for split in SPLITS] == [5625, 703, 704]
    rows = load("telco", prepared, *SPLITS)
    assert list(rows.columns) == ["position", "customer_id", *RISK_FACTS, "churned"]
    assert rows["customer_id"].is_unique
    assert rows["position"].is_monotonic_increasing
    assert rows["position"].is_unique
    assert rows.notna().all(axis=None)
    assert rows["churned"].sum() == 1869
    assert report(prepared, "telco")["dropped"] == {"TotalCharges is blank (tenure 0)": 11}


def test_the_bank_keeps_every_call_and_unknown_values_are_missing(prepared: Path) -> None:
    assert [len(load("bank", prepared, split)) for split in SPLITS] == [32950, 4119, 4119]
    rows = load("bank", prepared, *SPLITS)
    assert list(rows.columns) == ["position", *ACCEPT_FACTS, *bank.CONTEXT.values(), "offer_level", "accepted"]
    assert rows["position"].tolist() == list(range(41188))
    assert rows["accepted"].sum() == 4640
    assert not rows[[*ACCEPT_FACTS]].isin(["unknown", 999]).any(axis=None)
    assert report(prepared, "bank")["missing"]["credit_default"] == rows["credit_default"].isna().sum() == 8597
    assert set(rows["offer_level"]) == {0, 1, 2, 3}


@pytest.mark.parametrize(("name", "facts"), [("telco", RISK_FACTS), ("bank", ACCEPT_FACTS)])
def test_every_category_is_one_that_the_scorer_knows(prepared: Path, name: str, facts: dict[str, Encoding]) -> None:
    rows = load(name, prepared, *SPLITS)
    for fact, encoding in facts.items():
        assert rows[fact].dtype == "float64" if encoding is None else set(rows[fact].dropna()) <= set(encoding), fact


@pytest.mark.parametrize(("name", "label"), [("telco", "churned"), ("bank", "accepted")])
def test_all_splits_have_the_same_share_of_the_label_and_the_same_schema(prepared: Path, name: str, label: str) -> None:
    shares = [load(name, prepared, split)[label].mean() for split in SPLITS]
    assert max(shares) - min(shares) < 0.001
    train, *others = [pq.read_schema(prepared / name / f"{split}.parquet").remove_metadata() for split in SPLITS]
    assert others == [train, train]
    assert set(map(str, train.types)) == {"int64", "double", "large_string", "bool"}


@pytest.mark.parametrize("name", TEXT)
def test_no_conversation_is_in_two_splits(prepared: Path, name: str) -> None:
    splits = [load(name, prepared, split) for split in SPLITS]
    openings = [set(rows["prompt"].map(opening)) for rows in splits]
    assert len(set().union(*openings)) == sum(map(len, openings))
    rows = pd.concat(splits)
    assert [len(split) / len(rows) for split in splits] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert rows["position"].is_unique
    assert all(prompt[-1]["role"] == "user" for prompt in rows["prompt"])


@pytest.mark.parametrize("name", ["telco", "bank", *TEXT])
def test_every_row_is_kept_or_dropped_for_a_reason_and_the_report_says_so(prepared: Path, name: str) -> None:
    document, page = report(prepared, name), (prepared / name / "report.md").read_text()
    assert document["read"] == sum(document["dropped"].values()) + sum(document["splits"].values())
    assert document["splits"] == {split: len(load(name, prepared, split)) for split in SPLITS}
    texts = [document[key] for key in ("licence", "taken_from", "part")]
    for text in (*texts, *document["dropped"], *document["files"].values()):
        assert text in page


def test_the_report_says_which_part_of_a_set_was_read(prepared: Path) -> None:
    assert "**A part of the set:** the two test splits" in (prepared / "hh-rlhf" / "report.md").read_text()
    assert report(prepared, "hh-rlhf")["read"] == 4664
    assert "A part" not in (prepared / "telco" / "report.md").read_text()


def test_a_set_that_is_up_to_date_is_left_alone(prepared: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in (prepared / "telco").iterdir()}
    prepare("telco", data, prepared)
    assert {file: file.stat().st_mtime_ns for file in (prepared / "telco").iterdir()} == before
    assert "telco is up to date" in capsys.readouterr().out


def test_a_set_is_prepared_again_when_the_code_has_changed(
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
def test_a_damaged_set_is_prepared_again(data: Path, tmp_path: Path, damage: Callable[[Path], object]) -> None:
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


def change_telco(monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path, change: Callable[[str], str]) -> None:
    """Make a mirror with a changed telco file, which the catalogue expects."""
    content = change((data / TELCO.mirror_files[0].path).read_text()).encode()
    (tmp_path / "telco").mkdir()
    (tmp_path / TELCO.mirror_files[0].path).write_bytes(content)
    mirror_file = replace(TELCO.mirror_files[0], sha256=sha256(content).hexdigest(), bytes=len(content))
    monkeypatch.setitem(sources.SOURCES, "telco", replace(TELCO, mirror_files=(mirror_file,)))


def test_fewer_rows_than_in_the_catalogue_are_reported_and_leave_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_telco(monkeypatch, data, tmp_path, lambda text: text[: text.rindex("\n", 0, -1) + 1])
    with pytest.raises(SourceError, match=r"telco: 7,042 rows from the mirror .*, where 7,043 are expected"):
        prepare("telco", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_loading_a_set_that_is_not_prepared_says_how_to_prepare_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"valid\.parquet is not there: .* python -m training\.data bank"):
        load("bank", tmp_path, "valid")


def test_a_wrong_file_of_the_mirror_is_reported_and_not_downloaded_instead(tmp_path: Path) -> None:
    (tmp_path / "telco").mkdir()
    (tmp_path / TELCO.mirror_files[0].path).write_text("customerID,Churn\n" * 100_000)
    with pytest.raises(SourceError, match="is another file"):
        resolve_module.resolve(TELCO, (), tmp_path, tmp_path / "raw", None)


@pytest.mark.parametrize(
    ("source", "kaggle", "download", "key"),
    [
        (TELCO, None, TELCO.download, None),
        (TELCO, ("ada", "secret"), TELCO.kaggle, ("ada", "secret")),
        (BANK, ("ada", "secret"), BANK.download, None),
    ],
)
def test_a_file_that_the_mirror_lacks_is_downloaded_and_from_kaggle_with_a_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: Source,
    kaggle: KaggleKey | None,
    download: Download,
    key: KaggleKey | None,
) -> None:
    calls: list[tuple[Any, ...]] = []

    def fetch_file(*args: Any) -> Path:
        calls.append(args)
        return tmp_path / "file"

    monkeypatch.setattr(fetch, "fetch_file", fetch_file)
    files = resolve_module.resolve(source, (), tmp_path, tmp_path / "raw", kaggle)
    assert files == resolve_module.SourceFiles((tmp_path / "file",), download.url, source.rows)
    assert calls == [(download, source.mirror_files[0], tmp_path / "raw", key)]


@pytest.mark.parametrize(
    ("source", "rows", "part"), [(HH_RLHF, 91_038, ""), (SHP2, None, "the first 2,000 rows of each")]
)
def test_text_that_the_mirror_lacks_comes_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source, rows: int | None, part: str
) -> None:
    monkeypatch.setattr(hub, "read_rows", lambda *args: [tmp_path / "file"])
    files = resolve_module.resolve(source, {"chosen"}, None, tmp_path / "raw", None)
    assert (files.paths, files.rows) == ((tmp_path / "file",), rows)
    assert files.part.startswith(part)
    assert source.hub is not None
    assert source.hub.repo in files.taken_from


def test_where_neither_mirror_nor_hub_has_a_set_both_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(dataset: HubDataset) -> None:
        raise SourceError("the hub could not be reached: no route")

    monkeypatch.setattr(hub, "check_reachable", unreachable)
    with pytest.raises(
        SourceError, match=r"^no copy of shp2 in the mirror .*, and the hub could not be reached: no ro"
    ):
        prepare("shp2", tmp_path, tmp_path / "out")
    present, *missing = (tmp_path / file.path for file in HH_RLHF.mirror_files)
    present.parent.mkdir(parents=True)
    present.touch()
    names = ", ".join(str(file.relative_to(tmp_path)) for file in missing)
    with pytest.raises(SourceError, match=rf"^no copy of {names} in the mirror"):
        prepare("hh-rlhf", tmp_path, tmp_path / "out")
    with pytest.raises(SourceError, match=r"^the hub could not be reached"):
        prepare("shp2", None, tmp_path / "out")

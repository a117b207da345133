import gzip
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import datasets
import pytest
from huggingface_hub import HfApi

from tests.training.data.conftest import Site
from training.data import hub
from training.data.sources import HubDataset, SourceError


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubDataset:
    """A data set of two subjects with a train split of 5 rows each and a test split of 1, in a folder."""
    monkeypatch.setattr(hub, "check_reachable", lambda dataset: None)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for subject in ("art", "law"):
        for split, rows in (("train", 5), ("test", 1)):
            file = tmp_path / "set" / subject / f"{split}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [{"text": f"{subject} {split} {i}", "labels": i, "unused": [1]} for i in range(rows)]
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return HubDataset(str(tmp_path / "set"), revision="0123456789", splits=("train", "test"))


def texts(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in gzip.decompress(file.read_bytes()).splitlines()]


def test_the_rows_of_each_split_are_read_with_the_columns_asked_for(local: HubDataset, tmp_path: Path) -> None:
    [file] = hub.read_rows(local, {"text", "labels"}, tmp_path / "raw")
    assert file == tmp_path / "raw" / "0123456" / "all.jsonl.gz"
    first, *_ = gzip.decompress(file.read_bytes()).splitlines()
    assert json.loads(first) == {"text": "art train 0", "labels": 0}
    assert len(texts(file)) == 12


def test_each_folder_gives_one_file(local: HubDataset, tmp_path: Path) -> None:
    art, law = hub.read_rows(replace(local, folders=("art", "law")), {"text"}, tmp_path / "raw")
    assert (art.name, law.name) == ("art.jsonl.gz", "law.jsonl.gz")
    assert texts(law) == [f"law train {i}" for i in range(5)] + ["law test 0"]


def test_of_a_large_set_the_first_rows_of_every_file_are_read(local: HubDataset, tmp_path: Path) -> None:
    [file] = hub.read_rows(replace(local, splits=("train",), rows_per_file=2), {"text"}, tmp_path / "raw")
    assert texts(file) == ["art train 0", "art train 1", "law train 0", "law train 1"]


def test_the_same_rows_give_the_same_bytes_and_are_not_fetched_twice(
    local: HubDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = (hub.read_rows(local, {"text"}, tmp_path / folder)[0] for folder in ("one", "two"))
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes()[4:8] == bytes(4)  # the time, which gzip would write
    monkeypatch.setattr(hub, "load_dataset", None)
    monkeypatch.setattr(hub, "check_reachable", None)
    assert hub.read_rows(local, {"text"}, tmp_path / "one") == [first]


def test_rows_that_cannot_be_read_are_reported_and_leave_no_file(local: HubDataset, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"set at 0123456: .*nosuch"):
        hub.read_rows(replace(local, splits=("train", "nosuch")), {"text"}, tmp_path / "raw")
    assert not list((tmp_path / "raw").rglob("*.gz"))


def test_an_unreachable_hub_is_reported_at_once(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HfApi", partial(HfApi, endpoint=site.url("")))
    with pytest.raises(SourceError, match=r"the hub could not be reached: .*404"):
        hub.read_rows(HubDataset("someone/set", "0123456789", ("train",)), {"text"}, tmp_path)
    assert len(site.ranges_requested) == 1


def test_an_error_without_a_message_is_reported_by_its_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HfApi", Mock(side_effect=TimeoutError))
    with pytest.raises(SourceError, match=r"the hub could not be reached: TimeoutError$"):
        hub.read_rows(HubDataset("someone/set", "0123456789", ("train",)), {"text"}, tmp_path)

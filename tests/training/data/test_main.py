import json
from pathlib import Path
from typing import Any

import pytest

from shared.messages import CustomerEvent
from training.data import __main__ as command
from training.data import hub
from training.data.__main__ import kaggle_key, main
from training.data.resolve import SourceFiles, resolve
from training.data.sources import SOURCES, HubDataset, SourceError


@pytest.fixture(autouse=True)
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "KAGGLE_FILE", tmp_path / "kaggle.json")
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_telco_becomes_7043_events_without_labels(data: Path, tmp_path: Path) -> None:
    main(["telco-events", str(tmp_path / "events.jsonl"), "--mirror", str(data)])
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    events = [CustomerEvent.parse(line, "unused") for line in lines]
    assert len({event.customer_id for event in events}) == len(events) == 7043
    assert all(event.event_id == f"telco-{event.customer_id}" for event in events)
    assert b'"tenure": 1, ' in lines[0]
    assert sum(event.total_charges is None for event in events) == 11
    assert set().union(*map(json.loads, lines)) <= set(CustomerEvent.model_fields)
    assert not any("churn" in name for name in set().union(*map(json.loads, lines)))


def test_the_catalogue_lists_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "rows", "pinned", "by", "licence", "origin"]
    assert [line.split()[0] for line in lines] == list(SOURCES)
    for line, source in zip(lines, SOURCES.values(), strict=True):
        assert f"{source.rows:,}" in line
        assert source.licence in line
        assert source.origin in line


def test_one_set_is_prepared(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["telco", "--mirror", str(data), "--out", str(tmp_path)])
    assert "telco: 7,043 rows from the mirror" in capsys.readouterr().out
    assert (tmp_path / "telco" / "train.parquet").is_file()


def test_all_sets_are_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(command, "prepare", lambda name, *_: prepared.append(name))
    main(["all", "--out", str(tmp_path)])
    assert prepared == list(SOURCES)


@pytest.mark.slow
def test_a_set_that_fails_is_reported_and_does_not_stop_the_others(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(dataset: HubDataset) -> None:
        raise SourceError("the hub could not be reached: no route")

    monkeypatch.setattr(hub, "check_reachable", unreachable)
    with pytest.raises(SourceError, match=r"^1 of 5 sets could not be prepared:\nshp2: no copy .* reached: no route$"):
        main(["all", "--mirror", str(data), "--out", str(tmp_path)])
    assert {file.parent.name for file in tmp_path.glob("*/report.md")} == set(SOURCES) - {"shp2"}


def test_the_events_are_utf_8_whatever_the_platform_writes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("io.text_encoding", lambda encoding, stacklevel=2: encoding or "utf-16")
    main(["telco-events", str(tmp_path / "events.jsonl"), "--mirror", str(data)])
    assert (tmp_path / "events.jsonl").read_bytes().startswith(b'{"event_id": ')


def test_events_that_cannot_be_written_are_reported(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"events\.jsonl cannot be written: No such file or directory$"):
        main(["telco-events", str(tmp_path / "gone" / "events.jsonl"), "--mirror", str(data)])


def test_the_events_source_is_downloaded_below_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw_folders: list[Path] = []

    def recorded_resolve(*args: Any) -> SourceFiles:
        raw_folders.append(args[3])
        return resolve(*args)

    monkeypatch.setattr(command, "resolve", recorded_resolve)
    main(["telco-events", str(tmp_path / "events.jsonl"), "--mirror", str(data), "--out", str(tmp_path)])
    assert raw_folders == [tmp_path / "raw"]


def test_the_default_mirror_may_be_missing_and_one_that_is_set_is_reported_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(command, "prepare", lambda *args: calls.append(args))
    monkeypatch.setenv("RETENTION_DATA", str(tmp_path / "gone"))
    main(["bank", "--out", str(tmp_path)])
    assert calls == [("bank", None, tmp_path, None)]
    assert capsys.readouterr().err == f"{tmp_path / 'gone'} is no folder: no mirror\n"
    monkeypatch.delenv("RETENTION_DATA")
    main(["bank", "--out", str(tmp_path)])
    assert capsys.readouterr().err == ""


def test_a_missing_mirror_given_by_option_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "prepare", None)
    with pytest.raises(SystemExit):
        main(["bank", "--mirror", str(tmp_path / "gone"), "--out", str(tmp_path)])
    assert f"--mirror {tmp_path / 'gone'} is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["telco-events"], ["telco", "out.jsonl"], ["titanic"], []])
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)


def test_kaggles_key_is_read_from_kaggles_own_file(tmp_path: Path) -> None:
    file = tmp_path / "kaggle.json"
    assert kaggle_key(file) is None
    file.write_text('{"username": "ada", "key": "secret"}')
    assert kaggle_key(file) == ("ada", "secret")


@pytest.mark.parametrize("content", ["", "[]", '{"username": "ada"}'])
def test_an_invalid_key_file_is_reported_without_its_content(tmp_path: Path, content: str) -> None:
    (tmp_path / "kaggle.json").write_text(content)
    with pytest.raises(SourceError, match=r"kaggle\.json is no key of Kaggle's"):
        kaggle_key(tmp_path / "kaggle.json")


def test_kaggles_key_is_also_read_from_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "sam")
    assert kaggle_key(tmp_path / "kaggle.json") is None
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    assert kaggle_key(tmp_path / "kaggle.json") == ("sam", "secret")

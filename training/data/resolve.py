"""The files of a data set: from the mirror folder if it has them, else from the web, each checked."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from training.data import fetch, hub
from training.data.sources import Source, SourceError

Key = tuple[str, str]
"""A Kaggle user and their key."""


@dataclass(frozen=True)
class Files:
    """A set's files as they lie. `rows` is how many they hold, if that is known beforehand."""

    paths: tuple[Path, ...]
    taken_from: str
    rows: int | None
    part: str = ""


def obtain(source: Source, columns: Collection[str], mirror: Path | None, raw: Path, kaggle: Key | None) -> Files:
    """What is downloaded goes to the folder `raw`; of the hub's rows, these `columns`. Raises `SourceError`."""
    absent = [copy.path for copy in source.copies if mirror and not (mirror / copy.path).is_file()]
    if mirror and source.copies and not absent:
        paths = tuple(fetch.verified(mirror / copy.path, copy) for copy in source.copies)
        return Files(paths, f"the mirror {mirror}", sum(copy.rows for copy in source.copies), source.part)
    try:
        return _from_hub(source, columns, raw) if source.hub else _from_web(source, raw, kaggle)
    except SourceError as error:
        lacking = f"no copy of {', '.join(absent) or source.name} in the mirror {mirror}, and " if mirror else ""
        raise SourceError(f"{lacking}{error}") from error


def _from_hub(source: Source, columns: Collection[str], raw: Path) -> Files:
    assert source.hub is not None
    taken_from = f"the Hugging Face hub, {source.hub.repo} at {source.hub.revision[:7]}"
    paths = tuple(hub.read(source.hub, columns, raw / source.name))
    if (each := source.hub.rows_a_file) is None:
        return Files(paths, taken_from, source.rows)
    return Files(
        paths, taken_from, None, f"the first {each:,} rows of each file of its {' and '.join(source.hub.splits)} split"
    )


def _from_web(source: Source, raw: Path, kaggle: Key | None) -> Files:
    assert source.download is not None
    download, key = (source.kaggle, kaggle) if source.kaggle and kaggle else (source.download, None)
    return Files((fetch.fetched(download, source.copies[0], raw, key),), download.url, source.rows)

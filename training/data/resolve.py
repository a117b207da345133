"""Find the files of a data set: in the mirror folder, or else on the web. Each is verified."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from training.data import fetch, hub
from training.data.sources import Source, SourceError

KaggleKey = tuple[str, str]
"""A Kaggle user name and its key."""


@dataclass(frozen=True)
class SourceFiles:
    """A set's files on disk."""

    paths: tuple[Path, ...]
    taken_from: str
    """Description of their origin."""
    rows: int | None
    """Number of rows in them; None if it is not known beforehand."""
    part: str = ""
    """Description of the part of the set in them; empty if they hold all of it."""


def resolve(
    source: Source, columns: Collection[str], mirror: Path | None, raw: Path, kaggle: KaggleKey | None
) -> SourceFiles:
    """Find or download the files. Downloads go to the folder `raw`; `columns` are read from the Hugging Face hub.

    Raises `SourceError`.
    """
    missing = [file.path for file in source.mirror_files if mirror and not (mirror / file.path).is_file()]
    if mirror and source.mirror_files and not missing:
        paths = tuple(fetch.verify_file(mirror / file.path, file) for file in source.mirror_files)
        rows = sum(file.rows for file in source.mirror_files)
        return SourceFiles(paths, f"the mirror {mirror}", rows, source.part)
    try:
        return _from_hub(source, columns, raw) if source.hub else _from_web(source, raw, kaggle)
    except SourceError as error:
        names = ", ".join(missing) or source.name
        prefix = f"no copy of {names} in the mirror {mirror}, and " if mirror else ""
        raise SourceError(f"{prefix}{error}") from error


def _from_hub(source: Source, columns: Collection[str], raw: Path) -> SourceFiles:
    assert source.hub is not None
    taken_from = f"the Hugging Face hub, {source.hub.repo} at {source.hub.revision[:7]}"
    paths = tuple(hub.read_rows(source.hub, columns, raw / source.name))
    if (count := source.hub.rows_per_file) is None:
        return SourceFiles(paths, taken_from, source.rows)
    splits = " and ".join(source.hub.splits)
    return SourceFiles(paths, taken_from, None, f"the first {count:,} rows of each file of its {splits} split")


def _from_web(source: Source, raw: Path, kaggle: KaggleKey | None) -> SourceFiles:
    assert source.download is not None
    download, key = (source.kaggle, kaggle) if source.kaggle and kaggle else (source.download, None)
    path = fetch.fetch_file(download, source.mirror_files[0], raw, key)
    return SourceFiles((path,), download.url, source.rows)

"""Rows of a data set on the Hugging Face hub, at one revision, into a file of JSON lines for each of its folders."""

import gzip
import json
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import IterableDataset, load_dataset
from huggingface_hub import HfApi
from tqdm import tqdm

from training.data.sources import Hub, SourceError

CHUNK = 1 << 20
"""Bytes read of a JSON file at a time: little more than `rows_a_file` need."""


def reach(hub: Hub) -> None:
    """Raises `SourceError` at once where the hub is out of reach; `load_dataset` would try for half a minute."""
    try:
        HfApi().dataset_info(hub.repo, revision=hub.revision, timeout=5)
    except Exception as error:  # of two HTTP libraries, and OSError: whichever, the set is not there
        said = str(error).strip() or type(error).__name__
        raise SourceError(f"the hub could not be reached: {said.splitlines()[0]}") from error


def read(hub: Hub, columns: Collection[str], out: Path) -> list[Path]:
    """The rows' `columns` under `out`, a `.jsonl.gz` for each folder; one that is there is of this revision, and kept.

    Raises `SourceError`.
    """
    files = {part: out / hub.revision[:7] / f"{part or 'all'}.jsonl.gz" for part in hub.folders}
    if not all(file.is_file() for file in files.values()):
        reach(hub)
    return [_written(hub, part, columns, file) for part, file in files.items()]


def _written(hub: Hub, part: str | None, columns: Collection[str], target: Path) -> Path:
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    try:
        with unfinished.open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as file:
            for row in tqdm(_rows(hub, part), desc=target.name, unit=" rows", leave=False):
                kept = {name: value for name, value in row.items() if name in columns}
                file.write(json.dumps(kept).encode() + b"\n")
    except Exception as error:  # whatever the library, its HTTP client or the disk raises: the rows did not come
        raise SourceError(f"{hub.repo} at {hub.revision[:7]}: {type(error).__name__}: {error}") from error
    return unfinished.replace(target)


def _rows(hub: Hub, part: str | None) -> Iterator[dict[str, Any]]:
    options = {} if hub.rows_a_file is None else {"chunksize": CHUNK}  # which the reader of JSON alone knows
    for split in hub.splits:
        rows = load_dataset(hub.repo, data_dir=part, revision=hub.revision, split=split, streaming=True, **options)
        yield from rows if hub.rows_a_file is None else _starts(rows, hub.rows_a_file)


def _starts(rows: IterableDataset, each: int) -> Iterator[dict[str, Any]]:
    """The first rows of every file: of every subject alike, where their order would give all of a few."""
    for index in range(rows.num_shards):
        yield from islice(rows.shard(rows.num_shards, index), each)

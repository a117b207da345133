"""Rows of a data set on the Hugging Face hub, at one revision, as a file of JSON lines for each of its folders."""

import gzip
import json
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import IterableDataset, load_dataset
from huggingface_hub import HfApi
from tqdm import tqdm

from training.data.sources import HubDataset, SourceError

JSON_CHUNK_BYTES = 1 << 20
"""Bytes of a JSON file that are read at a time: little more than `rows_per_file` need."""
TIMEOUT_SECONDS = 5
"""Timeout of the request that checks whether the hub can be reached."""


def check_reachable(dataset: HubDataset) -> None:
    """Raises `SourceError` at once if the hub cannot be reached; `load_dataset` would try for half a minute."""
    try:
        HfApi().dataset_info(dataset.repo, revision=dataset.revision, timeout=TIMEOUT_SECONDS)
    except Exception as error:  # of two HTTP libraries, and OSError
        message = str(error).strip() or type(error).__name__
        raise SourceError(f"the hub could not be reached: {message.splitlines()[0]}") from error


def read_rows(dataset: HubDataset, columns: Collection[str], out: Path) -> list[Path]:
    """Write `columns` to files `.jsonl.gz` below `out`, one for each folder, unless they exist for this revision.

    Raises `SourceError`.
    """
    files = {folder: out / dataset.revision[:7] / f"{folder or 'all'}.jsonl.gz" for folder in dataset.folders}
    if not all(file.is_file() for file in files.values()):
        check_reachable(dataset)
    return [_write_rows(dataset, folder, columns, file) for folder, file in files.items()]


def _write_rows(dataset: HubDataset, folder: str | None, columns: Collection[str], target: Path) -> Path:
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    try:
        with unfinished.open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as file:
            for row in tqdm(_rows(dataset, folder), desc=target.name, unit=" rows", leave=False):
                selected = {name: value for name, value in row.items() if name in columns}
                file.write(json.dumps(selected).encode() + b"\n")
    except Exception as error:  # whatever the library, its HTTP client or the disk raises
        raise SourceError(f"{dataset.repo} at {dataset.revision[:7]}: {type(error).__name__}: {error}") from error
    return unfinished.replace(target)


def _rows(dataset: HubDataset, folder: str | None) -> Iterator[dict[str, Any]]:
    options = {} if dataset.rows_per_file is None else {"chunksize": JSON_CHUNK_BYTES}  # only JSON's reader takes it
    for split in dataset.splits:
        rows = load_dataset(
            dataset.repo, data_dir=folder, revision=dataset.revision, split=split, streaming=True, **options
        )
        yield from rows if dataset.rows_per_file is None else _first_rows(rows, dataset.rows_per_file)


def _first_rows(rows: IterableDataset, rows_per_file: int) -> Iterator[dict[str, Any]]:
    """The first rows of every file, so that all subjects occur; the first rows of the set have few subjects."""
    for index in range(rows.num_shards):
        yield from islice(rows.shard(rows.num_shards, index), rows_per_file)

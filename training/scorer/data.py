"""The public data sets that the scorer's models are trained on: Telco's customers and the bank's calls."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from training.data.pipeline import load, prepare
from training.data.sources import BANK, TELCO
from training.data.split import SPLITS

CHECKSUMS = {source.path: source.sha256 for source in (TELCO, BANK)}
"""sha256 of the files, by path."""


def public_tables(mirror: Path, data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Telco's customers and the bank's calls with their `split`; prepared in the folder `data` if they are missing.

    Raises `SourceError`.
    """
    return public_table("telco", mirror, data), public_table("bank", mirror, data)


def public_table(name: str, mirror: Path, data: Path) -> pd.DataFrame:
    """All rows of one set with their `split`. Raises `SourceError`."""
    prepare(name, mirror if mirror.is_dir() else None, data)
    return join_splits({split: load(name, data, split) for split in SPLITS})


def join_splits(splits: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of all splits in the order of the source file, with their `split`."""
    rows = pd.concat([rows.assign(split=split) for split, rows in splits.items()])
    return rows.sort_values("position", ignore_index=True)

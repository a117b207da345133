"""Prepare the public data sets for training: find the files, validate, clean, split, write, report.

Each set has a folder, which is replaced as a whole, and only if its files or this code have changed.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from services.scorer import features
from training.data import bank, dialogue, oasst1, preferences, split, table, telco
from training.data.report import Report
from training.data.resolve import KaggleKey, resolve
from training.data.sources import SOURCES, SourceError
from training.data.table import Cleaned


@dataclass(frozen=True)
class DatasetRecipe:
    """How a set's files become rows."""

    schema: pa.DataFrameSchema
    read: Callable[[Path], pd.DataFrame]
    clean: Callable[[pd.DataFrame], Cleaned]
    label: str | None = None
    """Column of labels that stratifies the splits of a table; None for conversations, which are split by opening."""


RECIPES = {
    "telco": DatasetRecipe(telco.SCHEMA, telco.read, telco.clean, "churned"),
    "bank": DatasetRecipe(bank.SCHEMA, bank.read, bank.clean, "accepted"),
    "oasst1": DatasetRecipe(oasst1.SCHEMA, oasst1.read, oasst1.clean),
    "hh-rlhf": DatasetRecipe(preferences.HH_SCHEMA, preferences.read_hh, preferences.clean_hh),
    "shp2": DatasetRecipe(preferences.SHP_SCHEMA, preferences.read_shp, preferences.clean_shp),
}
CODE = (bank, dialogue, features, oasst1, preferences, split, table, telco)
"""Modules that determine the rows together with the files."""


def prepare(name: str, mirror: Path | None, out: Path, kaggle: KaggleKey | None = None) -> Path:
    """The folder of a set's splits and report, which is written unless it is up to date. Raises `SourceError`.

    The files are taken from the folder `mirror` if it has them, or else from the web: from Kaggle if a user and key are
    given and Kaggle has the set.
    """
    source, recipe, folder = SOURCES[name], RECIPES[name], out / name
    files = resolve(source, recipe.schema.columns, mirror, out / "raw", kaggle)
    checksums = {path.name: sha256(path.read_bytes()).hexdigest() for path in files.paths}
    code = [Path(str(module.__file__)).read_bytes() for module in CODE]
    made_of = sha256(repr([checksums, code]).encode()).hexdigest()
    if _made_of(name, folder) == made_of:
        print(f"{name}: {folder} is up to date")
        return folder

    raw = pd.concat([recipe.read(path) for path in files.paths], ignore_index=True)
    if files.rows not in (len(raw), None):
        raise SourceError(f"{name}: {len(raw):,} rows from {files.taken_from}, where {files.rows:,} are expected.")
    cleaned = recipe.clean(raw)
    splits = _splits(cleaned.rows, recipe.label)
    report = Report(
        name=name,
        origin=source.origin,
        licence=source.licence,
        taken_from=files.taken_from,
        part=files.part,
        files=checksums,
        read=len(raw),
        dropped=cleaned.dropped,
        noted=cleaned.noted,
        missing={column: int(count) for column, count in cleaned.rows.isna().sum().items() if count},
        splits={split: len(rows) for split, rows in splits.items()},
        shares={split: float(rows[recipe.label].mean()) for split, rows in splits.items()} if recipe.label else {},
        made_of=made_of,
    )
    _write(splits, report, folder, as_table=recipe.label is not None)
    sizes = ", ".join(f"{split} {rows:,}" for split, rows in report.splits.items())
    print(f"{name}: {report.read:,} rows from {files.taken_from}; {sizes}; what was dropped: {folder / 'report.md'}")
    return folder


def load(name: str, out: Path, *splits: str) -> pd.DataFrame:
    """The rows of the named splits, in the order of the source's file. Raises `SourceError`."""
    rows = pd.concat([_read(name, out / name, split) for split in splits])
    return rows.sort_values("position", ignore_index=True)


def _read(name: str, folder: Path, split: str) -> pd.DataFrame:
    file = _file(name, folder, split)
    if not file.is_file():
        raise SourceError(f"{file} is not there: make it with python -m training.data {name}")
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    with file.open(encoding="utf-8") as lines:
        return pd.DataFrame(map(json.loads, lines))


def _file(name: str, folder: Path, split: str) -> Path:
    return folder / f"{split}.{'parquet' if RECIPES[name].label else 'jsonl'}"


def _made_of(name: str, folder: Path) -> str | None:
    """The hash of the files and code that the folder was made of; None if a split or a readable report is missing."""
    if not all(_file(name, folder, name_of_split).is_file() for name_of_split in split.SPLITS):
        return None
    try:
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))["made_of"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _splits(rows: pd.DataFrame, label: str | None) -> dict[str, pd.DataFrame]:
    if label:
        return split.split_by_label(rows, label)
    return split.split_by_group(rows, rows["prompt"].map(dialogue.opening))


def _write(splits: dict[str, pd.DataFrame], report: Report, folder: Path, as_table: bool) -> None:
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, rows in splits.items():
        if as_table:
            rows.to_parquet(unfinished / f"{name}.parquet", index=False)
        else:
            rows.to_json(unfinished / f"{name}.jsonl", orient="records", lines=True, force_ascii=False)
    (unfinished / "report.json").write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    (unfinished / "report.md").write_text(report.markdown(), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)

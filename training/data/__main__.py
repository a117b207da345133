"""Prepare the public data sets: python -m training.data NAME, or all; or list; or telco-events OUT.jsonl"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

import pandas as pd

from shared.settings import Settings
from training.data import telco
from training.data.pipeline import prepare
from training.data.resolve import KaggleKey, resolve
from training.data.sources import SOURCES, TELCO, SourceError

OUT = Path("data")
"""Default folder of the prepared sets."""
KAGGLE_FILE = Path.home() / ".kaggle" / "kaggle.json"


def telco_events(mirror: Path | None, raw: Path, events: Path) -> None:
    """Write the Telco customers to `events`, one event per line; files that `mirror` lacks are downloaded to `raw`.

    Raises `SourceError`.
    """
    [file] = resolve(TELCO, (), mirror, raw, kaggle_key(KAGGLE_FILE)).paths
    rows = telco.customers(telco.read(file)).drop(columns="position").astype({"tenure": "int64"})
    documents = [
        {"event_id": f"telco-{row['customer_id']}"} | {fact: value for fact, value in row.items() if pd.notna(value)}
        for row in rows.to_dict("records")
    ]
    try:
        events.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{events} cannot be written: {error.strerror}") from error
    print(f"{len(documents)} events in {events}")


def kaggle_key(file: Path) -> KaggleKey | None:
    """The key from the settings, or else from Kaggle's own `file`, if it exists. Raises `SourceError`."""
    settings = Settings.from_environment()
    if settings.kaggle_username and settings.kaggle_key:
        return settings.kaggle_username, settings.kaggle_key.get_secret_value()
    if not file.is_file():
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return document["username"], document["key"]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{file} is no key of Kaggle's: it should hold a JSON object with username and key"
        ) from error


def catalogue() -> str:
    """The sources as a table."""
    columns = ["name", "rows", "pinned by", "licence", "origin"]
    rows = [
        [
            source.name,
            f"{source.rows:,}",
            f"revision {source.hub.revision[:12]}" if source.hub else f"sha256 {source.mirror_files[0].sha256[:12]}",
            source.licence,
            source.origin,
        ]
        for source in SOURCES.values()
    ]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in [columns, *rows])


def prepare_all(mirror: Path | None, out: Path) -> None:
    """Prepare all sets, also if one of them fails. Raises `SourceError` with those that failed."""
    failed = []
    for name in SOURCES:
        try:
            prepare(name, mirror, out, kaggle_key(KAGGLE_FILE))
        except SourceError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise SourceError("\n".join([f"{len(failed)} of {len(SOURCES)} sets could not be prepared:", *failed]))


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(prog="python -m training.data", description=__doc__)
    parser.add_argument(
        "what",
        choices=[*SOURCES, "all", "list", "telco-events"],
        help="a set to prepare, or all of them; list: show the catalogue; telco-events: write customers as events",
    )
    parser.add_argument("events", type=Path, nargs="?", help="the file that telco-events writes")
    parser.add_argument("--mirror", type=Path, help="folder of local copies of the data sets")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the prepared sets")
    args = parser.parse_args(arguments)
    if (args.what == "telco-events") != (args.events is not None):
        parser.error("telco-events needs the file to write, and nothing else takes one")
    if args.mirror and not args.mirror.is_dir():
        parser.error(f"--mirror {args.mirror} is no folder")
    settings = Settings.from_environment()
    if not args.mirror and "data" in settings.model_fields_set and not settings.data.is_dir():
        print(f"{settings.data} is no folder: no mirror", file=sys.stderr)
    mirror = args.mirror or (settings.data if settings.data.is_dir() else None)
    if args.what == "list":
        print(catalogue())
    elif args.what == "telco-events":
        telco_events(mirror, args.out / "raw", args.events)
    elif args.what == "all":
        prepare_all(mirror, args.out)
    else:
        prepare(args.what, mirror, args.out, kaggle_key(KAGGLE_FILE))


if __name__ == "__main__":
    try:
        main()
    except SourceError as error:
        sys.exit(str(error))

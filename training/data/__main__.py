"""Make the data sets ready: python -m training.data NAME, or all; or list; or telco-events OUT.jsonl"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

import pandas as pd

from shared.settings import Settings
from training.data import telco
from training.data.pipeline import prepare
from training.data.resolve import Key, obtain
from training.data.sources import SOURCES, TELCO, SourceError

OUT = Path("data")
KAGGLE = Path.home() / ".kaggle" / "kaggle.json"


def telco_events(mirror: Path | None, raw: Path, events: Path) -> None:
    """Write each Telco customer to `events`, a line each; the file is downloaded to `raw` if `mirror` lacks it.

    Raises `SourceError`.
    """
    [file] = obtain(TELCO, (), mirror, raw, kaggle_key(KAGGLE)).paths
    rows = telco.customers(telco.read(file)).drop(columns="position").astype({"tenure": "int64"})
    said = [
        {"event_id": f"telco-{row['customer_id']}"} | {fact: value for fact, value in row.items() if pd.notna(value)}
        for row in rows.to_dict("records")
    ]
    try:
        events.write_text("".join(json.dumps(event) + "\n" for event in said), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{events} cannot be written: {error.strerror}") from error
    print(f"{len(said)} events in {events}")


def kaggle_key(file: Path) -> Key | None:
    """The user and key that the settings hold, or else Kaggle's `kaggle.json`, if it is there. Raises `SourceError`."""
    settings = Settings()
    if settings.kaggle_username and settings.kaggle_key:
        return settings.kaggle_username, settings.kaggle_key.get_secret_value()
    if not file.is_file():
        return None
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        return given["username"], given["key"]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{file} is no key of Kaggle's: it should hold a username and a key") from error


def catalogue() -> str:
    """The sources as a table."""
    columns = ["name", "rows", "pinned by", "licence", "origin"]
    rows = [
        [
            source.name,
            f"{source.rows:,}",
            f"revision {source.hub.revision[:12]}" if source.hub else f"sha256 {source.copies[0].sha256[:12]}",
            source.licence,
            source.origin,
        ]
        for source in SOURCES.values()
    ]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in [columns, *rows])


def every(mirror: Path | None, out: Path) -> None:
    """Every set; one that fails does not keep the others. Raises `SourceError`, naming those that failed."""
    failed = []
    for name in SOURCES:
        try:
            prepare(name, mirror, out, kaggle_key(KAGGLE))
        except SourceError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise SourceError("\n".join([f"{len(failed)} of {len(SOURCES)} sets could not be made:", *failed]))


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(prog="python -m training.data", description=__doc__)
    parser.add_argument("what", choices=[*SOURCES, "all", "list", "telco-events"])
    parser.add_argument("events", type=Path, nargs="?", help="of telco-events: the file to write")
    parser.add_argument("--mirror", type=Path, help="folder of copies of the data sets")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of what is made")
    args = parser.parse_args(arguments)
    if (args.what == "telco-events") != (args.events is not None):
        parser.error("telco-events, and only that, takes the file to write")
    if args.mirror and not args.mirror.is_dir():
        parser.error(f"--mirror {args.mirror} is no folder")
    settings = Settings()
    if not args.mirror and "data" in settings.model_fields_set and not settings.data.is_dir():
        print(f"{settings.data} is no folder: no mirror", file=sys.stderr)
    mirror = args.mirror or (settings.data if settings.data.is_dir() else None)
    if args.what == "list":
        print(catalogue())
    elif args.what == "telco-events":
        telco_events(mirror, args.out / "raw", args.events)
    elif args.what == "all":
        every(mirror, args.out)
    else:
        prepare(args.what, mirror, args.out, kaggle_key(KAGGLE))


if __name__ == "__main__":
    try:
        main()
    except SourceError as error:
        sys.exit(str(error))

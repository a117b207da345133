"""Make examples of the data sets: python -m training.data telco-events OUT.jsonl [--data DIR]"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

from shared.settings import Settings
from training.data import telco
from training.data.sources import TELCO, SourceError, read


def telco_events(folder: Path, out: Path) -> None:
    """Write each Telco customer as one customer event, a line each."""
    rows = read(TELCO, folder)
    out.write_text("".join(json.dumps(telco.event(row)) + "\n" for row in rows))
    print(f"{len(rows)} events in {out}")


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(prog="python -m training.data", description=__doc__)
    parser.add_argument("what", choices=["telco-events"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Settings().data, help="folder of the data sets")
    args = parser.parse_args(arguments)
    telco_events(args.data, args.out)


if __name__ == "__main__":
    try:
        main()
    except SourceError as error:
        sys.exit(str(error))

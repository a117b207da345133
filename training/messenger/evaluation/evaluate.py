"""Evaluate the message writer: python -m training.messenger.evaluation.evaluate [--artifacts DIR] [--reports DIR]

Writes messenger.html, to look at, and messenger.json, for machines. Needs the artifact alone.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

from shared.artifacts import ArtifactError
from shared.settings import Settings
from training.messenger.evaluation import report
from training.messenger.evaluation.assess import SENT, evaluated


def main() -> None:
    parser = ArgumentParser(
        prog="python -m training.messenger.evaluation.evaluate", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--artifacts", type=Path, default=Settings().artifacts, help="folder of the artifacts")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write to")
    parser.add_argument("--sent", type=int, default=SENT, help="customers who go through messenger and shield")
    args = parser.parse_args()
    try:
        found = evaluated(args.artifacts, args.sent)
    except ArtifactError as error:
        sys.exit(str(error))
    report.write(found, args.reports)
    print(*(f"{aim.name:52} {aim.reached:8.3f}  {aim.verdict}" for aim in report.aims(found)), sep="\n")
    print(f"written to {args.reports / 'messenger.html'} and messenger.json")


if __name__ == "__main__":
    main()

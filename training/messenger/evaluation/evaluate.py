"""Evaluate the message writer: python -m training.messenger.evaluation.evaluate [--artifacts DIR] [--reports DIR]

Writes messenger.html for people and messenger.json for programs. Only the artifact is read; `assess` measures it.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

from shared.artifacts import ArtifactError
from shared.settings import Settings
from training.messenger.evaluation import report
from training.messenger.evaluation.assess import CUSTOMERS, assess


def main() -> None:
    parser = ArgumentParser(
        prog="python -m training.messenger.evaluation.evaluate", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--artifacts", type=Path, default=Settings.from_environment().artifacts, help="folder of the artifacts"
    )
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write to")
    parser.add_argument(
        "--sent",
        dest="customers",
        type=int,
        default=CUSTOMERS,
        help="customers whose messages go through messenger and shield",
    )
    args = parser.parse_args()
    try:
        evaluation = assess(args.artifacts, args.customers)
    except ArtifactError as error:
        sys.exit(str(error))
    report.write(evaluation, args.reports)
    print(*(f"{aim.name:52} {aim.value:8.3f}  {aim.verdict}" for aim in report.aims(evaluation)), sep="\n")
    print(f"written to {args.reports / 'messenger.html'} and messenger.json")


if __name__ == "__main__":
    main()

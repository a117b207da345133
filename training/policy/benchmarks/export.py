"""The customers to learn from and to be judged on, as a file: python -m training.policy.benchmarks.export FILE.npz

Made in the project's own environment, for the rivals have no scorer in theirs.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

from shared.artifacts import ARTIFACTS
from shared.settings import Settings
from training.data.sources import SourceError
from training.policy.benchmarks.people import People, write
from training.policy.customers import load_population


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.benchmarks.export", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets made ready")
    args = parser.parse_args()
    try:
        found = load_population(Settings().data, args.data, ARTIFACTS)
    except SourceError as error:
        sys.exit(str(error))
    args.file.parent.mkdir(parents=True, exist_ok=True)
    write(args.file, People(found.training, found.held_out))


if __name__ == "__main__":
    main()

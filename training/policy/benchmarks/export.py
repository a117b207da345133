"""Write the training and held-out customers to a file: python -m training.policy.benchmarks.export FILE.npz

Run it in the project's own environment: the environment of the benchmarks has no scorer.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

from shared.artifacts import ARTIFACTS
from shared.settings import Settings
from training.data.sources import SourceError
from training.policy.benchmarks.customers import CustomerSplits, write
from training.policy.customers import load_population


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.benchmarks.export", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="file to write, .npz")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    args = parser.parse_args()
    try:
        customers = load_population(Settings.from_environment().data, args.data, ARTIFACTS)
    except SourceError as error:
        sys.exit(str(error))
    args.file.parent.mkdir(parents=True, exist_ok=True)
    write(args.file, CustomerSplits(customers.training, customers.held_out))


if __name__ == "__main__":
    main()

"""Evaluate the predictors: python -m training.scorer.evaluate [--mirror DIR] [--data DIR] [--reports DIR]

Writes predictors.html, to look at, and predictors.json, for machines.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, Encoding, fact_of
from services.scorer.model import INPUTS
from services.scorer.monitor import bin_counts, reference_histograms
from shared.artifacts import read_manifest
from shared.settings import Settings
from training.data.sources import SourceError
from training.data.split import SPLITS
from training.scorer import report
from training.scorer.data import CHECKSUMS, public_tables
from training.scorer.drift_tests import psi
from training.scorer.evaluation import REPEATS, Study, evaluate, in_time
from training.scorer.fit import fit
from training.scorer.targets import Target, accept, accept_all, encoded, risk

EXPLAINED = 5_000
"""Customers, drawn at random, whose SHAP values tell what the model leans on."""


def study(telco: pd.DataFrame, bank: pd.DataFrame, repeats: int = REPEATS) -> Study:
    targets = [risk(telco), accept(bank), accept_all(bank)]
    return Study(
        evaluations=[evaluate(target, repeats) for target in targets],
        in_time=[in_time(target) for target in targets[1:]],
        importance={target.name: importance(target) for target in targets},
        shifts={"risk": shifts(RISK_FACTS, telco), "accept.serving": shifts(ACCEPT_FACTS, bank)},
    )


def importance(target: Target) -> dict[str, float]:
    """Of each fact, strongest first: how far it moves the log-odds, on average (mean |SHAP|, Lundberg et al. 2020)."""
    chosen = np.random.default_rng(target.recipe.seed).permutation(len(target.rows))[:EXPLAINED]
    matrix = xgboost.DMatrix(target.rows[chosen], feature_names=list(target.features))
    values = fit(target).predict(matrix, pred_contribs=True)[:, :-1]
    by_fact = pd.DataFrame(values.T).groupby([fact_of(feature) for feature in target.features]).sum()
    return by_fact.abs().mean(axis=1).sort_values(ascending=False).to_dict()


def shifts(facts: Mapping[str, Encoding], table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The PSI of each fact between the training split and each of the others."""
    rows = {split: encoded(facts, table[table["split"] == split]) for split in SPLITS}
    train = reference_histograms(facts, rows["train"])
    edges = {name: bins["edges"] for name, bins in train.items()}
    return {
        split: {
            name: psi(train[name]["counts"][:-1], counts[:-1])[0]
            for name, counts in bin_counts(facts, edges, rows[split]).items()
        }
        for split in SPLITS[1:]
    }


def compared(found: Study, artifacts: Path) -> str:
    """In words, whether the manifest of the scorer in `artifacts` says the same."""
    theirs = read_manifest(artifacts / "scorer", INPUTS).metrics
    ours = {name: each.mean for name, each in report.rounded(found.metrics).items()}
    other = [
        f"{name} {value} here, {theirs.get(name)} there" for name, value in ours.items() if theirs.get(name) != value
    ]
    if not other:
        return f"{artifacts / 'scorer'} was measured the same"
    return f"{len(other)} of {len(ours)} numbers are not those of {artifacts / 'scorer'}: {'; '.join(other[:3])}, …"


def main() -> None:
    settings = Settings()
    parser = ArgumentParser(prog="python -m training.scorer.evaluate", description=__doc__.partition("\n")[0])
    parser.add_argument("--mirror", type=Path, default=settings.data, help="folder of copies of the data sets")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets made ready")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write to")
    args = parser.parse_args()
    try:
        found = study(*public_tables(args.mirror, args.data))
    except SourceError as error:
        sys.exit(str(error))
    report.write(found, args.reports, CHECKSUMS)
    print(f"written to {args.reports / 'predictors.html'} and predictors.json; {compared(found, settings.artifacts)}")


if __name__ == "__main__":
    main()

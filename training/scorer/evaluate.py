"""Evaluate the predictors: python -m training.scorer.evaluate [--mirror DIR] [--data DIR] [--reports DIR]

Writes predictors.html for people and predictors.json for programs; `evaluation` is the library.
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
from training.scorer.data import CHECKSUMS, public_tables
from training.scorer.drift_tests import psi
from training.scorer.evaluation import REPEATS, EvaluationRun, cross_validate, evaluate_in_time
from training.scorer.fit import fit_trees
from training.scorer.report import round_metrics, write_report
from training.scorer.targets import Target, accept_all_target, accept_target, encode_facts, risk_target

SHAP_ROWS = 5_000
"""Customers, drawn at random, whose SHAP values give the importance of facts."""


def evaluate(telco: pd.DataFrame, bank: pd.DataFrame, repeats: int = REPEATS) -> EvaluationRun:
    """All models: cross-validation, order of time, importance of facts, and shifts between the splits."""
    targets = [risk_target(telco), accept_target(bank), accept_all_target(bank)]
    return EvaluationRun(
        cross_validations=[cross_validate(target, repeats) for target in targets],
        time_evaluations=[evaluate_in_time(target) for target in targets[1:]],
        importance={target.name: importance(target) for target in targets},
        shifts={"risk": split_shifts(RISK_FACTS, telco), "accept.serving": split_shifts(ACCEPT_FACTS, bank)},
    )


def importance(target: Target) -> dict[str, float]:
    """Mean |SHAP| of each fact in log-odds (Lundberg et al. 2020), largest first."""
    selected = np.random.default_rng(target.recipe.seed).permutation(len(target.rows))[:SHAP_ROWS]
    matrix = xgboost.DMatrix(target.rows[selected], feature_names=list(target.features))
    values = fit_trees(target).predict(matrix, pred_contribs=True)[:, :-1]
    by_fact = pd.DataFrame(values.T).groupby([fact_of(feature) for feature in target.features]).sum()
    return by_fact.abs().mean(axis=1).sort_values(ascending=False).to_dict()


def split_shifts(facts: Mapping[str, Encoding], table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """PSI of the validation and test splits against the training split, by split and fact."""
    rows = {split: encode_facts(facts, table[table["split"] == split]) for split in SPLITS}
    train = reference_histograms(facts, rows["train"])
    edges = {name: histogram["edges"] for name, histogram in train.items()}
    return {
        split: {
            name: psi(train[name]["counts"][:-1], counts[:-1])[0]
            for name, counts in bin_counts(facts, edges, rows[split]).items()
        }
        for split in SPLITS[1:]
    }


def compare_with_artifact(run: EvaluationRun, artifacts: Path) -> str:
    """A sentence that says whether the manifest of the scorer in `artifacts` has the same metrics."""
    folder = artifacts / "scorer"
    trained = read_manifest(folder, INPUTS).metrics
    metrics = {name: estimate.mean for name, estimate in round_metrics(run.metrics).items()}
    different = [
        f"{name} {value} here, {trained.get(name)} there"
        for name, value in metrics.items()
        if trained.get(name) != value
    ]
    if not different:
        return f"{folder} has the same metrics"
    return f"{len(different)} of {len(metrics)} metrics differ from those of {folder}: {'; '.join(different[:3])}, …"


def main() -> None:
    settings = Settings.from_environment()
    parser = ArgumentParser(prog="python -m training.scorer.evaluate", description=__doc__.partition("\n")[0])
    parser.add_argument("--mirror", type=Path, default=settings.data, help="folder of local copies of the data sets")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write the report to")
    args = parser.parse_args()
    try:
        run = evaluate(*public_tables(args.mirror, args.data))
    except SourceError as error:
        sys.exit(str(error))
    write_report(run, args.reports, CHECKSUMS)
    comparison = compare_with_artifact(run, settings.artifacts)
    print(f"written to {args.reports / 'predictors.html'} and predictors.json; {comparison}")


if __name__ == "__main__":
    main()

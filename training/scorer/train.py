"""Train the scorer: python -m training.scorer.train [--only risk|accept] [--own FILE --mapping FILE] [--out DIR]

The recipe is evaluated first, by cross-validation over all rows, which the report shows; then both models are trained
on the training and validation splits, and tested on the test split. With --only, one model is trained, and the
artifact keeps the other one. With --own, the risk is trained on your customers, and the artifact keeps the acceptance
model. In both cases the report is not written: make eval-predictors does it.
"""

import sys
from argparse import ArgumentParser
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from services.scorer.features import RISK_FACTS, feature_names
from services.scorer.monitor import reference_histograms
from shared.artifacts import ARTIFACTS, ArtifactError, Manifest
from shared.settings import Settings
from training.data.sources import BANK, TELCO, SourceError
from training.data.split import split_by_label
from training.data.user_data import read_user_data
from training.scorer.artifact import (
    FACTS,
    SCORES,
    ModelPart,
    is_metric_of,
    manifest_metrics,
    read_customers,
    read_part,
    write_artifact,
)
from training.scorer.card import CARD_FILE, TELCO_CUSTOMERS, ModelName, markdown_text, user_data_summary
from training.scorer.data import CHECKSUMS, join_splits, public_table, public_tables
from training.scorer.evaluate import evaluate
from training.scorer.evaluation import (
    REPEATS,
    Metrics,
    cross_validate,
    evaluate_in_time,
    exact,
    merge_metrics,
)
from training.scorer.fit import fit
from training.scorer.metrics import auc, ece, ece_by_chance
from training.scorer.report import write_report
from training.scorer.targets import Target, accept_all_target, accept_target, risk_target, subset
from training.statistics import bootstrap_interval

MAX_ECE = 0.05
"""Highest ECE with which a model is served."""
MAX_USER_ROWS = 20_000
"""Most of your own customers that are cross-validated: enough for three digits, in minutes."""
SOURCES = {"risk": TELCO, "accept": BANK}


class ModelQualityError(Exception):
    """A model is not good enough to be served; the message names it, its metrics and the limits."""


@dataclass(frozen=True)
class ScorerArgs:
    mirror: Path = field(default_factory=lambda: Settings.from_environment().data)
    """Folder of local copies of the data sets."""
    data: Path = Path("data")
    """Folder of the prepared data sets."""
    out: Path = ARTIFACTS / "scorer"
    """Folder of the artifact."""
    reports: Path = Path("reports")
    """Folder of the report."""
    only: ModelName | None = None
    """The model to train; both if None."""
    sample_size: int | None = None
    """Rows of each set to train on, drawn at random; all if None."""
    repeats: int = REPEATS
    """Repeats of the cross-validation."""


def train(args: ScorerArgs) -> Manifest:
    """Train on the public data. Raises `SourceError`, `ModelQualityError` and, with `only`, `ArtifactError`.

    After an error the old artifact is unchanged.
    """
    if args.only:
        return train_one(args.only, args)
    telco, bank = (sample(table, args.sample_size) for table in public_tables(args.mirror, args.data))
    run = evaluate(telco, bank, args.repeats)
    write_report(run, args.reports, CHECKSUMS)
    parts: dict[ModelName, ModelPart] = {
        "risk": public_part("risk", telco, run.metrics),
        "accept": public_part("accept", bank, run.metrics),
    }
    return write_artifact(parts, args.out, "make train-scorer", markdown_text(TELCO_CUSTOMERS))


def train_one(name: ModelName, args: ScorerArgs) -> Manifest:
    """Train one model on the public data; the artifact keeps the other one."""
    other: ModelName = "accept" if name == "risk" else "risk"
    kept_model = read_part(other, args.out)
    table = sample(public_table(SOURCES[name].name, args.mirror, args.data), args.sample_size)
    trained = public_part(name, table, public_metrics(name, table, args.repeats))
    if name == "risk":
        return write_artifact(
            {"risk": trained, "accept": kept_model}, args.out, "make train-risk", markdown_text(TELCO_CUSTOMERS)
        )
    return write_artifact(
        {"risk": kept_model, "accept": trained}, args.out, "make train-accept", read_customers(args.out)
    )


def public_metrics(name: ModelName, table: pd.DataFrame, repeats: int) -> Metrics:
    """The metrics of one model's recipe, as in the report."""
    if name == "risk":
        return cross_validate(risk_target(table), repeats).metrics
    targets = accept_target(table), accept_all_target(table)
    return merge_metrics(
        *(cross_validate(target, repeats) for target in targets), *(evaluate_in_time(target) for target in targets)
    )


def train_on_user_data(customers: Path, mapping: Path, args: ScorerArgs) -> Manifest:
    """Train the risk on your customers; the artifact keeps the acceptance model.

    Raises `SourceError`, `ModelQualityError` and `ArtifactError`; after an error the old artifact is unchanged.
    """
    other, data = read_part("accept", args.out), read_user_data(customers, mapping)
    summary = user_data_summary(data)
    print(*summary, sep="\n")
    for fact, values in data.examples.items():
        advice = "they count as missing" if RISK_FACTS[fact] is None else f"map them under [values.{fact}]"
        first = data.first_unknown[fact]
        print(f"{fact}: unknown values are, for example, {', '.join(values)}: {advice}; the first is in {first}.")
    table = join_splits(split_by_label(data.rows, "churned"))
    target = risk_target(table)
    rows = np.random.default_rng(target.recipe.seed).permutation(len(table))[:MAX_USER_ROWS]
    metrics = cross_validate(subset(target, rows), args.repeats).metrics
    parts: dict[ModelName, ModelPart] = {
        "risk": train_part("risk", target, table["split"], metrics, {customers.name: data.sha256}),
        "accept": other,
    }
    description = markdown_text(" ".join([f"{customers.name}:", *summary]))
    return write_artifact(parts, args.out, "make train-risk DATA=… MAPPING=…", description)


def sample(table: pd.DataFrame, size: int | None) -> pd.DataFrame:
    return table if size is None else table.sample(size, random_state=42).sort_values("position", ignore_index=True)


def public_part(name: ModelName, table: pd.DataFrame, metrics: Metrics) -> ModelPart:
    """A model from the public data. Raises `ModelQualityError`."""
    target = risk_target(table) if name == "risk" else accept_target(table)
    source = SOURCES[name]
    return train_part(name, target, table["split"], metrics, {source.path: source.sha256})


def train_part(name: ModelName, target: Target, splits: pd.Series, metrics: Metrics, data: dict[str, str]) -> ModelPart:
    """Train on all but the test split, and test on it; `metrics` are the recipe's. Raises `ModelQualityError`."""
    check_quality(target, metrics)
    train_rows, test_rows = (subset(target, (splits.eq("test") == is_test).to_numpy()) for is_test in (False, True))
    model = fit(train_rows)
    p, seed = model(test_rows.rows), target.recipe.seed
    test_metrics = {
        f"{target.name}.test.{metric.__name__}": bootstrap_interval(metric, p[None], test_rows.labels, seed)
        for metric in (auc, ece)
    }
    test_metrics[f"{target.name}.test.ece_by_chance"] = exact(ece_by_chance(p, seed))
    columns = len(feature_names(FACTS[name]))  # without the offer's level, which comes last
    without_offer = np.where(np.arange(len(target.features)) < columns, train_rows.rows, 0).astype(np.float32)
    scores = model(without_offer)[:, None].astype(np.float32)
    return ModelPart(
        booster=bytes(model.booster.save_raw("ubj")),
        curves=model.calibrator.dump(),
        histograms=reference_histograms(FACTS[name], train_rows.rows[:, :columns])
        | reference_histograms({SCORES[name]: None}, scores),
        metrics=manifest_metrics(
            {metric: value for metric, value in metrics.items() if is_metric_of(name, metric)} | test_metrics
        ),
        data=data,
    )


def check_quality(target: Target, metrics: Metrics) -> None:
    """Raises `ModelQualityError` if the model is not good enough to be served."""
    means = {metric: metrics[f"{target.name}.{metric}"].mean for metric in ("auc", "ece")}
    if means["auc"] < target.min_auc or means["ece"] > MAX_ECE:
        raise ModelQualityError(
            f"not good enough to be served: {target.name} has an AUC of {means['auc']:.4f} and an ECE of "
            f"{means['ece']:.4f}; the AUC must be at least {target.min_auc}, the ECE at most {MAX_ECE}. "
            "The old artifact is kept."
        )


def main() -> None:
    parser = ArgumentParser(prog="python -m training.scorer.train", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--mirror", type=Path, default=Settings.from_environment().data, help="folder of local copies of the data sets"
    )
    parser.add_argument("--data", type=Path, default=ScorerArgs.data, help="folder of the prepared data sets")
    parser.add_argument("--out", type=Path, default=ScorerArgs.out, help="folder of the artifact")
    parser.add_argument("--reports", type=Path, default=ScorerArgs.reports, help="folder of the report")
    parser.add_argument(
        "--only", choices=["risk", "accept"], help="train this model only; the artifact keeps the other one"
    )
    parser.add_argument("--own", type=Path, help="train the risk on your customers, CSV or Parquet")
    parser.add_argument("--mapping", type=Path, help="mapping of the columns of --own to the scorer's facts, TOML")
    options = vars(parser.parse_args())
    customers, mapping = options.pop("own"), options.pop("mapping")
    if bool(customers) != bool(mapping):
        parser.error("--own and --mapping go together (with make: DATA=customers.csv MAPPING=mapping.toml)")
    if customers and options["only"] == "accept":
        parser.error("--own trains the risk, --only accept the other model: give one of them")
    try:
        args = ScorerArgs(**options)
        manifest = train_on_user_data(customers, mapping, args) if customers else train(args)
    except (SourceError, ModelQualityError, ArtifactError) as error:
        sys.exit(str(error))
    only: ModelName | None = "risk" if customers else args.only
    for name, value in manifest.metrics.items():
        if only is None or is_metric_of(only, name):
            print(f"{name:44} {value:.4f}")
    print(f"version {manifest.version} is in {args.out}; its card: {args.out / CARD_FILE}")


if __name__ == "__main__":
    main()

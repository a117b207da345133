"""Train the scorer: python -m training.scorer.train [--own FILE --mapping FILE] [--out DIR]

The recipe is measured first, by cross-validation over all rows, which the report shows; then both models learn from
the training and validation splits, and the test split checks what is shipped. With --own only the risk model learns,
from your customers, and the acceptance model that is in the folder stays.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from services.scorer import features
from services.scorer.monitor import reference_histograms
from shared.artifacts import ARTIFACTS, ArtifactError, Manifest
from shared.settings import Settings
from training.data import split, user_data
from training.data.sources import BANK, TELCO, SourceError
from training.scorer import report
from training.scorer.artifact import FACTS, SAID, Half, flat, kept, save
from training.scorer.card import TELCO_CUSTOMERS, customers_of, said_of
from training.scorer.data import CHECKSUMS, joined, public_tables
from training.scorer.evaluate import study
from training.scorer.evaluation import REPEATS, Metrics, alone, evaluate
from training.scorer.fit import learn
from training.scorer.metrics import auc, ece, ece_by_chance
from training.scorer.targets import Target, accept, risk, subset
from training.statistics import bootstrap_interval

ECE_CEILING = 0.05
MEASURED = 20_000
"""Of your own customers at most so many are cross-validated: enough for the third digit, in minutes."""


class FloorError(Exception):
    """A model is not good enough to be served; the text says which, and by how much."""


@dataclass(frozen=True)
class Args:
    mirror: Path = field(default_factory=lambda: Settings().data)
    """Folder of copies of the data sets."""
    data: Path = Path("data")
    """Folder of the data sets made ready."""
    out: Path = ARTIFACTS / "scorer"
    """Folder of the artifact."""
    reports: Path = Path("reports")
    """Folder of the report."""
    customers: int | None = None
    """Learn from so many rows of each set, drawn at random; from all if None."""
    repeats: int = REPEATS


def train(args: Args) -> Manifest:
    """Both models. Raises `SourceError` and `FloorError`; the old artifact is kept then."""
    telco, bank = (sample(table, args.customers) for table in public_tables(args.mirror, args.data))
    studied = study(telco, bank, args.repeats)
    report.write(studied, args.reports, CHECKSUMS)
    halves = {
        "risk": make("risk", risk(telco), telco["split"], studied.metrics, {TELCO.path: TELCO.sha256}),
        "accept": make("accept", accept(bank), bank["split"], studied.metrics, {BANK.path: BANK.sha256}),
    }
    return save(halves, args.out, "make train-scorer", TELCO_CUSTOMERS)


def train_risk(customers: Path, mapping: Path, args: Args) -> Manifest:
    """The risk from your customers. Raises `SourceError`, `FloorError`, and `ArtifactError` without an old artifact."""
    accept_half, theirs = kept(args.out), user_data.read(customers, mapping)
    print(*said_of(theirs), sep="\n")
    for fact, values in theirs.strange.items():
        print(f"{fact}: not known are, for example, {', '.join(values)}: say under [values.{fact}] what they are.")
    table = joined(split.by_label(theirs.rows, "churned"))
    target = risk(table)
    measured_on = subset(target, np.random.default_rng(target.recipe.seed).permutation(len(table))[:MEASURED])
    metrics = evaluate(measured_on, args.repeats).metrics
    halves = {
        "risk": make("risk", target, table["split"], metrics, {customers.name: theirs.sha256}),
        "accept": accept_half,
    }
    return save(halves, args.out, "make train-risk DATA=… MAPPING=…", customers_of(customers.name, theirs))


def sample(table: pd.DataFrame, size: int | None) -> pd.DataFrame:
    return table if size is None else table.sample(size, random_state=42).sort_values("position", ignore_index=True)


def make(name: str, target: Target, splits: pd.Series, measured: Metrics, data: Mapping[str, str]) -> Half:
    """Learn from all but the test split, and check what was learnt on that. Raises `FloorError`."""
    check(target, measured)
    known, unseen = (subset(target, (splits.eq("test") == tested).to_numpy()) for tested in (False, True))
    model = learn(known)
    p, seed = model(unseen.rows), target.recipe.seed
    tested = {
        f"{target.name}.test.{metric.__name__}": bootstrap_interval(metric, p[None], unseen.labels, seed)
        for metric in (auc, ece)
    }
    facts = len(features.feature_names(FACTS[name]))  # the level of an offer comes after them, and is ours to choose
    plain = np.where(np.arange(len(target.features)) < facts, known.rows, 0).astype(np.float32)
    return Half(
        booster=bytes(model.booster.save_raw("ubj")),
        curves=model.calibrator.dump(),
        bins=reference_histograms(FACTS[name], known.rows[:, :facts])
        | reference_histograms({SAID[name]: None}, model(plain)[:, None].astype(np.float32)),
        metrics=flat(
            {of: each for of, each in measured.items() if of.partition(".")[0] == name}
            | tested
            | {f"{target.name}.test.ece_by_chance": alone(ece_by_chance(p, seed))}
        ),
        data=data,
    )


def check(target: Target, metrics: Metrics) -> None:
    """Raises `FloorError` where the model is not good enough."""
    name, floor = target.name, target.auc_floor
    found = {metric: metrics[f"{name}.{metric}"].mean for metric in ("auc", "ece")}
    if found["auc"] < floor or found["ece"] > ECE_CEILING:
        raise FloorError(
            f"not good enough to be served: {name} has an AUC of {found['auc']:.4f} and an ECE of {found['ece']:.4f}, "
            f"and it takes {floor} at least and {ECE_CEILING} at most. The old artifact is kept."
        )


def main() -> None:
    parser = ArgumentParser(prog="python -m training.scorer.train", description=__doc__.partition("\n")[0])
    parser.add_argument("--mirror", type=Path, default=Settings().data, help="folder of copies of the data sets")
    parser.add_argument("--data", type=Path, default=Args.data, help="folder of the data sets made ready")
    parser.add_argument("--out", type=Path, default=Args.out, help="folder of the artifact")
    parser.add_argument("--reports", type=Path, default=Args.reports, help="folder of the report")
    parser.add_argument("--own", type=Path, help="your customers, CSV or Parquet, to learn the risk from")
    parser.add_argument("--mapping", type=Path, help="what their columns mean, TOML")
    given = vars(parser.parse_args())
    customers, mapping = given.pop("own"), given.pop("mapping")
    if bool(customers) != bool(mapping):
        parser.error("--own and --mapping go together")
    try:
        args = Args(**given)
        made = train_risk(customers, mapping, args) if customers else train(args)
    except (SourceError, FloorError, ArtifactError) as error:
        sys.exit(str(error))
    measured_now = {name: value for name, value in made.metrics.items() if not customers or name.startswith("risk.")}
    print(*(f"{name:44} {value:.4f}" for name, value in measured_now.items()), sep="\n")
    print(f"version {made.version} is in {args.out}; its card: {args.out / 'MODEL_CARD.md'}")


if __name__ == "__main__":
    main()

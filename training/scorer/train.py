"""Train the scorer: python -m training.scorer.train [--own FILE --mapping FILE] [--out DIR]

The recipe is measured first, by the study that the report shows; then both models learn from the training and
validation splits, and meet the test split once. With --own only the risk model learns, from your customers, and the
acceptance model that is in the folder stays.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from services.scorer import features
from services.scorer.features import ACCEPT, RISK
from services.scorer.model import CURVES, INPUTS
from services.scorer.watch import REFERENCE, Bins, reference
from shared.artifacts import ARTIFACTS, ArtifactError, Manifest, read, version_of, write
from shared.settings import Settings
from training.data import own, split
from training.data.sources import BANK, TELCO, SourceError
from training.scorer import report
from training.scorer.card import TELCO_CUSTOMERS, card, customers_of, said_of
from training.scorer.evaluate import REPEATS, Metrics, evaluate
from training.scorer.learn import learn
from training.scorer.metrics import auc, ece, over_rows
from training.scorer.study import CHECKSUMS, study, tables, whole
from training.scorer.targets import Target, accept, part, risk

ECE_CEILING = 0.05
FACTS = {"risk": RISK, "accept": ACCEPT}
SAID = {"risk": "churn_risk", "accept": "accept_prob"}
"""What of each model the scorer counts."""


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


@dataclass(frozen=True)
class Half:
    """What the artifact holds of one of its two models."""

    booster: bytes
    knots: Mapping[str, Mapping[str, Sequence[float]]]
    """Of each of its curves."""
    bins: Mapping[str, Bins]
    metrics: Mapping[str, float]
    data: Mapping[str, str]
    """The sha256 of what it learnt from, by path."""


def train(args: Args) -> Manifest:
    """Both models. Raises `SourceError` and `FloorError`, before anything is written."""
    telco, bank = (sample(table, args.customers) for table in tables(args.mirror, args.data))
    studied = study(telco, bank, args.repeats)
    halves = {
        "risk": make("risk", risk(telco), telco["split"], studied.metrics, {TELCO.path: TELCO.sha256}),
        "accept": make("accept", accept(bank), bank["split"], studied.metrics, {BANK.path: BANK.sha256}),
    }
    report.write(studied, args.reports, CHECKSUMS)
    return save(halves, args.out, "make train-scorer", TELCO_CUSTOMERS)


def train_risk(customers: Path, mapping: Path, args: Args) -> Manifest:
    """The risk from your customers. Raises `SourceError`, `FloorError`, and `ArtifactError` without an old artifact."""
    theirs = own.read(customers, mapping)
    print(*said_of(theirs), sep="\n")
    table = whole(split.by_label(theirs.rows, "churned"))
    target = risk(table)
    metrics = evaluate(target, args.repeats).metrics
    halves = {
        "risk": make("risk", target, table["split"], metrics, {customers.name: theirs.sha256}),
        "accept": kept("accept", args.out),
    }
    return save(halves, args.out, "make train-risk DATA=… MAPPING=…", customers_of(customers.name, theirs))


def sample(table: pd.DataFrame, size: int | None) -> pd.DataFrame:
    return table if size is None else table.sample(size, random_state=42).sort_values("position", ignore_index=True)


def make(name: str, target: Target, splits: pd.Series, measured: Metrics, data: Mapping[str, str]) -> Half:
    """Learn from the training and validation splits, and meet the test split once. Raises `FloorError`."""
    check(target, measured)
    known, unseen = (part(target, (splits.eq("test") == tested).to_numpy()) for tested in (False, True))
    model = learn(known)
    says, seed = model(unseen.rows)[None], target.recipe.seed
    tested = {
        f"{target.name}.test.{metric.__name__}": over_rows(metric, says, unseen.labels, seed) for metric in (auc, ece)
    }
    facts = len(features.names(FACTS[name]))  # the level of an offer comes after them, and is ours to choose
    plain = np.where(np.arange(len(target.features)) < facts, known.rows, 0).astype(np.float32)
    return Half(
        booster=bytes(model.booster.save_raw("ubj")),
        knots={
            name: {"x": knots.x.tolist(), "y": knots.y.tolist()} for name, knots in model.calibrator._asdict().items()
        },
        bins=reference(FACTS[name], known.rows[:, :facts])
        | reference({SAID[name]: None}, model(plain)[:, None].astype(np.float32)),
        metrics=flat({of: each for of, each in measured.items() if of.partition(".")[0] == name} | tested),
        data=data,
    )


def kept(name: str, folder: Path) -> Half:
    """Of the artifact that is in `folder`. Raises `ArtifactError`."""
    manifest = read(folder, INPUTS)
    bins = json.loads((folder / REFERENCE).read_bytes())
    return Half(
        booster=(folder / f"{name}.ubj").read_bytes(),
        knots=json.loads((folder / CURVES).read_bytes())[name],
        bins={fact: bins[fact] for fact in [*FACTS[name], SAID[name]]},
        metrics={of: value for of, value in manifest.metrics.items() if of.partition(".")[0] == name},
        data={BANK.path: manifest.data_sha256[BANK.path]},
    )


def flat(metrics: Metrics) -> dict[str, float]:
    """Rounded; the ends of an interval under names of their own."""
    return {
        name + end: round(value, 4)
        for name, each in metrics.items()
        for end, value in zip(("", ".low", ".high"), each, strict=True)
        if not end or each.low < each.high
    }


def check(target: Target, metrics: Metrics) -> None:
    """Raises `FloorError` where the model is not good enough."""
    name = target.name
    bad = [f"{name}.auc = {metrics[f'{name}.auc'].mean:.4f}"] * (metrics[f"{name}.auc"].mean < target.auc_floor) + [
        f"{of} = {metrics[of].mean:.4f}"
        for of in (f"{name}.ece", f"{name}.masked.ece")
        if metrics[of].mean > ECE_CEILING
    ]
    if bad:
        raise FloorError(f"not good enough to be served: {', '.join(bad)}. The old artifact is kept.")


def save(halves: Mapping[str, Half], out: Path, made_by: str, customers: str) -> Manifest:
    """Write the artifact; `customers` says of whom the risk was learnt."""
    files = {f"{name}.ubj": half.booster for name, half in halves.items()}
    files[CURVES] = json.dumps({name: half.knots for name, half in halves.items()}).encode()
    files[REFERENCE] = json.dumps({fact: bins for half in halves.values() for fact, bins in half.bins.items()}).encode()
    manifest = Manifest(
        version=version_of(files),
        made_by=made_by,
        inputs=INPUTS,
        data_sha256={path: digest for half in halves.values() for path, digest in half.data.items()},
        metrics=dict(sorted((name, value) for half in halves.values() for name, value in half.metrics.items())),
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    (out / "MODEL_CARD.md").write_text(card(manifest, customers))
    return write(out, manifest)


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
    print(*(f"{name:34} {value:.4f}" for name, value in made.metrics.items()), sep="\n")


if __name__ == "__main__":
    main()

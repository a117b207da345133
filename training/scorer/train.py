"""Train the scorer: python -m training.scorer.train [--data DIR] [--out DIR]

Two gradient-boosted models, each with an isotonic calibrator fitted on out-of-fold predictions. An event may carry any
of the facts, so each customer is learnt from as they are and again with random facts missing: what the models say of a
customer half known is then the average over those who agree in that half, and not what an absent value happens to mean.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import xgboost
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold

from services.scorer.model import INPUTS
from shared.artifacts import ARTIFACTS, Manifest, write
from shared.settings import Settings
from training.data.sources import BANK, TELCO, SourceError
from training.scorer import targets
from training.scorer.card import card
from training.scorer.metrics import auc, ece, with_interval
from training.scorer.targets import Target, limited, masked

FOLDS = 5
ECE_CEILING = 0.05
MASKING_COST = 0.005
"""AUC on whole customers that learning from masked ones may cost."""


class FloorError(Exception):
    """A model is not good enough to be served; the text says which, and by how much."""


@dataclass(frozen=True)
class Args:
    data: Path = field(default_factory=lambda: Settings().data)
    """Folder of the data sets."""
    out: Path = ARTIFACTS / "scorer"
    """Folder of the artifact."""
    customers: int | None = None
    """Learn from so many rows of each set, drawn at random; from all if None."""
    trees: int = 60
    copies: int = 3
    """Of each customer, with random facts missing."""
    seed: int = 42


def fit(target: Target, train: np.ndarray, views: Sequence[np.ndarray], args: Args) -> xgboost.Booster:
    """Learn from the customers `train` [k], in each of the `views` of them [n, features]."""
    parameters = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "eta": 0.15,
        "min_child_weight": 10 * len(views),
        "monotone_constraints": tuple(target.monotone.get(feature, 0) for feature in target.features),
        "seed": args.seed,
        "nthread": 1,  # more would add the same numbers in another order
    }
    rows, labels = np.concatenate([view[train] for view in views]), np.tile(target.labels[train], len(views))
    return xgboost.train(parameters, xgboost.DMatrix(rows, labels, feature_names=list(target.features)), args.trees)


def predict(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    return booster.inplace_predict(rows, validate_features=False)


def calibrator(probabilities: Sequence[np.ndarray], labels: np.ndarray) -> IsotonicRegression:
    """Isotonic over several predictions of the same labels; never quite 0 or 1, which no sample can show."""
    edge = 1 / len(labels)
    curve = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip")
    return curve.fit(np.concatenate(probabilities), np.tile(labels, len(probabilities)))


def learn(target: Target, args: Args) -> tuple[xgboost.Booster, dict[str, list[float]], dict[str, float]]:
    """The model, the knots of its calibrator, and its metrics. Raises `FloorError`.

    Every metric is of a model *and* a calibrator that have not seen the customer. The calibrator that is kept learns
    from all out-of-fold predictions, and the model that is kept from all customers.
    """
    rng = np.random.default_rng(args.seed)
    everyone, labels = np.arange(len(target.labels)), target.labels
    copies = [masked(target, rng) for _ in range(args.copies)]
    views = {"whole": target.rows, "masked": masked(target, rng)}
    for name, known in target.views.items():
        views[name] = limited(target, np.isin(target.facts, known)[None])
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=args.seed).split(target.rows, labels))

    raw = {name: np.empty(len(labels), np.float32) for name in [*views, "unmasked"]}
    for train, test in folds:
        booster = fit(target, train, [target.rows, *copies], args)
        raw["unmasked"][test] = predict(fit(target, train, [target.rows], args), target.rows[test])
        for name, rows in views.items():
            raw[name][test] = predict(booster, rows[test])

    calibrated = {name: np.empty(len(labels)) for name in views}
    for train, test in folds:
        curve = calibrator([raw["whole"][train], raw["masked"][train]], labels[train])
        for name in views:
            calibrated[name][test] = curve.predict(raw[name][test])

    metrics = {f"{target.name}.base_rate": float(labels.mean())}
    metrics[f"{target.name}.masking_cost"] = auc(raw["unmasked"], labels) - auc(raw["whole"], labels)
    for name, probabilities in calibrated.items():
        of = target.name if name == "whole" else f"{target.name}.{name}"
        metrics |= with_interval(f"{of}.ece", ece, probabilities, labels, args.seed)
        if name != "id_only":  # where nothing tells customers apart, there is nothing to rank
            metrics |= with_interval(f"{of}.auc", auc, probabilities, labels, args.seed)
    check(target, metrics)

    curve = calibrator([raw["whole"], raw["masked"]], labels)
    knots = {"x": curve.X_thresholds_.tolist(), "y": curve.y_thresholds_.tolist()}
    return fit(target, everyone, [target.rows, *copies], args), knots, metrics


def check(target: Target, metrics: dict[str, float]) -> None:
    """Raises `FloorError` where the model is not good enough."""
    values = {name: metrics[f"{target.name}.{name}"] for name in ("auc", "ece", "masked.ece", "masking_cost")}
    good = {
        "auc": values["auc"] >= target.auc_floor,
        "ece": values["ece"] <= ECE_CEILING,
        "masked.ece": values["masked.ece"] <= ECE_CEILING,
        "masking_cost": values["masking_cost"] <= MASKING_COST,
    }
    if bad := [f"{target.name}.{name} = {values[name]:.4f}" for name in good if not good[name]]:
        raise FloorError(f"not good enough to be served: {', '.join(bad)}. The old artifact is kept.")


def forward(target: Target, args: Args) -> float:
    """AUC on the last fifth of rows in order of time, learnt from those before: what a shuffled fold flatters."""
    first, last = np.split(np.arange(len(target.labels)), [len(target.labels) * 4 // 5])
    return auc(predict(fit(target, first, [target.rows], args), target.rows[last]), target.labels[last])


def train(args: Args) -> Manifest:
    """Train both models and write the artifact. Raises `SourceError` and `FloorError`, before anything is written."""
    risk = targets.sample(targets.risk(args.data), args.customers, args.seed)
    accept = targets.sample(targets.accept(args.data), args.customers, args.seed)
    learnt = {target.name: learn(target, args) for target in (risk, accept)}
    metrics = {name: value for _, _, measured in learnt.values() for name, value in measured.items()}
    metrics["accept.forward.auc"] = forward(accept, args)

    files = {f"{name}.ubj": bytes(booster.save_raw("ubj")) for name, (booster, _, _) in learnt.items()}
    files["calibration.json"] = json.dumps({name: knots for name, (_, knots, _) in learnt.items()}).encode()
    manifest = Manifest(
        version=sha256(b"".join(files.values())).hexdigest()[:12],
        made_by="python -m training.scorer.train",
        inputs=INPUTS,
        data_sha256={source.path: source.sha256 for source in (TELCO, BANK)},
        metrics={name: round(value, 4) for name, value in sorted(metrics.items())},
    )
    args.out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (args.out / name).write_bytes(content)
    (args.out / "MODEL_CARD.md").write_text(card(manifest))
    return write(args.out, manifest)


if __name__ == "__main__":
    parser = ArgumentParser(prog="python -m training.scorer.train", description=__doc__)
    parser.add_argument("--data", type=Path, default=Settings().data, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Args.out, help="folder of the artifact")
    try:
        made = train(Args(**vars(parser.parse_args())))
    except (SourceError, FloorError) as error:
        sys.exit(str(error))
    print(*(f"{name:24} {value:.4f}" for name, value in made.metrics.items()), sep="\n")

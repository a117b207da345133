"""The scorer's artifact: a part for each of its two models, trained in this run or taken from the previous artifact."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import CALIBRATORS_FILE, FILES, INPUTS
from services.scorer.monitor import HISTOGRAMS_FILE, Histogram
from shared.artifacts import ArtifactError, Manifest, content_version, read_manifest, write_manifest
from training.data.sources import BANK
from training.scorer.card import CARD_FILE, ModelName, customers_in_card, model_card
from training.scorer.evaluation import Metrics
from training.scorer.report import round_metrics

FACTS = {"risk": RISK_FACTS, "accept": ACCEPT_FACTS}
SCORES = {"risk": "churn_risk", "accept": "accept_prob"}
"""Name of the score of each model, which the service counts like a fact."""


@dataclass(frozen=True)
class ModelPart:
    """The part of the artifact about one model."""

    booster: bytes
    curves: Mapping[str, Any]
    """Curves of its calibrator."""
    histograms: Mapping[str, Histogram]
    """Histograms of its facts and its score, by name."""
    metrics: Mapping[str, float]
    data: Mapping[str, str]
    """The sha256 of its training data, by path."""
    kept_from: str = ""
    """Version of the artifact that it was taken from; empty if it was trained in this run."""


def read_part(name: ModelName, folder: Path) -> ModelPart:
    """The part of the artifact in `folder` about this model. Raises `ArtifactError`."""
    try:
        manifest = read_manifest(folder, INPUTS, FILES)
    except ArtifactError as error:
        raise ArtifactError(
            f"{error} Training one model keeps the other ({name}) from the artifact. To train both, run: make"
            " train-scorer"
        ) from error
    histograms = json.loads((folder / HISTOGRAMS_FILE).read_bytes())
    return ModelPart(
        booster=(folder / f"{name}.ubj").read_bytes(),
        curves=json.loads((folder / CALIBRATORS_FILE).read_bytes())[name],
        histograms={fact: histograms[fact] for fact in [*FACTS[name], SCORES[name]]},
        metrics={metric: value for metric, value in manifest.metrics.items() if is_metric_of(name, metric)},
        data={
            path: digest for path, digest in manifest.data_sha256.items() if (path == BANK.path) == (name == "accept")
        },
        kept_from=manifest.version,
    )


def read_customers(folder: Path) -> str:
    """Description of the training customers of the risk in `folder`, in Markdown, from its model card."""
    return customers_in_card((folder / CARD_FILE).read_text(encoding="utf-8"))


def is_metric_of(name: ModelName, metric: str) -> bool:
    return metric.partition(".")[0] == name


def manifest_metrics(metrics: Metrics) -> dict[str, float]:
    """Rounded means by name; the ends of an interval, if there is one, have the suffixes `.low` and `.high`."""
    return {
        name + suffix: value
        for name, estimate in round_metrics(metrics).items()
        for suffix, value in zip(("", ".low", ".high"), estimate, strict=True)
        if not suffix or estimate.low < estimate.high
    }


def write_artifact(parts: Mapping[ModelName, ModelPart], out: Path, made_by: str, customers: str) -> Manifest:
    """Write the artifact; `customers` describes the training customers of the risk, in Markdown."""
    files = {f"{name}.ubj": part.booster for name, part in parts.items()}
    files[CALIBRATORS_FILE] = json.dumps({name: part.curves for name, part in parts.items()}).encode()
    histograms = {fact: histogram for part in parts.values() for fact, histogram in part.histograms.items()}
    files[HISTOGRAMS_FILE] = json.dumps(histograms).encode()
    manifest = Manifest(
        version=content_version(files),
        made_by=made_by,
        inputs=INPUTS,
        data_sha256={path: digest for part in parts.values() for path, digest in part.data.items()},
        metrics=dict(sorted((name, value) for part in parts.values() for name, value in part.metrics.items())),
    )
    kept_from = {name: part.kept_from for name, part in parts.items() if part.kept_from}
    files[CARD_FILE] = model_card(manifest, customers, kept_from).encode()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    return write_manifest(out, manifest)

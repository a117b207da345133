"""The scorer's artifact: two halves, one for each model, written together or one kept and the other made anew."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import CURVES_FILE, FILES, INPUTS
from services.scorer.monitor import REFERENCE_FILE, Histogram
from shared.artifacts import Manifest, content_version, read_manifest, write_manifest
from training.data.sources import BANK
from training.scorer.card import card
from training.scorer.evaluation import Metrics
from training.scorer.report import rounded

FACTS = {"risk": RISK_FACTS, "accept": ACCEPT_FACTS}
SAID = {"risk": "churn_risk", "accept": "accept_prob"}
"""What of each model the scorer counts."""


@dataclass(frozen=True)
class Half:
    """What the artifact holds of one of its two models."""

    booster: bytes
    curves: Mapping[str, Any]
    """Its calibrator."""
    bins: Mapping[str, Histogram]
    metrics: Mapping[str, float]
    data: Mapping[str, str]
    """The sha256 of what it learnt from, by path."""


def kept(folder: Path) -> Half:
    """Acceptance, of the artifact that is in `folder`. Raises `ArtifactError`."""
    manifest, name = read_manifest(folder, INPUTS, FILES), "accept"
    bins = json.loads((folder / REFERENCE_FILE).read_bytes())
    return Half(
        booster=(folder / f"{name}.ubj").read_bytes(),
        curves=json.loads((folder / CURVES_FILE).read_bytes())[name],
        bins={fact: bins[fact] for fact in [*FACTS[name], SAID[name]]},
        metrics={of: value for of, value in manifest.metrics.items() if of.partition(".")[0] == name},
        data={BANK.path: manifest.data_sha256[BANK.path]},
    )


def flat(metrics: Metrics) -> dict[str, float]:
    """Rounded; the ends of an interval under names of their own."""
    return {
        name + end: value
        for name, each in rounded(metrics).items()
        for end, value in zip(("", ".low", ".high"), each, strict=True)
        if not end or each.low < each.high
    }


def save(halves: Mapping[str, Half], out: Path, made_by: str, customers: str) -> Manifest:
    """Write the artifact; `customers` says of whom the risk was learnt."""
    files = {f"{name}.ubj": half.booster for name, half in halves.items()}
    files[CURVES_FILE] = json.dumps({name: half.curves for name, half in halves.items()}).encode()
    files[REFERENCE_FILE] = json.dumps(
        {fact: bins for half in halves.values() for fact, bins in half.bins.items()}
    ).encode()
    manifest = Manifest(
        version=content_version(files),
        made_by=made_by,
        inputs=INPUTS,
        data_sha256={path: digest for half in halves.values() for path, digest in half.data.items()},
        metrics=dict(sorted((name, value) for half in halves.values() for name, value in half.metrics.items())),
    )
    files["MODEL_CARD.md"] = card(manifest, customers).encode()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    return write_manifest(out, manifest)

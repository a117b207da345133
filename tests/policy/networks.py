"""Untrained policy networks, in the format that training writes."""

from pathlib import Path
from typing import Any

import numpy as np

from services.policy.policies.network import FILE, HEADS, INPUTS
from shared.artifacts import Manifest, content_version, write_manifest

HIDDEN = 128


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights by name."""
    rng, inputs = np.random.default_rng(seed), len(INPUTS["policy"])
    shapes: dict[str, tuple[int, ...]] = {
        "w1": (inputs, HIDDEN),
        "b1": (HIDDEN,),
        "w2": (HIDDEN, HIDDEN),
        "b2": (HIDDEN,),
    }
    for head, width in HEADS.items():
        shapes |= {f"{head}_w": (HIDDEN, width), f"{head}_b": (width,)}
    weights = {name: rng.normal(size=shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}
    weights |= {"mean": rng.uniform(0.2, 0.8, inputs), "std": rng.uniform(0.05, 0.3, inputs)}
    return {name: array.astype(np.float32) for name, array in weights.items()}


def artifact(folder: Path, seed: int = 0, **other: np.ndarray) -> Path:
    """Write an artifact of such a network, with `other` arrays in place of its own; returns its folder."""
    folder.mkdir(parents=True)
    weights: dict[str, Any] = {**arrays(seed), **other}
    np.savez(folder / FILE, **weights)
    version = content_version({FILE: (folder / FILE).read_bytes()})
    manifest = Manifest(version=version, made_by="make train-policy", inputs=INPUTS, data_sha256={}, metrics={})
    write_manifest(folder, manifest)
    return folder

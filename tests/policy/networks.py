"""Networks that nobody trained, written as training writes them."""

from pathlib import Path

import numpy as np

from services.policy.policies.network import FILE, HEADS, INPUTS
from shared.artifacts import Manifest, content_version, write_manifest

HIDDEN = 128


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng, observed = np.random.default_rng(seed), len(INPUTS["policy"])
    sizes = {"w1": (observed, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, HIDDEN), "b2": (HIDDEN,)}
    for head, width in HEADS.items():
        sizes |= {f"{head}_w": (HIDDEN, width), f"{head}_b": (width,)}
    drawn = {name: rng.normal(size=size) / np.sqrt(size[0]) for name, size in sizes.items()}
    drawn |= {"mean": rng.uniform(0.2, 0.8, observed), "std": rng.uniform(0.05, 0.3, observed)}
    return {name: array.astype(np.float32) for name, array in drawn.items()}


def artifact(folder: Path, seed: int = 0, **other: np.ndarray) -> Path:
    """An artifact of such a network, with `other` arrays in place of its own; its folder."""
    folder.mkdir(parents=True)
    np.savez(folder / FILE, **{**arrays(seed), **other})
    version = content_version({FILE: (folder / FILE).read_bytes()})
    manifest = Manifest(version=version, made_by="make train-policy", inputs=INPUTS, data_sha256={}, metrics={})
    write_manifest(folder, manifest)
    return folder

"""The trained network: two layers, and heads for contact, offer, delay and worth. NumPy, because it is small."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.policy.policies.observation import OBSERVATION
from shared.artifacts import Manifest, read_manifest

Floats = NDArray[np.float32]

FILE = "policy.npz"
INPUTS = {"policy": OBSERVATION}
HEADS = ("contact", "offer", "delay", "value")


class Network:
    """Observations to what the heads say, side by side in the order of HEADS; `manifest` tells how it was trained.

    Arrays are as torch's transposed: `w1` [observation, hidden], `b1` [hidden], `contact_w` [hidden, 2], and so on.
    `mean` and `std` of observations are worked into the first layer.
    """

    def __init__(self, arrays: dict[str, Floats], manifest: Manifest) -> None:
        self.manifest = manifest
        std = arrays["std"].astype(float)
        first = arrays["w1"] / std[:, None]
        self._w1 = first.astype(np.float32)
        self._b1 = (arrays["b1"] - arrays["mean"] @ first).astype(np.float32)
        self._w2, self._b2 = arrays["w2"], arrays["b2"]
        self._heads, self._head_b = (np.concatenate([arrays[f"{head}_{kind}"] for head in HEADS], -1) for kind in "wb")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` where the file is damaged or made for other observations."""
        manifest = read_manifest(folder, INPUTS, [FILE])
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            return cls(dict(arrays), manifest)

    def __call__(self, observations: Floats) -> Floats:
        """Of one [observation] or of many [n, observation]."""
        z = _activated(observations.dot(self._w1), self._b1)
        z = _activated(z.dot(self._w2), self._b2)
        out: Floats = z.dot(self._heads)
        out += self._head_b
        return out


def _activated(z: Floats, bias: Floats) -> Floats:
    z += bias
    return np.maximum(z, 0, out=z)

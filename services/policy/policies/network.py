"""The trained actor-critic: two hidden layers and four heads. In NumPy, because it is small."""

from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.policy.policies.observation import OBSERVATION
from shared.artifacts import Manifest, read_manifest
from shared.messages import OFFERS

Floats = NDArray[np.float32]

FILE = "policy.npz"
INPUTS = {"policy": OBSERVATION}

NUM_DELAYS = 8
"""Delays to choose from: 0 to 7 days."""
HEADS = {"contact": 2, "offer": len(OFFERS), "delay": NUM_DELAYS, "value": 1}
"""Width of each head. The outputs are the heads side by side in this order: logits, and the value of the state.

The logits of `contact` are of no contact and of contact; those of `offer` by level; those of `delay` by days.
"""
NUM_OUTPUTS = sum(HEADS.values())
SLICES = {head: slice(stop - HEADS[head], stop) for head, stop in zip(HEADS, accumulate(HEADS.values()), strict=True)}
"""The columns of each head in the outputs."""
CONTACT, OFFER, DELAY, VALUE = SLICES.values()


class Network:
    """From observations to the outputs of HEADS.

    Weights are the transpose of torch's: `w1` [observation, hidden], `b1` [hidden], `contact_w` [hidden, 2] and so on.
    The normalisation by `mean` and `std` [observation] is folded into the first layer.
    """

    def __init__(self, arrays: dict[str, Floats], manifest: Manifest) -> None:
        self.manifest = manifest
        std = arrays["std"].astype(float)
        w1 = arrays["w1"] / std[:, None]
        self._w1 = w1.astype(np.float32)
        self._b1 = (arrays["b1"] - arrays["mean"] @ w1).astype(np.float32)
        self._w2, self._b2 = arrays["w2"], arrays["b2"]
        self._heads, self._head_b = (np.concatenate([arrays[f"{head}_{kind}"] for head in HEADS], -1) for kind in "wb")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The network of an artifact. Raises `ArtifactError` if it is damaged or takes other observations."""
        manifest = read_manifest(folder, INPUTS, [FILE])
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            return cls(dict(arrays), manifest)

    def __call__(self, observations: Floats) -> Floats:
        """Outputs [outputs] of one observation, or [n, outputs] of n."""
        hidden = _relu(observations.dot(self._w1), self._b1)
        hidden = _relu(hidden.dot(self._w2), self._b2)
        outputs: Floats = hidden.dot(self._heads)
        outputs += self._head_b
        return outputs


def _relu(values: Floats, bias: Floats) -> Floats:
    """The rectifier of `values` + `bias`, computed in place."""
    values += bias
    return np.maximum(values, 0, out=values)

"""Calibration: raw scores of the trees to probabilities. Training fits the curves; both sides evaluate them here."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from services.scorer.features import OFFER_LEVEL, Float32Array, fact_offsets

Float64Array = NDArray[np.float64]

BLEND_START = 0.7
"""Share of known facts up to which the partial curve alone is used; its weight falls to 0 where all are known."""


def fact_columns(features: Sequence[str], known_in_training: Sequence[bool]) -> list[int]:
    """Index of the first feature of each fact that training knew of at least one customer.

    `known_in_training` holds one flag per feature.
    """
    return [i for i in fact_offsets(features) if known_in_training[i] and features[i] != OFFER_LEVEL]


def completeness(rows: Float32Array, columns: Sequence[int]) -> Float64Array:
    """Weight of the complete curve [n] for `rows` [n, features]: 0 up to `BLEND_START`, 1 where all facts are known."""
    known_share: Float64Array = 1 - np.count_nonzero(np.isnan(rows[:, columns]), axis=1) / max(len(columns), 1)
    return ((known_share - BLEND_START) / (1 - BLEND_START)).clip(0, 1)


class IsotonicCurve(NamedTuple):
    """A non-decreasing function: linear between the knots (`x`, `y`) [k] and constant beyond them."""

    x: Float64Array
    y: Float64Array

    def __call__(self, raw: NDArray[Any]) -> Float64Array:
        probabilities: Float64Array = np.interp(raw, self.x, self.y)
        return probabilities


class Calibrator(NamedTuple):
    """Two isotonic curves, blended by completeness: scores of customers with missing facts are less certain.

    Among customers with the same known facts, the probability never falls as the raw score rises.
    """

    columns: Sequence[int]
    """First feature of each fact that counts towards completeness."""
    complete: IsotonicCurve
    partial: IsotonicCurve

    def __call__(self, rows: Float32Array, raw: NDArray[Any]) -> Float64Array:
        """Probabilities [n] for `rows` [n, features] and their raw scores `raw` [n]."""
        weight = completeness(rows, self.columns)
        return weight * self.complete(raw) + (1 - weight) * self.partial(raw)

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Self:
        """The calibrator that `dump` wrote; the keys in JSON are `whole` and `part`."""
        complete, partial = (
            IsotonicCurve(np.array(document[key]["x"]), np.array(document[key]["y"])) for key in ("whole", "part")
        )
        return cls(document["columns"], complete, partial)

    def dump(self) -> dict[str, Any]:
        """The calibrator as JSON values."""
        curves = {"whole": self.complete, "part": self.partial}
        knots = {key: {"x": curve.x.tolist(), "y": curve.y.tolist()} for key, curve in curves.items()}
        return {"columns": list(self.columns)} | knots

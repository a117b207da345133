"""From what trees say to probabilities that keep their word. Training fits the curves; both sides read them here."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from services.scorer.features import LEVEL, Floats, starts

Doubles = NDArray[np.float64]

RAMP = 0.7
"""Up to this share of facts known, the curve of customers known in part is used alone; from there on less and less."""


def fact_columns(features: Sequence[str], had: Sequence[bool]) -> list[int]:
    """Where each fact begins, of those that training `had` of anybody."""
    return [i for i in starts(features) if had[i] and features[i] != LEVEL]


def wholeness(rows: Floats, columns: Sequence[int]) -> Doubles:
    """How far `rows` [n, features] are known whole, from 0 to 1 [n], by the share of facts that are known."""
    known: Doubles = 1 - np.count_nonzero(np.isnan(rows[:, columns]), axis=1) / max(len(columns), 1)
    return ((known - RAMP) / (1 - RAMP)).clip(0, 1)


class Curve(NamedTuple):
    """Straight between the knots `x` and `y` [k], which rise; flat outside."""

    x: Doubles
    y: Doubles

    def __call__(self, raw: NDArray[Any]) -> Doubles:
        probabilities: Doubles = np.interp(raw, self.x, self.y)
        return probabilities


class Calibrator(NamedTuple):
    """A curve for customers known whole and one for those known in part, of whom trees are less sure, blended.

    For customers of whom the same facts are known it rises with what the trees say.
    """

    columns: Sequence[int]
    whole: Curve
    part: Curve

    def __call__(self, rows: Floats, raw: NDArray[Any]) -> Doubles:
        """Probabilities [n] of rows [n, features], of which the trees say `raw` [n]."""
        weight = wholeness(rows, self.columns)
        return weight * self.whole(raw) + (1 - weight) * self.part(raw)

    @classmethod
    def load(cls, read: Mapping[str, Any]) -> Self:
        """From what `dump` made."""
        return cls(
            read["columns"], *(Curve(*map(np.array, (read[of]["x"], read[of]["y"]))) for of in ("whole", "part"))
        )

    def dump(self) -> dict[str, Any]:
        """As JSON takes it."""
        curves = {"whole": self.whole, "part": self.part}
        knots = {of: {"x": curve.x.tolist(), "y": curve.y.tolist()} for of, curve in curves.items()}
        return {"columns": list(self.columns)} | knots

"""Facts to probabilities: whether a customer is about to leave, why, and whether they would take each offer."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import xgboost
from numpy.typing import NDArray

from services.scorer.features import ACCEPT, ACCEPT_FEATURES, RISK, RISK_FEATURES, Floats, encoder, fact
from shared.artifacts import read
from shared.messages import OFFERS, Facts, Reason

INPUTS = {"risk": RISK_FEATURES, "accept": ACCEPT_FEATURES}
LEVELS = np.arange(len(OFFERS), dtype=np.float32)
FACTS = tuple(RISK)
FIRST = [[fact(feature) for feature in RISK_FEATURES].index(name) for name in FACTS]
"""Where the features of each fact begin."""
REASONS = 3
MANY = 512
"""From this many customers on, more threads gain more than waking them costs, also where cores are busy."""

Doubles = NDArray[np.float64]


class Score(NamedTuple):
    churn_risk: float
    accept_probs: tuple[float, ...]
    """P(accept) at each offer level; it never falls as the level rises."""
    reasons: tuple[Reason, ...]


class Boosters(NamedTuple):
    """Both models, set to a number of threads (0: all cores)."""

    risk: Any
    accept: Any
    threads: int

    @classmethod
    def load(cls, folder: Path, threads: int) -> Self:
        risk, accept = (xgboost.Booster({"nthread": threads}, model_file=folder / f"{name}.ubj") for name in INPUTS)
        return cls(risk, accept, threads)

    def predict(self, risk_rows: Floats, accept_rows: Floats) -> tuple[Floats, Floats, Floats]:
        """Uncalibrated risk [n], its contributions [n, features + 1] in log-odds, and acceptance [n * levels].

        Contributions are exact SHAP values (Lundberg et al. 2020). The approximate ones (Saabas) cost a batch about a
        tenth of the time and one row nearly the same, but they favour the facts that come last in a tree.
        """
        matrix = xgboost.DMatrix(risk_rows, nthread=self.threads)
        return (
            self.risk.inplace_predict(risk_rows, validate_features=False),
            self.risk.predict(matrix, pred_contribs=True, validate_features=False),
            self.accept.inplace_predict(accept_rows, validate_features=False),
        )


class ScorerModel:
    """Scores customers. `unknown` counts the categories that training had not seen, by fact."""

    def __init__(self, folder: Path) -> None:
        self.version = read(folder, INPUTS).version
        self.unknown: Counter[str] = Counter()
        self._risk_rows, self._accept_rows = encoder(RISK, self.unknown), encoder(ACCEPT, self.unknown)
        self._alone, self._together = Boosters.load(folder, threads=1), Boosters.load(folder, threads=0)
        knots = json.loads((folder / "calibration.json").read_bytes())
        self._knots = {name: (np.array(knots[name]["x"]), np.array(knots[name]["y"])) for name in INPUTS}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` where the files are damaged or made for other features."""
        return cls(folder)

    def score(self, customers: Sequence[Facts]) -> list[Score]:
        """One score for each customer, in their order."""
        if not customers:
            return []
        risk_rows, accept_rows = self.rows(customers)
        boosters = self._together if len(customers) >= MANY else self._alone
        risk, contributions, accept = boosters.predict(risk_rows, accept_rows)
        return list(
            map(
                Score,
                self.calibrated("risk", risk).tolist(),
                map(tuple, self.calibrated("accept", accept).reshape(-1, len(LEVELS)).tolist()),
                reasons(risk_rows, contributions),
            )
        )

    def rows(self, customers: Sequence[Facts]) -> tuple[Floats, Floats]:
        """What the models take: [n, risk features], and [n * levels, accept features], each customer at each level."""
        accept = np.empty((len(customers), len(LEVELS), len(ACCEPT_FEATURES)), dtype=np.float32)
        accept[:, :, :-1] = self._accept_rows(customers)[:, None]
        accept[:, :, -1] = LEVELS
        return self._risk_rows(customers), accept.reshape(-1, len(ACCEPT_FEATURES))

    def calibrated(self, name: str, probabilities: Floats) -> Doubles:
        """Isotonic calibration, straight between the knots."""
        calibrated: Doubles = np.interp(probabilities, *self._knots[name])
        return calibrated


def reasons(rows: Floats, contributions: Floats) -> list[tuple[Reason, ...]]:
    """The strongest contributions to each risk, strongest first: `rows` [n, features], `contributions` one column more.

    The parts of a fact are summed and bear its name. What is missing is no reason.
    """
    by_fact = np.add.reduceat(contributions[:, :-1], FIRST, axis=1).astype(float).round(3)
    by_fact[np.isnan(rows[:, FIRST])] = 0
    strongest = np.argsort(-np.abs(by_fact), axis=1, kind="stable")[:, :REASONS]
    values = np.take_along_axis(by_fact, strongest, axis=1)
    return [
        tuple([reason(i, value) for i, value in zip(facts, strengths, strict=True) if value])
        for facts, strengths in zip(strongest.tolist(), values.tolist(), strict=True)
    ]


@lru_cache(maxsize=1 << 16)
def reason(index: int, contribution: float) -> Reason:
    """Kept, because there are few of them to a thousandth of log-odds and making one takes longer than the rest."""
    return Reason(feature=FACTS[index], contribution=contribution)

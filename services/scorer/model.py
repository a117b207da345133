"""Facts to probabilities: whether a customer is about to leave, why, and whether they would take each offer."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import xgboost

from services.scorer.calibration import Calibrator, Doubles
from services.scorer.features import ACCEPT, ACCEPT_FEATURES, RISK, RISK_FEATURES, Floats, encoder
from services.scorer.monitor import REFERENCE, FeatureMonitor
from services.scorer.shap import FACT, Explainer, reasons
from shared.artifacts import read_manifest
from shared.messages import OFFERS, CustomerFacts, Reason

INPUTS = {"risk": RISK_FEATURES, "accept": ACCEPT_FEATURES}
LEVELS = np.arange(len(OFFERS), dtype=np.float32)
CURVES = "curves.json"
"""The file of the artifact that holds the calibrators, by model."""
FILES = ("risk.ubj", "accept.ubj", CURVES, REFERENCE)
TOGETHER = 1024
"""Customers scored at once: what is worked out for them stays in the processor's cache."""


class Score(NamedTuple):
    churn_risk: float
    accept_probs: tuple[float, ...]
    """P(accept) at each offer level; it never falls as the level rises."""
    reasons: tuple[Reason, ...]


class ScorerModel:
    """Scores customers. `unknown` counts the categories that training had not seen, by fact."""

    def __init__(self, folder: Path) -> None:
        self.version = read_manifest(folder, INPUTS, FILES).version
        self.unknown: Counter[str] = Counter()
        self._risk_rows, self._accept_rows = encoder(RISK, self.unknown), encoder(ACCEPT, self.unknown)
        self._risk, self._accept = (
            xgboost.Booster({"nthread": 1}, model_file=folder / f"{name}.ubj") for name in INPUTS
        )
        self._contributions = Explainer(self._risk, FACT)
        curves = json.loads((folder / CURVES).read_bytes())
        self._calibrators = {name: Calibrator.load(curves[name]) for name in INPUTS}
        self.watch = FeatureMonitor(json.loads((folder / REFERENCE).read_bytes()), self.unknown)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` where the files are damaged or made for other features."""
        return cls(folder)

    def score(self, customers: Sequence[CustomerFacts]) -> list[Score]:
        """One score for each customer, in their order."""
        together = (customers[start : start + TOGETHER] for start in range(0, len(customers), TOGETHER))
        return [score for some in together for score in self._score(some)]

    def _score(self, customers: Sequence[CustomerFacts]) -> Iterable[Score]:
        risk_rows, accept_rows = self.rows(customers)
        risk = self.calibrated("risk", risk_rows, self._risk)
        accept = self.calibrated("accept", accept_rows, self._accept).reshape(-1, len(LEVELS))
        self.watch.see(risk_rows, accept_rows, risk, accept)
        return map(
            Score,
            risk.tolist(),
            map(tuple, accept.tolist()),
            reasons(risk_rows, self._contributions(risk_rows)),
        )

    def rows(self, customers: Sequence[CustomerFacts]) -> tuple[Floats, Floats]:
        """What the models take: [n, risk features], and [n * levels, accept features], each customer at each level."""
        accept = np.empty((len(customers), len(LEVELS), len(ACCEPT_FEATURES)), dtype=np.float32)
        accept[:, :, :-1] = self._accept_rows(customers)[:, None]
        accept[:, :, -1] = LEVELS
        return self._risk_rows(customers), accept.reshape(-1, len(ACCEPT_FEATURES))

    def calibrated(self, name: str, rows: Floats, booster: Any) -> Doubles:
        return self._calibrators[name](rows, booster.inplace_predict(rows, validate_features=False))

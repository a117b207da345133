"""The churn and acceptance models: facts to churn risk with reasons, and P(accept) at each offer level."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import xgboost

from services.scorer.calibration import Calibrator, Float64Array
from services.scorer.features import ACCEPT_FACTS, ACCEPT_FEATURES, RISK_FACTS, RISK_FEATURES, Float32Array, encoder
from services.scorer.monitor import HISTOGRAMS_FILE, FeatureMonitor
from services.scorer.shap import FEATURE_TO_FACT, TreeExplainer, top_reasons
from shared.artifacts import read_manifest
from shared.messages import OFFERS, CustomerFacts, Reason

INPUTS = {"risk": RISK_FEATURES, "accept": ACCEPT_FEATURES}
"""Feature names of each model, in order."""
OFFER_LEVELS = np.arange(len(OFFERS), dtype=np.float32)
CALIBRATORS_FILE = "curves.json"
"""File of the artifact that holds each model's calibrator."""
FILES = ("risk.ubj", "accept.ubj", CALIBRATORS_FILE, HISTOGRAMS_FILE)
BATCH_SIZE = 1024
"""Customers scored at once, so that intermediate arrays stay in the processor's cache."""


class Score(NamedTuple):
    churn_risk: float
    accept_probs: tuple[float, ...]
    """P(accept) at each offer level; non-decreasing."""
    reasons: tuple[Reason, ...]


class ScorerModel:
    """Scores customers. `unknown` counts categories that were not in the training data, by fact."""

    def __init__(self, folder: Path) -> None:
        self.version = read_manifest(folder, INPUTS, FILES).version
        self.unknown: Counter[str] = Counter()
        self._encode_risk, self._encode_accept = encoder(RISK_FACTS, self.unknown), encoder(ACCEPT_FACTS, self.unknown)
        self._boosters = {name: xgboost.Booster({"nthread": 1}, model_file=folder / f"{name}.ubj") for name in INPUTS}
        self._explain = TreeExplainer(self._boosters["risk"], FEATURE_TO_FACT)
        curves = json.loads((folder / CALIBRATORS_FILE).read_bytes())
        self._calibrators = {name: Calibrator.load(curves[name]) for name in INPUTS}
        self.monitor = FeatureMonitor(json.loads((folder / HISTOGRAMS_FILE).read_bytes()), self.unknown)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` where a file is missing or damaged, or the artifact takes other features."""
        return cls(folder)

    def score(self, customers: Sequence[CustomerFacts]) -> list[Score]:
        """One score for each customer, in order."""
        batches = (customers[start : start + BATCH_SIZE] for start in range(0, len(customers), BATCH_SIZE))
        return [score for batch in batches for score in self._score_batch(batch)]

    def _score_batch(self, customers: Sequence[CustomerFacts]) -> Iterable[Score]:
        risk_rows, accept_rows = self.encode(customers)
        risk = self._predict("risk", risk_rows)
        accept = self._predict("accept", accept_rows).reshape(-1, len(OFFER_LEVELS))
        self.monitor.observe(risk_rows, accept_rows, risk, accept)
        reasons = top_reasons(risk_rows, self._explain(risk_rows))
        return map(Score, risk.tolist(), map(tuple, accept.tolist()), reasons)

    def encode(self, customers: Sequence[CustomerFacts]) -> tuple[Float32Array, Float32Array]:
        """Inputs of both models: [n, risk features] and [n * levels, accept features], each customer at each level."""
        accept = np.empty((len(customers), len(OFFER_LEVELS), len(ACCEPT_FEATURES)), dtype=np.float32)
        accept[:, :, :-1] = self._encode_accept(customers)[:, None]
        accept[:, :, -1] = OFFER_LEVELS
        return self._encode_risk(customers), accept.reshape(-1, len(ACCEPT_FEATURES))

    def _predict(self, name: str, rows: Float32Array) -> Float64Array:
        """Calibrated probabilities [n] of `rows` [n, features]."""
        raw: Any = self._boosters[name].inplace_predict(rows, validate_features=False)
        return self._calibrators[name](rows, raw)

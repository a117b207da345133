"""Feature monitoring: counts of scored customers in the histogram bins of training. Stores counts only, no customer."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate, chain, pairwise
from math import inf
from threading import Lock
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, Encoding, Float32Array
from shared import telemetry
from shared.messages import OFFERS

HISTOGRAMS_FILE = "reference.json"
"""File of the artifact that holds the training data's histograms: a JSON object, by fact."""
COUNTS_MESSAGE = "scorer saw"
"""Message of the log line that carries the counts."""
LOG_INTERVAL = 10_000
"""Customers scored between two such log lines."""
BATCH_SIZE = 512
"""Customers binned at once; with more, the request that completes a batch would be noticeably slower."""

SCORES: dict[str, Encoding] = {"churn_risk": None, "accept_prob": None}
"""Outputs that are monitored like facts: the calibrated churn risk, and P(accept) without a discount."""


class Histogram(TypedDict):
    """Bin i holds values up to and including `edges[i]`; the last bin is unbounded.

    `counts` has one entry per bin, then the number of missing values.
    """

    edges: list[float]
    counts: list[int]


def reference_histograms(facts: Mapping[str, Encoding], rows: Float32Array) -> dict[str, Histogram]:
    """The training data's histogram of each of `facts`; `rows` [n, features] come from `encoder(facts)`.

    A number has the deciles as edges, fewer where many customers share a value; a category has one bin per code.
    """
    edges = {
        fact: _edges(encoding, values[~np.isnan(values)])
        for (fact, encoding), values in zip(facts.items(), fact_values(facts, rows.T), strict=True)
    }
    return {fact: {"edges": edges[fact], "counts": counts} for fact, counts in bin_counts(facts, edges, rows).items()}


def bin_counts(
    facts: Mapping[str, Encoding], edges: Mapping[str, list[float]], rows: Float32Array
) -> dict[str, list[int]]:
    """Counts of `rows` [n, features] in each bin of each of `facts`, then of missing values."""
    return {
        fact: _bin_counts(_count_above(_lower_bounds(edges[fact]), values), len(rows))
        for fact, values in zip(facts, fact_values(facts, rows.T), strict=True)
    }


def fact_values(facts: Mapping[str, Encoding], features: Float32Array) -> Iterator[Float32Array]:
    """One array [n] per fact from `features` [features, n]: the number or the category's code; NaN where missing."""
    widths = [len(encoding) if isinstance(encoding, tuple) else 1 for encoding in facts.values()]
    for start, end in pairwise(accumulate(widths, initial=0)):
        yield features[start] if end - start == 1 else np.arange(end - start, dtype=np.float32) @ features[start:end]


def _edges(encoding: Encoding, known: Float32Array) -> list[float]:
    if encoding is None:
        values = known if len(known) else np.zeros(1, np.float32)
        deciles = np.unique(np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf"))
        return [float(edge) for edge in deciles if edge < values.max()]  # a bin above the maximum would be empty
    codes = sorted(set(encoding.values())) if isinstance(encoding, Mapping) else range(len(encoding))
    return [(a + b) / 2 for a, b in pairwise(codes)]


def _lower_bounds(edges: list[float]) -> Float32Array:
    """Exclusive lower bound of each bin [bins, 1]."""
    return np.array([-inf, *edges], np.float32)[:, None]


def _count_above(lower_bounds: Float32Array, values: Float32Array) -> NDArray[np.intp]:
    """Number of `values` [n] above each lower bound [bins]. For so few bins comparing is faster than searching."""
    above: NDArray[np.intp] = np.count_nonzero(values > lower_bounds, axis=1)
    return above


def _bin_counts(above: NDArray[np.intp], customers: int) -> list[int]:
    """Counts in each bin, then of missing values, from the counts above each lower bound."""
    return [*(-np.diff(above, append=0)).tolist(), int(customers - above[0])]


class FeatureMonitor:
    """Counts of the customers scored since they were last taken, in the bins of training. Safe to share by threads."""

    def __init__(self, histograms: Mapping[str, Histogram], unknown: Counter[str]) -> None:
        """`unknown` is the model's counter of unknown categories by fact, which only grows."""
        facts = chain(RISK_FACTS, ACCEPT_FACTS, SCORES)
        self._lower_bounds = {fact: _lower_bounds(histograms[fact]["edges"]) for fact in facts}
        self._unknown, self._unknown_before = unknown, Counter[str]()
        self._pending: list[tuple[Float32Array, Float32Array, NDArray[Any], NDArray[Any]]] = []
        self._lock = Lock()
        self._reset()

    def _reset(self) -> None:
        self.customers = self._binned = 0
        self._above = {fact: np.zeros(len(bounds), np.intp) for fact, bounds in self._lower_bounds.items()}

    def observe(
        self, risk_rows: Float32Array, accept_rows: Float32Array, risk: NDArray[Any], accept: NDArray[Any]
    ) -> None:
        """Count n customers: inputs [n, features] and [n * levels, features], probabilities [n] and [n, levels].

        The arrays are read later, so the caller must not change them.
        """
        with self._lock:
            self._pending.append((risk_rows, accept_rows, risk, accept))
            self.customers += len(risk)
            if self.customers - self._binned >= BATCH_SIZE:
                self._bin_pending()

    def _bin_pending(self) -> None:
        if not self._pending:
            return
        risk_rows, accept_rows, risk, accept = map(np.concatenate, zip(*self._pending, strict=True))
        scores = np.stack([risk, accept[:, 0]], dtype=np.float32, casting="same_kind")
        tables = ((RISK_FACTS, risk_rows.T), (ACCEPT_FACTS, accept_rows[:: len(OFFERS)].T), (SCORES, scores))
        columns = (fact_values(facts, np.ascontiguousarray(features)) for facts, features in tables)
        for (fact, bounds), values in zip(self._lower_bounds.items(), chain.from_iterable(columns), strict=True):
            self._above[fact] += _count_above(bounds, values)
        self._pending, self._binned = [], self.customers

    def take_counts(self) -> dict[str, Any]:
        """Customers, counts by bin and unknown categories since the last call, as JSON values."""
        with self._lock:
            self._bin_pending()
            unknown = Counter(self._unknown)
            counts = {
                "customers": self.customers,
                "counts": {fact: _bin_counts(above, self.customers) for fact, above in self._above.items()},
                "unknown": dict(unknown - self._unknown_before),
            }
            self._unknown_before = unknown
            self._reset()
        return counts

    def log(self, version: str) -> None:
        """Log the counts since the last line. The lines of one version add up over all instances.

        They count deliveries: an event that is delivered or scored twice is counted twice.
        """
        telemetry.log(COUNTS_MESSAGE, version=version, **self.take_counts())

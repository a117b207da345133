"""What the scorer has seen: how many customers fell into each bin of each fact. Keeps no customer, only counts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate, chain, pairwise
from math import inf
from threading import Lock
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from services.scorer.features import ACCEPT, RISK, Encoding, Floats
from shared import telemetry
from shared.messages import OFFERS

REFERENCE = "reference.json"
"""The file of the artifact that holds the bins: a JSON object, by fact."""
SAW = "scorer saw"
"""The line of the log that carries counts."""
SAY_EVERY = 10_000
"""Customers between two such lines."""
TOGETHER = 512
"""Customers that are binned together: with more, the one that completes them would wait for longer."""

SCORES: dict[str, Encoding] = {"churn_risk": None, "accept_prob": None}
"""What the models say is counted like a fact: the calibrated risk, and acceptance without a discount."""


class Bins(TypedDict):
    """Bin i ends with `edges[i]`, which is in it; the last has no end. One count a bin, then that of the missing."""

    edges: list[float]
    counts: list[int]


def reference(facts: Mapping[str, Encoding], rows: Floats) -> dict[str, Bins]:
    """The bins of each of `facts` and what training saw in them; `rows` [n, features] as `encoder(facts)` makes them.

    A number has ten bins of about as many customers, fewer where many share a value; a category has one bin.
    """
    edges = {
        name: _edges(encoding, column[~np.isnan(column)])
        for (name, encoding), column in zip(facts.items(), columns(facts, rows.T), strict=True)
    }
    return {name: {"edges": edges[name], "counts": counts} for name, counts in binned(facts, edges, rows).items()}


def binned(facts: Mapping[str, Encoding], edges: Mapping[str, list[float]], rows: Floats) -> dict[str, list[int]]:
    """How many of `rows` are in each bin of each of `facts`, and missing."""
    return {
        name: _counts(_above(_below(edges[name]), column), len(rows))
        for name, column in zip(facts, columns(facts, rows.T), strict=True)
    }


def columns(facts: Mapping[str, Encoding], features: Floats) -> Iterator[Floats]:
    """One number [n] a fact, from `features` [features, n]: itself or its category's; NaN where it is missing."""
    widths = [len(encoding) if isinstance(encoding, tuple) else 1 for encoding in facts.values()]
    for start, end in pairwise(accumulate(widths, initial=0)):
        yield features[start] if end - start == 1 else np.arange(end - start, dtype=np.float32) @ features[start:end]


def _edges(encoding: Encoding, known: Floats) -> list[float]:
    if encoding is None:
        values = known if len(known) else np.zeros(1, np.float32)
        edges = np.unique(np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf"))
        return [float(edge) for edge in edges if edge < values.max()]  # above the largest there is nobody
    codes = sorted(set(encoding.values())) if isinstance(encoding, Mapping) else range(len(encoding))
    return [(a + b) / 2 for a, b in pairwise(codes)]


def _below(edges: list[float]) -> Floats:
    """Where each bin begins [bins, 1]."""
    return np.array([-inf, *edges], np.float32)[:, None]


def _above(starts: Floats, column: Floats) -> NDArray[np.intp]:
    """How many customers are above each start of a bin. For so few bins comparing is quicker than searching."""
    above: NDArray[np.intp] = np.count_nonzero(column > starts, axis=1)
    return above


def _counts(above: NDArray[np.intp], customers: int) -> list[int]:
    """How many are in each bin, and missing."""
    return [*(-np.diff(above, append=0)).tolist(), int(customers - above[0])]


class FeatureMonitor:
    """Counts since it was last asked, in the bins of training. Threads may share it."""

    def __init__(self, bins: Mapping[str, Bins], unknown: Counter[str]) -> None:
        """`unknown` counts categories that training has not seen, by fact. It is the model's, and only grows."""
        self._starts = {name: _below(bins[name]["edges"]) for name in chain(RISK, ACCEPT, SCORES)}
        self._unknown, self._unknown_before = unknown, Counter[str]()
        self._waiting: list[tuple[Floats, Floats, NDArray[Any], NDArray[Any]]] = []
        self._lock = Lock()
        self._restart()

    def _restart(self) -> None:
        self.customers = self._binned = 0
        self._above = {name: np.zeros(len(starts), np.intp) for name, starts in self._starts.items()}

    def see(self, risk_rows: Floats, accept_rows: Floats, risk: NDArray[Any], accept: NDArray[Any]) -> None:
        """Customers as they were scored: [n, features], [n * levels, features], [n] and [n, levels], calibrated.

        The arrays are read later, so they must not be written to.
        """
        with self._lock:
            self._waiting.append((risk_rows, accept_rows, risk, accept))
            self.customers += len(risk)
            if self.customers - self._binned >= TOGETHER:
                self._bin()

    def _bin(self) -> None:
        if not self._waiting:
            return
        risk_rows, accept_rows, risk, accept = map(np.concatenate, zip(*self._waiting, strict=True))
        scores = np.stack([risk, accept[:, 0]], dtype=np.float32, casting="same_kind")
        tables = ((RISK, risk_rows.T), (ACCEPT, accept_rows[:: len(OFFERS)].T), (SCORES, scores))
        every = (columns(facts, np.ascontiguousarray(features)) for facts, features in tables)
        for (name, starts), column in zip(self._starts.items(), chain.from_iterable(every), strict=True):
            self._above[name] += _above(starts, column)
        self._waiting, self._binned = [], self.customers

    def counts(self) -> dict[str, Any]:
        """How many customers since the last call, in which bins, and how many unknown categories; JSON."""
        with self._lock:
            self._bin()
            unknown = Counter(self._unknown)
            seen = {
                "customers": self.customers,
                "counts": {name: _counts(above, self.customers) for name, above in self._above.items()},
                "unknown": dict(unknown - self._unknown_before),
            }
            self._unknown_before = unknown
            self._restart()
        return seen

    def say(self, version: str) -> None:
        """Counts since the last time, as a line of the log. Lines of a version add up, whichever instance said them.

        They count deliveries: an event that is delivered, or scored, again is counted again.
        """
        telemetry.log(SAW, version=version, **self.counts())

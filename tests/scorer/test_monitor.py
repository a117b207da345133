import json
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from services.scorer.calibration import Float64Array
from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, Encoding, Float32Array, encoder
from services.scorer.monitor import (
    BATCH_SIZE,
    COUNTS_MESSAGE,
    SCORES,
    FeatureMonitor,
    Histogram,
    fact_values,
    reference_histograms,
)
from shared import telemetry
from shared.messages import OFFERS, CustomerFacts


class ScoredBatch:
    """Inputs and probabilities of customers as the scorer passes them on, and the histograms of training on them."""

    def __init__(self, customers: list[CustomerFacts]) -> None:
        rng = np.random.default_rng(0)
        self.risk_rows = encoder(RISK_FACTS, Counter())(customers)
        accept_facts = encoder(ACCEPT_FACTS, Counter())(customers)
        levels = np.tile(np.arange(len(OFFERS), dtype=np.float32), len(customers))
        self.accept_rows = np.column_stack([np.repeat(accept_facts, len(OFFERS), axis=0), levels])
        self.risk, self.accept = rng.random(len(customers)), rng.random((len(customers), len(OFFERS)))
        scores = np.stack([self.risk, self.accept[:, 0]], axis=1).astype(np.float32)
        self.histograms = (
            reference_histograms(RISK_FACTS, self.risk_rows)
            | reference_histograms(ACCEPT_FACTS, accept_facts)
            | reference_histograms(SCORES, scores)
        )
        self.counts = {fact: histogram["counts"] for fact, histogram in self.histograms.items()}

    def customers(self, start: int, end: int) -> tuple[Float32Array, Float32Array, Float64Array, Float64Array]:
        """Arguments of `FeatureMonitor.observe` for the customers from `start` to `end`."""
        levels = slice(start * len(OFFERS), end * len(OFFERS))
        return self.risk_rows[start:end], self.accept_rows[levels], self.risk[start:end], self.accept[start:end]


@pytest.fixture(scope="module")
def scored(customers: list[CustomerFacts]) -> ScoredBatch:
    return ScoredBatch(customers)


def histogram(fact: str, *values: object) -> Histogram:
    """The histogram of one fact, encoded together with others."""
    facts: dict[str, Encoding] = {"tenure": None, "age": None}
    facts |= {"contract": RISK_FACTS["contract"], "job": ACCEPT_FACTS["job"], fact: (RISK_FACTS | ACCEPT_FACTS)[fact]}
    rows = encoder(facts, Counter())([CustomerFacts.model_validate({fact: value}) for value in values])
    return reference_histograms(facts, rows)[fact]


def counts_by_bin(monitor: FeatureMonitor) -> Counter[tuple[str, int]]:
    counts = monitor.take_counts()["counts"]
    return Counter({(fact, i): count for fact in counts for i, count in enumerate(counts[fact]) if count})


def test_the_bins_of_a_number_are_its_deciles() -> None:
    assert histogram("tenure", *range(1, 101)) == {"edges": [*range(10, 100, 10)], "counts": [10] * 10 + [0]}


def test_a_frequent_value_has_a_bin_of_its_own_and_no_bin_is_above_the_maximum() -> None:
    assert histogram("tenure", *[0] * 75, *range(1, 26)) == {"edges": [0, 5, 15], "counts": [75, 5, 10, 10, 0]}
    assert histogram("tenure", 7, 7, 7, None) == {"edges": [], "counts": [3, 1]}


def test_a_fact_that_training_never_knew_is_counted_as_missing() -> None:
    assert histogram("tenure", None, None) == {"edges": [], "counts": [0, 2]}


def test_each_category_has_a_bin_in_the_order_of_its_codes() -> None:
    assert histogram("contract", "Two year", "One year", "Two year", None, "Weekly")["counts"] == [0, 1, 2, 2]
    assert histogram("internet_service", "Fiber optic", "No", "Fiber optic", None)["counts"] == [1, 0, 2, 1]
    assert histogram("online_backup", "No internet service", "No", "Yes")["counts"] == [2, 1, 0]


def test_values_are_known_where_the_customers_fact_is_known(customers: list[CustomerFacts]) -> None:
    rows = encoder(ACCEPT_FACTS, Counter())(customers)
    for fact, values in zip(ACCEPT_FACTS, fact_values(ACCEPT_FACTS, rows.T), strict=True):
        known = [getattr(customer, fact) is not None for customer in customers]
        np.testing.assert_array_equal(~np.isnan(values), known, err_msg=fact)


@pytest.mark.parametrize("size", [1, 7, BATCH_SIZE, 1000])
def test_the_training_customers_are_counted_as_in_training_whatever_the_batch_size(
    scored: ScoredBatch, size: int
) -> None:
    monitor = FeatureMonitor(scored.histograms, Counter())
    for start in range(0, 1000, size):
        monitor.observe(*scored.customers(start, start + size))
    assert monitor.customers == 1000
    assert monitor.take_counts() == {"customers": 1000, "counts": scored.counts, "unknown": {}}


def test_taking_the_counts_resets_them(scored: ScoredBatch) -> None:
    unknown = Counter(job=2)
    monitor = FeatureMonitor(scored.histograms, unknown)
    monitor.observe(*scored.customers(0, 600))
    first = monitor.take_counts()
    unknown["job"] += 1
    monitor.observe(*scored.customers(600, 1000))
    second = monitor.take_counts()
    assert (first["customers"], second["customers"]) == (600, 400)
    assert (first["unknown"], second["unknown"]) == ({"job": 2}, {"job": 1})
    for fact, counts in scored.counts.items():
        np.testing.assert_array_equal(np.add(first["counts"][fact], second["counts"][fact]), counts)
    assert not any(map(any, monitor.take_counts()["counts"].values()))


def test_concurrent_observations_are_all_counted_while_counts_are_taken(scored: ScoredBatch) -> None:
    monitor, total = FeatureMonitor(scored.histograms, Counter()), Counter[tuple[str, int]]()
    with ThreadPoolExecutor(4) as executor:
        futures = [executor.submit(monitor.observe, *scored.customers(i % 1000, i % 1000 + 1)) for i in range(4000)]
        while not all(future.done() for future in futures):
            total.update(counts_by_bin(monitor))
    total.update(counts_by_bin(monitor))
    expected = {(fact, i): 4 * count for fact in scored.counts for i, count in enumerate(scored.counts[fact]) if count}
    assert total == expected


def test_the_log_line_holds_counts_and_no_customer(scored: ScoredBatch, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = FeatureMonitor(json.loads(json.dumps(scored.histograms)), Counter())
    monitor.observe(*scored.customers(0, 1000))
    telemetry.start()
    try:
        monitor.log("v1")
    finally:
        logging.getLogger("retention").handlers = []
        logging.getLogger("retention").propagate = True
    line: dict[str, Any] = json.loads(capsys.readouterr().err)
    assert line.pop("severity") == "INFO"
    expected = {"message": COUNTS_MESSAGE, "version": "v1", "customers": 1000, "counts": scored.counts, "unknown": {}}
    assert line == expected

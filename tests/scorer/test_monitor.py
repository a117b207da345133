import json
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, encoder
from services.scorer.monitor import (
    BATCH_SIZE,
    COUNTS_MESSAGE,
    SCORES,
    FeatureMonitor,
    fact_values,
    reference_histograms,
)
from shared import telemetry
from shared.messages import OFFERS, CustomerFacts


class Scored:
    """Customers as the scorer has them, and the bins that training on them would make."""

    def __init__(self, customers: list[CustomerFacts]) -> None:
        rng = np.random.default_rng(0)
        self.risk_rows = encoder(RISK_FACTS, Counter())(customers)
        self.facts = encoder(ACCEPT_FACTS, Counter())(customers)
        levels = np.tile(np.arange(len(OFFERS), dtype=np.float32), len(customers))
        self.accept_rows = np.column_stack([np.repeat(self.facts, len(OFFERS), axis=0), levels])
        self.risk, self.accept = rng.random(len(customers)), rng.random((len(customers), len(OFFERS)))
        scores = np.stack([self.risk, self.accept[:, 0]], axis=1).astype(np.float32)
        self.bins = (
            reference_histograms(RISK_FACTS, self.risk_rows)
            | reference_histograms(ACCEPT_FACTS, self.facts)
            | reference_histograms(SCORES, scores)
        )
        self.counts = {name: bins["counts"] for name, bins in self.bins.items()}

    def part(self, start: int, end: int):
        four = slice(start * len(OFFERS), end * len(OFFERS))
        return self.risk_rows[start:end], self.accept_rows[four], self.risk[start:end], self.accept[start:end]


@pytest.fixture(scope="module")
def scored(customers: list[CustomerFacts]) -> Scored:
    return Scored(customers)


def one(fact: str, *values: object) -> dict:
    """The bins of one fact, in the company of others."""
    facts = {"tenure": None, "age": None, "contract": RISK_FACTS["contract"], "job": ACCEPT_FACTS["job"]}
    facts |= {fact: (RISK_FACTS | ACCEPT_FACTS)[fact]}
    rows = encoder(facts, Counter())([CustomerFacts.model_validate({fact: value}) for value in values])
    return dict(reference_histograms(facts, rows)[fact])


def test_a_number_has_ten_bins_of_about_as_many_customers() -> None:
    assert one("tenure", *range(1, 101)) == {"edges": [*range(10, 100, 10)], "counts": [10] * 10 + [0]}


def test_a_value_that_many_share_has_one_bin_and_nothing_is_above_the_largest() -> None:
    assert one("tenure", *[0] * 75, *range(1, 26)) == {"edges": [0, 5, 15], "counts": [75, 5, 10, 10, 0]}
    assert one("tenure", 7, 7, 7, None) == {"edges": [], "counts": [3, 1]}


def test_a_fact_that_training_never_had_is_all_missing() -> None:
    assert one("tenure", None, None) == {"edges": [], "counts": [0, 2]}


def test_a_category_has_a_bin_in_the_order_of_its_codes() -> None:
    assert one("contract", "Two year", "One year", "Two year", None, "Weekly")["counts"] == [0, 1, 2, 2]
    assert one("internet_service", "Fiber optic", "No", "Fiber optic", None)["counts"] == [1, 0, 2, 1]
    assert one("online_backup", "No internet service", "No", "Yes")["counts"] == [2, 1, 0]


def test_bins_are_of_the_fact_whose_name_they_bear(customers: list[CustomerFacts]) -> None:
    rows = encoder(ACCEPT_FACTS, Counter())(customers)
    for name, column in zip(ACCEPT_FACTS, fact_values(ACCEPT_FACTS, rows.T), strict=True):
        known = [getattr(customer, name) is not None for customer in customers]
        np.testing.assert_array_equal(~np.isnan(column), known, err_msg=name)


@pytest.mark.parametrize("size", [1, 7, BATCH_SIZE, 1000])
def test_the_customers_of_training_are_counted_as_in_training_each_once(scored: Scored, size) -> None:
    monitor = FeatureMonitor(scored.bins, Counter())
    for start in range(0, 1000, size):
        monitor.observe(*scored.part(start, start + size))
    assert monitor.customers == 1000
    assert monitor.take_counts() == {"customers": 1000, "counts": scored.counts, "unknown": {}}


def test_it_counts_from_anew_once_asked(scored: Scored) -> None:
    unknown = Counter(job=2)
    monitor = FeatureMonitor(scored.bins, unknown)
    monitor.observe(*scored.part(0, 600))
    first = monitor.take_counts()
    unknown["job"] += 1
    monitor.observe(*scored.part(600, 1000))
    second = monitor.take_counts()
    assert (first["customers"], second["customers"]) == (600, 400)
    assert (first["unknown"], second["unknown"]) == ({"job": 2}, {"job": 1})
    for name, counts in scored.counts.items():
        np.testing.assert_array_equal(np.add(first["counts"][name], second["counts"][name]), counts)
    assert not any(map(any, monitor.take_counts()["counts"].values()))


def test_threads_lose_nothing_while_it_is_asked(scored: Scored) -> None:
    monitor, seen = FeatureMonitor(scored.bins, Counter()), Counter()
    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(monitor.observe, *scored.part(i % 1000, i % 1000 + 1)) for i in range(4000)]
        while not all(future.done() for future in futures):
            seen.update(by_bin(monitor))
    seen.update(by_bin(monitor))
    assert seen == {(name, bin): 4 * n for name, counts in scored.counts.items() for bin, n in enumerate(counts) if n}


def by_bin(monitor: FeatureMonitor) -> Counter[tuple[str, int]]:
    return Counter(
        {
            (name, bin): n
            for name, counts in monitor.take_counts()["counts"].items()
            for bin, n in enumerate(counts)
            if n
        }
    )


def test_it_says_a_line_of_counts_and_no_customer(scored: Scored, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = FeatureMonitor(json.loads(json.dumps(scored.bins)), Counter())
    monitor.observe(*scored.part(0, 1000))
    telemetry.start()
    try:
        monitor.log("v1")
    finally:
        logging.getLogger("retention").handlers = []
        logging.getLogger("retention").propagate = True
    line = json.loads(capsys.readouterr().err)
    assert line.pop("severity") == "INFO"
    assert line == {
        "message": COUNTS_MESSAGE,
        "version": "v1",
        "customers": 1000,
        "counts": scored.counts,
        "unknown": {},
    }

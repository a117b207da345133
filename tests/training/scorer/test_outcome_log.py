import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.scorer.monitor import (
    COUNTS_MESSAGE,
    Histogram,
)
from tests.training.scorer.builders import DAY, START, decision, outcome, written
from training.scorer.outcome_log import (
    HORIZON,
    acceptance_labels,
    churn_labels,
    decisions_of_version,
    feature_counts,
)

BINS: dict[str, Histogram] = {"age": {"edges": [40.0], "counts": [60, 40, 10]}}


def counts_line(counts: Sequence[float], version: str = "v1", **more: object) -> dict[str, object]:
    return {"message": COUNTS_MESSAGE, "version": version, "customers": sum(counts), "counts": {"age": counts}, **more}


def test_counts_of_all_instances_add_up_from_standard_error_and_from_cloud_logging(tmp_path: Path) -> None:
    log = written(
        tmp_path / "log",
        {"severity": "INFO", "message": "ready", "service": "scorer"},
        counts_line([1, 2, 3], unknown={"job": 4}),
        {"insertId": "x", "jsonPayload": counts_line([10.0, 20.0, 30.0], unknown={"job": 1.0}), "severity": "INFO"},
        {"insertId": "x", "textPayload": "Started"},
    )
    skipped = Counter[str]()
    total = feature_counts(log, "v1", BINS, skipped)
    assert (total.customers, total.counts, total.unknown) == (66, {"age": (11, 22, 33)}, {"job": 5})
    assert skipped == {}


def test_bad_lines_of_the_log_are_counted_by_reason(tmp_path: Path) -> None:
    good = counts_line([1, 2, 3], unknown={})
    log = written(
        tmp_path / "log",
        "INFO:     Uvicorn running",
        "[1, 2]",
        json.dumps(good)[:-5],
        good | {"counts": {"age": [-1, 2, 3]}},
        good | {"counts": {"age": [1, 2]}},
        good | {"counts": {"size": [1, 2, 3]}},
        good | {"version": "v0"},
        "",
        good,
    )
    skipped = Counter[str]()
    assert feature_counts(log, "v1", BINS, skipped).customers == 6
    assert skipped == {
        "log: not readable, first in line 1": 4,
        "log: other bins than the artifact's": 2,
        "log: counted by version v0": 1,
    }


def test_a_decision_counts_once_in_order_of_time_and_bad_lines_are_counted(tmp_path: Path) -> None:
    late, early = decision("late", START + DAY), decision("early")
    old = early.model_copy(update={"versions": {"scorer": "v0"}, "event_id": "old"})
    without_time = early.model_copy(update={"times": {}, "event_id": "timeless"})
    lines = [decision.model_dump_json() for decision in (late, early, late, old, without_time)]
    skipped = Counter[str]()
    decisions = decisions_of_version(written(tmp_path / "d", *lines, "{}", "\ufffd"), "v1", skipped)
    assert [decision.event_id for decision in decisions] == ["early", "late"]
    assert skipped == {
        "d: scored by version v0": 1,
        "d: without times.scored_at": 1,
        "d: not readable, first in line 6": 2,
    }


def test_acceptance_is_labelled_for_contacts_that_were_answered() -> None:
    contacts = [decision(name, contact=True, accept_prob=p) for name, p in zip("abcde", np.arange(5) / 10, strict=True)]
    answers = [
        outcome("b", "declined"),
        outcome("a", "declined"),
        outcome("a", "accepted"),
        outcome("c", "opted-out"),
        outcome("d", "withheld"),
        outcome("held out", "accepted"),
    ]
    probabilities, labels = acceptance_labels([*contacts, decision("held out")], answers)
    assert (probabilities.tolist(), labels.tolist()) == ([0.0, 0.1], [1, 0])


def test_churn_is_labelled_for_the_holdout_once_the_horizon_has_passed() -> None:
    held_out = [decision("leaves", churn_risk=0.6), decision("stays", churn_risk=0.1)]
    others = [
        decision("contacted", contact=True),
        decision("not held out", holdout=False),
        decision("known by the caller", churn_risk_source="caller"),
        decision("too young", START + 2 * DAY),
    ]
    churns = [outcome("leaves", "churned", START + 5 * DAY), outcome("contacted", "churned", START + HORIZON + DAY)]
    probabilities, labels = churn_labels([*held_out, *others], churns)
    assert (probabilities.tolist(), labels.tolist()) == ([0.6, 0.1], [1, 0])


def test_a_customer_counts_once_a_horizon_and_a_later_churn_is_not_of_an_earlier_risk() -> None:
    days = [0, 10, 30, 70]
    decisions = [decision(f"day {day}", START + day * DAY, "c", churn_risk=day / 100) for day in days]
    churns = [outcome("another", "churned", START + 45 * DAY, "c"), outcome("end", "declined", START + 200 * DAY)]
    probabilities, labels = churn_labels(decisions, churns)
    assert (probabilities.tolist(), labels.tolist()) == ([0.0, 0.3, 0.7], [0, 1, 0])


def test_a_churn_without_a_time_has_that_of_its_events_decision() -> None:
    decisions = [decision("first", START, "c"), decision("second", START + 40 * DAY, "c")]
    end = outcome("end", "declined", START + 100 * DAY)
    assert churn_labels(decisions, [outcome("second", "churned", None, "c"), end]).labels.tolist() == [0, 1]


def test_where_no_churn_is_reported_there_are_no_labels() -> None:
    assert len(churn_labels([decision("e")], [outcome("e", "declined", START + 2 * HORIZON)]).labels) == 0

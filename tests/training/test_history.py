"""Decisions and outcomes as they are read from files and joined."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid5

import pytest

from shared.messages import ID_NAMESPACE, Action, Decision, Metadata, Outcome
from training.history import (
    History,
    HistoryError,
    decided_at,
    order_decisions,
    read_bills,
    read_decisions,
    read_lines,
    read_outcomes,
    scored_at,
    skipped_lines,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def decided(event_id: str, day: float = 0, customer_id: str = "a", discount: int = 0) -> Decision:
    return Decision(
        id=uuid5(ID_NAMESPACE, event_id),
        event_id=event_id,
        customer_id=customer_id,
        decision=Action(contact=True, offer_percentage=discount, estimated_retention_prob=0.5),
        metadata=Metadata(churn_risk=0.5, accept_prob=0.5, expected_value=0, propensity=1, policy="baseline"),
        times={"decided_at": START + day * DAY},
    )


def reported(kind: str, event_id: str, day: float | None = None, customer_id: str = "a") -> Outcome:
    fields = {"id": ID_NAMESPACE, "event_id": event_id, "customer_id": customer_id, "outcome": kind}
    return Outcome.model_validate(fields | {"occurred_at": None if day is None else START + day * DAY})


def test_unreadable_lines_are_counted_with_the_first_one_and_blank_ones_are_not(tmp_path: Path) -> None:
    file, skipped = tmp_path / "numbers", Counter[str]()
    file.write_text("1\n\n  \nx\n2\ny\n")
    assert list(read_lines(file, int, skipped)) == [1, 2]
    assert skipped == {"numbers: not readable, first in line 4": 2}
    assert skipped_lines(skipped) == ["left out: 2, numbers: not readable, first in line 4"]


def test_decisions_without_the_time_asked_for_are_counted(tmp_path: Path) -> None:
    file, skipped = tmp_path / "decisions", Counter[str]()
    file.write_text(decided("one").model_dump_json() + "\n{}\n")
    assert [decision.event_id for decision in read_decisions(file, decided_at, skipped)] == ["one"]
    assert read_decisions(file, scored_at, skipped) == []
    assert skipped == {"decisions: not readable, first in line 2": 2, "decisions: without times.scored_at": 1}


def test_outcomes_are_read_as_their_publisher_wrote_them(tmp_path: Path) -> None:
    line = {"event_id": "e", "customer_id": "c", "outcome": "accepted"}
    file, skipped = tmp_path / "o", Counter[str]()
    file.write_text(json.dumps(line) + "\n" + json.dumps(line | {"outcome": "asleep"}))
    [outcome] = read_outcomes(file, skipped)
    assert (outcome.event_id, outcome.outcome) == ("e", "accepted")
    assert skipped == {"o: not readable, first in line 2": 1}


@pytest.mark.parametrize("at", ["2026-11-27 01:00:00", "27.11.2026", "yesterday", "2026-11-27T01:00:00", "20261127T25"])
def test_a_time_that_is_none_is_named_with_what_is_right(tmp_path: Path, at: str) -> None:
    line = {"event_id": "e", "customer_id": "c", "outcome": "churned"}
    file, skipped = tmp_path / "o", Counter[str]()
    file.write_text("\n".join(map(json.dumps, [line, line | {"occurred_at": at}, line | {"occurred_at": at}])))
    assert len(read_outcomes(file, skipped)) == 1
    [(reason, count)] = skipped.items()
    assert reason.startswith(
        "o: occurred_at is no time with a zone in ISO 8601, such as 2026-11-27T01:00:00Z, first in"
    )
    assert (reason[-6:], count) == ("line 2", 2)


def test_outcomes_may_be_a_table_and_what_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("customer_id;event_id;outcome\nc;e;accepted\nd;f;asleep\n")
    skipped = Counter[str]()
    assert [outcome.customer_id for outcome in read_outcomes(tmp_path / "o.csv", skipped)] == ["c"]
    assert skipped == {"o.csv: not readable, first in line 3": 1}
    (tmp_path / "o.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(HistoryError, match=r"o\.xlsx is .* Excel workbook"):
        read_outcomes(tmp_path / "o.xlsx", skipped)


def test_where_nothing_is_readable_the_first_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("Customer,Left on\nc,2026-01-02\n")
    skipped = Counter[str]()
    assert read_outcomes(tmp_path / "o.csv", skipped) == []
    [reason] = skipped
    assert reason.startswith("o.csv: not readable, first in line 2 (")
    assert "customer_id: required" in reason


def test_bills_are_of_events_that_carry_them_and_there_may_be_none(tmp_path: Path) -> None:
    events = [{"customer_id": "a", "monthly_charges": 50}, {"customer_id": "b"}, {"customer_id": "a"}]
    (tmp_path / "events").write_text("\n".join(map(json.dumps, events)))
    assert read_bills(tmp_path / "events", Counter()) == {"a": 50}
    assert read_bills(None, Counter()) == {}


def test_a_repeated_decision_counts_once_as_it_was_first() -> None:
    first, second = decided("one", day=2), decided("two", day=1)
    repeat = first.model_copy(update={"times": {"decided_at": START + 9 * DAY}})
    assert order_decisions([first, second, repeat], decided_at) == [second, first]


def test_where_no_customer_is_reported_as_churned_it_is_not_known_who_stayed() -> None:
    with pytest.raises(HistoryError, match="no outcome says who churned"):
        History([decided("one")], [reported("accepted", "one"), reported("churned", "never decided")])


def test_a_period_counts_what_was_decided_within_it_and_ends_with_the_first_churn() -> None:
    decisions = [decided("one", discount=10), decided("two", day=20, discount=5), decided("three", day=30, discount=15)]
    accepted = [reported("accepted", event_id) for event_id in ("one", "three")]
    churns = [reported("churned", "x", day=day) for day in (-1, 25, 40)]
    history = History(decisions, [*accepted, *churns])
    assert history.period(history.by_customer["a"], 30 * DAY) == (25 * DAY, 0.1, 2)
    assert history.period(history.by_customer["a"], 10 * DAY) == (10 * DAY, 0.1, 1)
    assert history.is_over(START + 40 * DAY)
    assert not history.is_over(START + 41 * DAY)


def test_a_churn_without_a_time_has_that_of_its_events_decision() -> None:
    history = History([decided("one"), decided("two", day=20)], [reported("churned", "two")])
    assert history.first_churn("a", START) == START + 20 * DAY
    assert history.first_churn("a", START + 21 * DAY) is None
    assert history.first_churn("b", START) is None

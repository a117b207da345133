"""Decisions and outcomes that the services have published, read from files (`data.records`) and joined by customer.

The one reading of history for the estimate of another policy (`policy.ope.dataset`), the lift (`policy.ope.lift`), and
the scorer's drift and recalibration (`scorer.outcome_log`). Lines that cannot be used are left out
and counted by reason in a `Counter`, with the file and the first line concerned.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from shared.messages import CustomerEvent, Decision, Outcome
from shared.service import error_summary
from training.data.records import read_records
from training.data.sources import SourceError

Parsed = TypeVar("Parsed")
TimeOf = Callable[[Decision], datetime]
"""Function that returns the time of a decision. Raises KeyError if that time was not logged."""


class HistoryError(Exception):
    """Decisions and outcomes are not enough for an estimate; the message says why and what to do."""


def decided_at(decision: Decision) -> datetime:
    """When the decision was made. Raises KeyError where that is not logged."""
    return decision.times["decided_at"]


def scored_at(decision: Decision) -> datetime:
    """When the event occurred, else when it was scored. Raises KeyError where neither is logged."""
    return decision.times.get("occurred_at") or decision.times["scored_at"]


def read_lines(file: Path, parse: Callable[[bytes], Parsed], skipped: Counter[str]) -> Iterator[Parsed]:
    """The results of `parse` for the records of a file or a folder; those for which it raises ValueError are left out.

    Raises `HistoryError` where the file is of another kind.
    """
    unreadable: dict[str, list[str]] = defaultdict(list)
    is_read, first_error = False, ""
    try:
        for place, record in read_records(file):
            try:
                parsed = parse(record)
            except ValueError as error:
                unreadable[_reason(error)].append(place)
                first_error = first_error or error_summary(error)
            else:
                is_read = True
                yield parsed
    except SourceError as error:
        raise HistoryError(str(error)) from error
    for reason, places in unreadable.items():
        cause = "" if is_read else f" ({first_error})"  # where nothing is readable, it is probably another file
        skipped[f"{file.name}: {reason}, first in {places[0]}{cause}"] += len(places)


def _reason(error: ValueError) -> str:
    """Why a record is left out; of a wrong time it says what is right."""
    details = error.errors() if isinstance(error, ValidationError) else []
    if any(detail["loc"][-1:] == ("occurred_at",) for detail in details):
        return "occurred_at is no time with a zone in ISO 8601, such as 2026-11-27T01:00:00Z"
    return "not readable"


def read_decisions(file: Path, time_of: TimeOf, skipped: Counter[str]) -> list[Decision]:
    """The decisions that `time_of` can date, in the order of the file."""
    decisions = []
    for decision in read_lines(file, Decision.model_validate_json, skipped):
        try:
            time_of(decision)
        except KeyError as error:
            skipped[f"{file.name}: without times.{error.args[0]}"] += 1
        else:
            decisions.append(decision)
    return decisions


def read_outcomes(file: Path, skipped: Counter[str]) -> list[Outcome]:
    """The outcomes as their publisher wrote them, in the order of the file."""
    return list(read_lines(file, lambda line: Outcome.parse(line, ""), skipped))


def read_bills(file: Path | None, skipped: Counter[str]) -> dict[str, float]:
    """The monthly charges by customer, from customer events that have them; the last one counts."""
    events = read_lines(file, lambda line: CustomerEvent.parse(line, ""), skipped) if file else ()
    return {event.customer_id: event.monthly_charges for event in events if event.monthly_charges is not None}


def skipped_lines(skipped: Mapping[str, int]) -> list[str]:
    """One line of text for each reason that something was left out."""
    return [f"left out: {count:,}, {reason}" for reason, count in skipped.items()]


def order_decisions(decisions: Iterable[Decision], time_of: TimeOf) -> list[Decision]:
    """One decision per event, in order of time. A redelivered event repeats its decision: the first one counts."""
    by_event: dict[str, Decision] = {}
    for decision in decisions:
        by_event.setdefault(decision.event_id, decision)
    return sorted(by_event.values(), key=time_of)


class Period(NamedTuple):
    """Results of a customer in a given time from a decision on."""

    retained: timedelta
    """Time until the customer was reported as churned; the whole duration if they were not."""
    discounts: float
    """Sum of the discounts accepted, each as a share of a monthly bill."""
    contacts: int
    """Number of contacts."""


class History:
    """Decisions and their outcomes, joined by customer."""

    def __init__(
        self, decisions: Iterable[Decision], outcomes: Sequence[Outcome], time_of: TimeOf = decided_at
    ) -> None:
        """Raises `HistoryError` where no customer is reported as churned: then it is not known who stayed, either."""
        ordered = order_decisions(decisions, time_of)
        self._time_of = time_of
        self.by_customer: dict[str, list[Decision]] = defaultdict(list)
        """Decisions in order of time, one per event."""
        for decision in ordered:
            self.by_customer[decision.customer_id].append(decision)
        times = {decision.event_id: time_of(decision) for decision in ordered}
        self._accepted = {outcome.event_id for outcome in outcomes if outcome.outcome == "accepted"}
        self._churned: dict[str, list[datetime]] = defaultdict(list)
        for outcome in outcomes:  # a churn without a time of its own has that of its event's decision
            if outcome.outcome == "churned" and (at := outcome.occurred_at or times.get(outcome.event_id)):
                self._churned[outcome.customer_id].append(at)
        if not self._churned:
            raise HistoryError(
                "no outcome says who churned in the time of the log, so it is not known who stayed: report customers"
                " who leave as `churned`, with the time"
            )
        self._end = max([*times.values(), *(outcome.occurred_at for outcome in outcomes if outcome.occurred_at)])

    def is_over(self, end: datetime) -> bool:
        """Whether the log covers the time until `end`."""
        return end <= self._end

    def first_churn(self, customer_id: str, start: datetime) -> datetime | None:
        """Time of the customer's first reported churn at `start` or later; None if there was none."""
        return min((at for at in self._churned.get(customer_id, ()) if at >= start), default=None)

    def period(self, decisions: Sequence[Decision], duration: timedelta) -> Period:
        """Results in `duration` from the first of one customer's `decisions`, which are in order of time."""
        start = self._time_of(decisions[0])
        decisions_within = [decision for decision in decisions if self._time_of(decision) < start + duration]
        churned = self.first_churn(decisions[0].customer_id, start)
        return Period(
            retained=min(duration, churned - start) if churned else duration,
            discounts=sum(
                decision.decision.offer_percentage / 100
                for decision in decisions_within
                if decision.event_id in self._accepted
            ),
            contacts=sum(decision.decision.contact for decision in decisions_within),
        )

"""What happened since training, read from what the services leave behind: the scorer's log, decisions and outcomes.

Lines that cannot be read, or are of another version of the scorer, stop nothing: they are counted by reason.

What cannot be known: whether somebody whom no message reached would have accepted; what the silent think, unless their
silence is reported as `declined`; and the risk of those contacted, whom the contact may have moved. Those not contacted
were picked by their risk, so the risk is judged on the holdout alone, which a hash picks.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt
from pydantic_core import from_json

from services.scorer.monitor import COUNTS_MESSAGE, Histogram
from shared.messages import Decision, FrozenModel, Outcome

HORIZON = timedelta(days=30)
"""How soon a churn has to follow for the risk to have meant it: the Telco label is of the month past."""

Kind = TypeVar("Kind")


class Saw(FrozenModel):
    """A line that the scorer said: customers by bin, and unknown categories, both by fact."""

    version: str
    customers: NonNegativeInt
    counts: dict[str, tuple[NonNegativeInt, ...]]
    unknown: dict[str, NonNegativeInt]


class Labelled(NamedTuple):
    """Predictions [n] and what happened [n], in order of time."""

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]


def saw(log: Path, version: str, bins: Mapping[str, Histogram], skipped: Counter[str]) -> Saw:
    """The sum of what all instances of one version said, in lines as Cloud Logging or standard error has them."""
    customers, unknown = 0, Counter[str]()
    counts = {fact: np.zeros(len(each["counts"]), int) for fact, each in bins.items()}
    for line in _lines(log, _said, skipped):
        if line and line.version != version:
            skipped[f"{log.name}: said by version {line.version}"] += 1
        elif line and {fact: len(each) for fact, each in line.counts.items()} != {f: len(c) for f, c in counts.items()}:
            skipped[f"{log.name}: other bins than the artifact's"] += 1
        elif line:
            customers += line.customers
            unknown.update(line.unknown)
            for fact, each in line.counts.items():
                counts[fact] += each
    total = {fact: tuple(each.tolist()) for fact, each in counts.items()}
    return Saw(version=version, customers=customers, counts=total, unknown=unknown)


def _said(line: bytes) -> Saw | None:
    """None where the line is about something else."""
    entry = from_json(line)
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    payload = entry.get("jsonPayload", entry)
    return (
        Saw.model_validate(payload) if isinstance(payload, dict) and payload.get("message") == COUNTS_MESSAGE else None
    )


def decided(file: Path, version: str, skipped: Counter[str]) -> list[Decision]:
    """The decisions that rest on one version of the scorer, once an event, in order of time."""
    found: dict[str, Decision] = {}
    for decision in _lines(file, Decision.model_validate_json, skipped):
        if decision.versions.get("scorer") != version:
            skipped[f"{file.name}: scored by version {decision.versions.get('scorer')}"] += 1
        elif not {"occurred_at", "scored_at"} & decision.times.keys():
            skipped[f"{file.name}: without a time"] += 1
        else:
            found.setdefault(decision.event_id, decision)
    return sorted(found.values(), key=_at)


def became(file: Path, skipped: Counter[str]) -> list[Outcome]:
    return list(_lines(file, lambda line: Outcome.parse(line, ""), skipped))


def acceptance(decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> Labelled:
    """P(accept) at the level offered, of those contacted who accepted or declined. Who did both has accepted."""
    accepted = {o.event_id for o in outcomes if o.outcome == "accepted"}
    answered = accepted | {o.event_id for o in outcomes if o.outcome == "declined"}
    contacts = [d for d in decisions if d.decision.contact and d.event_id in answered]
    return _labelled([(d.metadata.accept_prob, d.event_id in accepted) for d in contacts])


def churn(decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> Labelled:
    """The model's risk of the held out, of whom it is known whether they churned within the horizon.

    It is known once the window has gone on for so long. Nobody reports who stays, so where no churn at all is reported
    nothing is known. A customer counts once a horizon; a churn without a time counts for its event.
    """
    churned: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.outcome == "churned":
            churned[outcome.customer_id].append(outcome)
    if not churned:
        return _labelled([])
    end = max([*map(_at, decisions), *(o.occurred_at for o in outcomes if o.occurred_at)])
    counted: dict[str, datetime] = {}
    found = []
    for decision in decisions:
        at, customer = _at(decision), decision.customer_id
        model = decision.metadata.holdout and decision.metadata.churn_risk_source == "model"
        if model and at + HORIZON <= end and (customer not in counted or counted[customer] + HORIZON <= at):
            counted[customer] = at
            left = any(
                at <= o.occurred_at <= at + HORIZON if o.occurred_at else o.event_id == decision.event_id
                for o in churned.get(customer, ())
            )
            found.append((decision.metadata.churn_risk, left))
    return _labelled(found)


JOINS = {"risk": churn, "accept": acceptance}
"""By model, how what it said is joined with what happened."""


def _at(decision: Decision) -> datetime:
    return decision.times.get("occurred_at") or decision.times["scored_at"]


def _labelled(pairs: Sequence[tuple[float, bool]]) -> Labelled:
    return Labelled(np.array([p for p, _ in pairs], float), np.array([label for _, label in pairs], int))


def _lines(file: Path, parse: Callable[[bytes], Kind], skipped: Counter[str]) -> Iterator[Kind]:
    """What `parse` makes of each line; where it raises ValueError the line is skipped."""
    with file.open("rb") as lines:
        for line in filter(bytes.strip, lines):
            try:
                yield parse(line)
            except ValueError:
                skipped[f"{file.name}: not readable"] += 1

"""What has happened since training: the scorer's counts from its log, and its predictions joined with their outcomes.

Lines that cannot be read, or are of another version of the scorer, stop nothing: they are counted by reason.

The log cannot tell whether a customer whom no message reached would have accepted; what customers without an answer
think, unless silence is reported as `declined`; nor the risk of those contacted, which the contact may have changed. As
customers are contacted for their risk, the risk is judged on the holdout alone, which a hash of the id selects.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt
from pydantic_core import from_json

from services.scorer.monitor import COUNTS_MESSAGE, Histogram
from shared.messages import Decision, FrozenModel, Outcome
from training.history import (
    History,
    HistoryError,
    order_decisions,
    read_decisions,
    read_lines,
    scored_at,
)

HORIZON = timedelta(days=30)
"""Within which a churn counts as predicted by the risk: the Telco label is of the past month."""


class FeatureCounts(FrozenModel):
    """The scorer's log line with counts: customers by bin and unknown categories, both by fact."""

    version: str
    customers: NonNegativeInt
    counts: dict[str, tuple[NonNegativeInt, ...]]
    unknown: dict[str, NonNegativeInt]


class Labelled(NamedTuple):
    """Predictions [n] and their labels [n] of 0 and 1, in order of time."""

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]


def feature_counts(log: Path, version: str, bins: Mapping[str, Histogram], skipped: Counter[str]) -> FeatureCounts:
    """The sum of the counts of all instances of one version, from lines of Cloud Logging or of standard error."""
    customers, unknown = 0, Counter[str]()
    counts = {fact: np.zeros(len(reference["counts"]), int) for fact, reference in bins.items()}
    sizes = {fact: len(by_bin) for fact, by_bin in counts.items()}
    for line in read_lines(log, _parse_counts, skipped):
        if line and line.version != version:
            skipped[f"{log.name}: counted by version {line.version}"] += 1
        elif line and {fact: len(by_bin) for fact, by_bin in line.counts.items()} != sizes:
            skipped[f"{log.name}: other bins than the artifact's"] += 1
        elif line:
            customers += line.customers
            unknown.update(line.unknown)
            for fact, by_bin in line.counts.items():
                counts[fact] += by_bin
    total = {fact: tuple(by_bin.tolist()) for fact, by_bin in counts.items()}
    return FeatureCounts(version=version, customers=customers, counts=total, unknown=unknown)


def _parse_counts(line: bytes) -> FeatureCounts | None:
    """None where the line is about something else. Raises ValueError where it is not a JSON object."""
    entry = from_json(line)
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    payload = entry.get("jsonPayload", entry)
    is_counts = isinstance(payload, dict) and payload.get("message") == COUNTS_MESSAGE
    return FeatureCounts.model_validate(payload) if is_counts else None


def decisions_of_version(file: Path, version: str, skipped: Counter[str]) -> list[Decision]:
    """The decisions that rest on one version of the scorer, one an event, in order of time."""
    decisions = []
    for decision in read_decisions(file, scored_at, skipped):
        if (scorer := decision.versions.get("scorer")) == version:
            decisions.append(decision)
        else:
            skipped[f"{file.name}: scored by version {scorer}"] += 1
    return order_decisions(decisions, scored_at)


def acceptance_labels(decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> Labelled:
    """P(accept) at the level offered, and whether it was accepted, of contacts that were accepted or declined.

    A contact that was both has been accepted.
    """
    accepted = {outcome.event_id for outcome in outcomes if outcome.outcome == "accepted"}
    answered = accepted | {outcome.event_id for outcome in outcomes if outcome.outcome == "declined"}
    contacts = [decision for decision in decisions if decision.decision.contact and decision.event_id in answered]
    return _labelled([(contact.metadata.accept_prob, contact.event_id in accepted) for contact in contacts])


def churn_labels(decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> Labelled:
    """The model's risk of the holdout's customers, and whether they churned within the horizon.

    Of decisions older than the horizon, at most one a customer and horizon. None at all where no churn is reported,
    since customers who stay are not reported either.
    """
    try:
        history = History(decisions, outcomes, scored_at)
    except HistoryError:
        return _labelled([])
    last_counted: dict[str, datetime] = {}
    pairs = []
    for decision in decisions:
        at, customer_id = scored_at(decision), decision.customer_id
        predicted = decision.metadata.holdout and decision.metadata.churn_risk_source == "model"
        due = customer_id not in last_counted or last_counted[customer_id] + HORIZON <= at
        if predicted and due and history.is_over(at + HORIZON):
            last_counted[customer_id] = at
            churned = history.first_churn(customer_id, at)
            pairs.append((decision.metadata.churn_risk, churned is not None and churned <= at + HORIZON))
    return _labelled(pairs)


LABELS = {"risk": churn_labels, "accept": acceptance_labels}
"""How the predictions of each model are joined with their outcomes."""


def _labelled(pairs: Sequence[tuple[float, bool]]) -> Labelled:
    return Labelled(np.array([p for p, _ in pairs], float), np.array([label for _, label in pairs], int))

"""Data on the scorer since its training: the counts in its log, and its predictions joined with their outcomes.

Lines that cannot be read, or are of another version of the scorer, are left out and counted by reason.

The log does not show whether a customer without a contact would have accepted, nor whether one who has not answered
declines, unless that is reported as `declined`, nor what the risk of contacted customers would have been without the
contact. As customers are contacted because of their risk, it is evaluated on the holdout only, which a hash of the id
selects.
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
"""Time within which a churn counts as predicted: the Telco label is churn within a month.

The response model (`services.policy.response.model`) spreads the same risk over `risk_days`, the 90 days of a campaign.
The Telco data have no dates that could decide between the two; make eval-policy shows what another `risk_days` changes.
"""


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
    """The counts of a line of the log; None for other lines. Raises ValueError if it is not a JSON object."""
    entry = from_json(line)
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    payload = entry.get("jsonPayload", entry)
    is_counts = isinstance(payload, dict) and payload.get("message") == COUNTS_MESSAGE
    return FeatureCounts.model_validate(payload) if is_counts else None


def decisions_of_version(file: Path, version: str, skipped: Counter[str]) -> list[Decision]:
    """The decisions with scores of one version of the scorer, one per event, in order of time."""
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
    """The predicted risk of the holdout's customers, and whether they churned within the horizon.

    Takes decisions older than the horizon, at most one per customer and horizon. Empty if no churn was reported: then
    it is not known whether churn is reported at all.
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

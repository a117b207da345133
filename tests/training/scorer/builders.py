"""Targets, decisions and outcomes for the tests of the scorer's training."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from shared.messages import ID_NAMESPACE, Action, Decision, Metadata, Outcome
from training.scorer.targets import ModelRecipe, Target

SMALL_RECIPE = ModelRecipe(trees=5, parameters={"max_depth": 2, "min_child_weight": 1}, copies=1)
TARGET = Target(
    name="accept",
    features=("age", "job=a", "job=b", "offer_level"),
    rows=np.tile(np.array([40, 1, 0, 3], np.float32), (2000, 1)),
    labels=np.zeros(2000, int),
    recipe=SMALL_RECIPE,
    monotone={},
    min_auc=0.7,
)


def synthetic(rows: int = 2000) -> Target:
    """Labels whose probability rises with the age."""
    rng = np.random.default_rng(0)
    values = rng.random((rows, 4), np.float32)
    labels = (rng.random(rows) < 0.1 + 0.5 * values[:, 0]).astype(int)
    return replace(TARGET, rows=values, labels=labels, known_fact_sets={"id_only": ()})


def numbered(target: Target) -> Target:
    """The first feature of each row is its number."""
    return replace(target, rows=np.column_stack([np.arange(len(target.rows)), target.rows[:, 1:]]).astype(np.float32))


START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def decision(event_id: str, at: datetime = START, customer_id: str | None = None, **metadata: object) -> Decision:
    """Of a customer in the holdout, unless `contact` says otherwise."""
    contact = bool(metadata.pop("contact", False))
    defaults = {"churn_risk": 0.3, "accept_prob": 0.2, "expected_value": 0, "propensity": 1, "policy": "baseline"}
    return Decision(
        id=ID_NAMESPACE,
        event_id=event_id,
        customer_id=customer_id or f"customer of {event_id}",
        decision=Action(contact=contact, estimated_retention_prob=0.5),
        metadata=Metadata.model_validate({**defaults, "holdout": not contact, **metadata}),
        versions={"scorer": "v1"},
        times={"occurred_at": at, "scored_at": START},
    )


def outcome(event_id: str, kind: str, at: datetime | None = None, customer_id: str | None = None) -> Outcome:
    customer = customer_id or f"customer of {event_id}"
    fields = {"id": ID_NAMESPACE, "event_id": event_id, "customer_id": customer, "outcome": kind, "occurred_at": at}
    return Outcome.model_validate(fields)


def written(file: Path, *lines: object) -> Path:
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return file

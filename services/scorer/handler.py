"""Scores customer events."""

from collections.abc import Sequence
from datetime import datetime

from services.scorer.model import Score, ScorerModel
from services.scorer.monitor import LOG_INTERVAL
from shared import telemetry
from shared.messages import CustomerEvent, ScoredCustomer
from shared.service import Clock


async def score(events: Sequence[CustomerEvent], *, model: ScorerModel, clock: Clock) -> list[list[ScoredCustomer]]:
    """One scored customer for each event. Exports unknown categories as counters and logs the monitor's counts."""
    now, scores = clock(), model.score(events)
    for fact, count in model.unknown.items():
        telemetry.counts[f"unknown_{fact}"] = count
    if model.monitor.customers >= LOG_INTERVAL:
        model.monitor.log(model.version)
    return [[_scored(event, result, model.version, now)] for event, result in zip(events, scores, strict=True)]


def _scored(event: CustomerEvent, result: Score, version: str, now: datetime) -> ScoredCustomer:
    """The scored customer. A risk that the caller gives replaces the model's; the reasons stay the model's."""
    is_given = event.churn_risk is not None
    return ScoredCustomer.caused_by(
        event,
        churn_risk=event.churn_risk if is_given else result.churn_risk,
        churn_risk_source="caller" if is_given else "model",
        accept_probs=result.accept_probs,
        reasons=result.reasons,
        versions={"scorer": version},
        times={"occurred_at": event.occurred_at, "scored_at": now} if event.occurred_at else {"scored_at": now},
    )

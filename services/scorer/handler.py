"""A customer event in, a scored customer out."""

from collections.abc import Sequence
from datetime import datetime

from services.scorer.model import Score, ScorerModel
from services.scorer.monitor import SAY_EVERY
from shared import telemetry
from shared.messages import CustomerEvent, Message, ScoredCustomer
from shared.service import Clock


async def score(events: Sequence[CustomerEvent], *, model: ScorerModel, clock: Clock) -> list[list[Message]]:
    """Score a batch. Each event is followed by one message. What was seen is counted, and said from time to time."""
    now, results = clock(), model.score(events)
    for fact, count in model.unknown.items():
        telemetry.counts[f"unknown_{fact}"] = count
    if model.watch.customers >= SAY_EVERY:
        model.watch.say(model.version)
    return [[scored(event, result, model.version, now)] for event, result in zip(events, results, strict=True)]


def scored(event: CustomerEvent, result: Score, version: str, now: datetime) -> ScoredCustomer:
    """A risk that the caller knows replaces the model's; the reasons stay the model's."""
    known = event.churn_risk is not None
    return ScoredCustomer.caused_by(
        event,
        churn_risk=event.churn_risk if known else result.churn_risk,
        churn_risk_source="caller" if known else "model",
        accept_probs=result.accept_probs,
        reasons=result.reasons,
        versions={"scorer": version},
        times={"occurred_at": event.occurred_at, "scored_at": now} if event.occurred_at else {"scored_at": now},
    )

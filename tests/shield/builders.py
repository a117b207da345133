"""Builders of drafted messages, and example texts."""

from typing import Any
from uuid import uuid5

from shared.messages import ID_NAMESPACE, Action, Candidate, DraftedMessage, Metadata
from tests.support.briefs import FULL_BRIEF

VALID = "Hi Sam, thank you for 12 months with us. Take 10% off your next bill: reply KEEP by 7 December."
PRESSURING = "Hi Sam, this is your last chance to take 10% off your next bill. Reply KEEP by 7 December."
WRONG_OFFER = "Hi Sam, thank you for 12 months with us. Take 20% off your next bill: reply KEEP by 7 December."


def drafted(*texts: str, event_id: str = "event-1", **fields: Any) -> DraftedMessage:
    """A message with these candidates of a language model, best first."""
    defaults: dict[str, Any] = {
        "customer_id": "customer-1",
        "decision": Action(contact=True, offer_level=2, offer_percentage=10, estimated_retention_prob=0.44),
        "metadata": Metadata(
            churn_risk=0.8, accept_prob=0.6, expected_value=17.5, propensity=1.0, policy="baseline", reserved=10.0
        ),
        "brief": FULL_BRIEF,
        "time_zone": "UTC",
        "candidates": tuple(Candidate(text=text, writer="model") for text in texts),
    }
    return DraftedMessage(id=uuid5(ID_NAMESPACE, event_id), event_id=event_id, **{**defaults, **fields})

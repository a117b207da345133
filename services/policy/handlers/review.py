"""Do what is due by now: review customers, expire offers, stop by unread replies, and delete what is kept no longer.

Documents are found by the time they are due. Each is handled once, even if several processes do this at the same time.
"""

from datetime import datetime
from functools import partial
from uuid import uuid5

from pydantic_core import to_json

from services.policy.budget.ledger import Shard
from services.policy.context import PolicyContext
from services.policy.customer.state import CustomerState, Review
from services.policy.handlers.settle import settle_reply, status_of
from shared import telemetry
from shared.bus import Bus, Envelope
from shared.messages import ID_NAMESPACE, CustomerEvent
from shared.service import attributes
from shared.store import CUSTOMERS, DECISIONS, EARLY_OUTCOMES, PLANS, REPLIES, VERDICTS, Document, Documents, Key

BATCH_SIZE = 100
"""Documents handled at once."""


async def review(*, context: PolicyContext, bus: Bus) -> dict[str, int]:
    """Do all that is due by now.

    Returns the number of customers reviewed, of offers expired, and of other documents deleted (`forgotten`).
    """
    now = context.clock()
    return {
        "reviewed": await _review_customers(context, bus, now),
        "expired": await _expire_plans(context, now),
        "forgotten": sum(
            [await _delete_due(collection, context, now) for collection in (VERDICTS, DECISIONS, EARLY_OUTCOMES)],
            await _stop_by_unread_replies(context, now),
        ),
    }


async def _review_customers(context: PolicyContext, bus: Bus, now: datetime) -> int:
    """Publish an event for each customer whose review is due; delete those whose retention period is over."""
    reviewed = 0
    while keys := await context.store.due(CUSTOMERS, now, BATCH_SIZE):
        documents = await context.store.read(keys)
        events = [
            _review_event(customer_id, due_review)
            for (_, customer_id), document in documents.items()
            if (due_review := CustomerState.from_document(document).review)
        ]
        # Published first: a customer sent twice is decided once, but one whose review is cleared unsent would be lost.
        await bus.publish([Envelope(event.topic, event.data, attributes(event)) for event in events])
        await context.store.update_all(
            [([key], partial(_clear_review, key=key, context=context, now=now)) for key in keys]
        )
        reviewed += len(events)
    return reviewed


def _review_event(customer_id: str, due_review: Review) -> CustomerEvent:
    """The event that a review publishes. Its id follows from the review, so a repetition is decided once."""
    event_id = str(uuid5(ID_NAMESPACE, f"review of {due_review.event_id}"))
    return CustomerEvent.parse(to_json({**due_review.facts, "customer_id": customer_id, "event_id": event_id}), "")


def _clear_review(
    documents: Documents, *, key: Key, context: PolicyContext, now: datetime
) -> tuple[dict[Key, Document | None], None]:
    """Clear the due review of a customer; delete the customer if there is none."""
    if not _is_due(documents[key], now):
        return {}, None
    state = CustomerState.from_document(documents[key])
    if not state.review:
        return {key: None}, None
    return {key: state.with_review(None).to_document(key[1], now + context.retention_period)}, None


async def _expire_plans(context: PolicyContext, now: datetime) -> int:
    """Release the money reserved for ended offers; delete decisions whose retention period is over.

    Returns the number of offers that ended.
    """
    expired = 0
    while keys := await context.store.due(PLANS, now, BATCH_SIZE):
        plans = {key: plan for key, plan in (await context.store.read(keys)).items() if plan}
        shards = {key: context.ledger.shard_of(plan["customer_id"]) for key, plan in plans.items()}
        expired += sum(
            await context.store.update_all(
                [
                    ((key, shard), partial(_expire_plan, plan_key=key, shard_key=shard, context=context, now=now))
                    for key, shard in shards.items()
                ]
            )
        )
    return expired


def _expire_plan(
    documents: Documents, *, plan_key: Key, shard_key: Key, context: PolicyContext, now: datetime
) -> tuple[dict[Key, Document | None], bool]:
    """Expire or delete a plan that is due. The result is whether an offer has expired."""
    plan = documents[plan_key]
    if plan is None or not _is_due(plan, now):
        return {}, False
    if plan["status"] != "reserved":
        return {plan_key: None}, False
    outcomes = sorted({*plan["outcomes"], "expired"})
    status = status_of(outcomes)
    shard = Shard.from_document(documents[shard_key])
    shard = shard.change_status(plan["cents"], plan["awaited"], "reserved", status)
    due = (now + context.retention_period).timestamp()
    settled = {**plan, "status": status, "outcomes": outcomes, "due": due}
    return {plan_key: settled, shard_key: shard.to_document()}, True


async def _stop_by_unread_replies(context: PolicyContext, now: datetime) -> int:
    """Take the replies that nobody has read in time for requests to stop."""
    expired = 0
    while keys := await context.store.due(REPLIES, now, BATCH_SIZE):
        for _, reply_id in keys:
            await settle_reply(reply_id, "stop", context=context)
            telemetry.count("unread_replies_expired")
        expired += len(keys)
    return expired


async def _delete_due(collection: str, context: PolicyContext, now: datetime) -> int:
    deleted = 0
    while keys := await context.store.due(collection, now, BATCH_SIZE):
        await context.store.update(keys, lambda documents: (dict.fromkeys(documents), None))
        deleted += len(keys)
    return deleted


def _is_due(document: Document | None, now: datetime) -> bool:
    """Whether the document is still due: an event or an outcome may have changed it since it was found."""
    return document is not None and document["due"] <= now.timestamp()

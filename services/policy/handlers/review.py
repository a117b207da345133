"""What the calendar brings: customers to look at again, offers that have ended, and what is to be forgotten.

Each is found by when it is due, and done once, however often and by however many the calendar is asked.
"""

from datetime import datetime
from uuid import uuid5

from pydantic_core import to_json

from services.policy.budget.ledger import shard_in
from services.policy.customer.state import CustomerState, Review
from services.policy.handlers.decide import PolicyContext
from services.policy.handlers.settle import status_of
from shared.bus import Bus, Envelope
from shared.messages import ID_NAMESPACE, CustomerEvent
from shared.service import attributes
from shared.store import CUSTOMERS, DECISIONS, EARLY_OUTCOMES, PLANS, VERDICTS, Change, Document, Documents, Key

TOGETHER = 100
"""Documents that are looked at at once."""


async def review(*, context: PolicyContext, bus: Bus) -> dict[str, int]:
    """Do all that is due; returns how much there was."""
    now = context.clock()
    return {
        "reviewed": await _look_again(context, bus, now),
        "expired": await _expire(context, now),
        "forgotten": sum(
            [await _forget(collection, context, now) for collection in (VERDICTS, DECISIONS, EARLY_OUTCOMES)]
        ),
    }


async def _look_again(context: PolicyContext, bus: Bus, now: datetime) -> int:
    """Send through again whose review is due; forget of whom nothing has been heard for long."""
    reviewed = 0
    while keys := await context.store.due(CUSTOMERS, now, TOGETHER):
        found = {key: CustomerState.of(document).review for key, document in (await context.store.read(keys)).items()}
        events = [_event(customer_id, due) for (_, customer_id), due in found.items() if due]
        # Published first: who is sent twice is decided once, and who is crossed off unsent would be lost.
        await bus.publish([Envelope(event.topic, event.data, attributes(event)) for event in events])
        await context.store.update_all([([key], _crossed_off(key, context, now)) for key in keys])
        reviewed += len(events)
    return reviewed


def _event(customer_id: str, due: Review) -> CustomerEvent:
    """The same each time it is made."""
    event_id = str(uuid5(ID_NAMESPACE, f"review of {due.event_id}"))
    return CustomerEvent.parse(to_json({**due.facts, "customer_id": customer_id, "event_id": event_id}), "")


def _crossed_off(key: Key, context: PolicyContext, now: datetime) -> Change:
    def change(found: Documents) -> dict[Key, Document | None]:
        state = CustomerState.of(found[key])
        if not _is_due(found[key], now):
            return {}
        return {key: state.reviewed(None).document(key[1], now + context.keep) if state.review else None}

    return change


async def _expire(context: PolicyContext, now: datetime) -> int:
    """Give back what ended offers had reserved; forget decisions that are long settled."""
    expired = 0
    while keys := await context.store.due(PLANS, now, TOGETHER):
        plans = {key: plan for key, plan in (await context.store.read(keys)).items() if plan}
        shards = {key: context.ledger.shard_of(plan["customer_id"]) for key, plan in plans.items()}
        await context.store.update_all(
            [((key, shard), _expired(key, shard, context, now)) for key, shard in shards.items()]
        )
        expired += sum(plan["status"] == "reserved" for plan in plans.values())
    return expired


def _expired(key: Key, shard_key: Key, context: PolicyContext, now: datetime) -> Change:
    def change(found: Documents) -> dict[Key, Document | None]:
        plan = found[key]
        if plan is None or not _is_due(plan, now):
            return {}
        if plan["status"] != "reserved":
            return {key: None}
        outcomes = sorted({*plan["outcomes"], "expired"})
        status = status_of(outcomes)
        shard = shard_in(found[shard_key]).move(plan["cents"], plan["awaited"], "reserved", status)
        due = (now + context.keep).timestamp()
        return {key: {**plan, "status": status, "outcomes": outcomes, "due": due}, shard_key: shard}

    return change


async def _forget(collection: str, context: PolicyContext, now: datetime) -> int:
    forgotten = 0
    while keys := await context.store.due(collection, now, TOGETHER):
        await context.store.update_all([([key], _removed(key)) for key in keys])
        forgotten += len(keys)
    return forgotten


def _removed(key: Key) -> Change:
    return lambda found: {key: None}


def _is_due(document: Document | None, now: datetime) -> bool:
    """Still: an event or an outcome may have come meanwhile."""
    return document is not None and document["due"] <= now.timestamp()

"""Store decisions, so that callers can read them until they are deleted."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.messages import Decision, Message
from shared.service import Clock
from shared.store import DECISIONS, Change, Document, Documents, Key, Store


async def save(
    decisions: Sequence[Decision], *, store: Store, retention_period: timedelta, clock: Clock
) -> list[list[Message]]:
    """Store each decision that is not stored yet, to be deleted after `retention_period`. Publishes no messages."""
    due = clock() + retention_period
    await store.update_all([([_key(decision.event_id)], _save(decision, due)) for decision in decisions])
    return [[] for _ in decisions]


async def load(store: Store, event_id: str, now: datetime) -> str | None:
    """The decision about an event, as JSON, or None where there is none yet or it is due to be deleted."""
    document = (await store.read([_key(event_id)]))[_key(event_id)]
    return document["decision"] if document and now.timestamp() < document["due"] else None


def _key(event_id: str) -> Key:
    return DECISIONS, event_id


def _save(decision: Decision, due: datetime) -> Change[None]:
    key = _key(decision.event_id)
    document: Document = {
        "decision": decision.data.decode(),
        "customer_id": decision.customer_id,
        "due": due.timestamp(),
    }

    def change(documents: Documents) -> tuple[dict[Key, Document], None]:
        return {} if documents[key] else {key: document}, None

    return change

"""Remember the decisions, so that they can be asked for, for as long as they are kept."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.messages import Decision, Message
from shared.service import Clock
from shared.store import DECISIONS, Change, Document, Documents, Key, Store


async def remember(
    decisions: Sequence[Decision], *, store: Store, keep: timedelta, clock: Clock
) -> list[list[Message]]:
    due = clock() + keep
    await store.update_all([([_key(decision.event_id)], _kept(decision, due)) for decision in decisions])
    return [[] for _ in decisions]


async def recall(store: Store, event_id: str, now: datetime) -> str | None:
    """The decision about that event, as JSON, once there is one and until it is to be forgotten."""
    found = (await store.read([_key(event_id)]))[_key(event_id)]
    return found["decision"] if found and now.timestamp() < found["due"] else None


def _key(event_id: str) -> Key:
    return DECISIONS, event_id


def _kept(decision: Decision, due: datetime) -> Change:
    key = _key(decision.event_id)
    document: Document = {
        "decision": decision.data.decode(),
        "customer_id": decision.customer_id,
        "due": due.timestamp(),
    }

    def change(found: Documents) -> dict[Key, Document]:
        return {} if found[key] else {key: document}

    return change

"""Remember the decisions, so that they can be asked for."""

from collections.abc import Sequence

from shared.messages import Decision, Message
from shared.store import Change, Document, Documents, Key, Store

DECISIONS = "decisions"


async def remember(decisions: Sequence[Decision], *, store: Store) -> list[list[Message]]:
    await store.update_all([([_key(decision.event_id)], _kept(decision)) for decision in decisions])
    return [[] for _ in decisions]


async def recall(store: Store, event_id: str) -> str | None:
    """The decision about that event, as JSON, once there is one."""
    found = (await store.read([_key(event_id)]))[_key(event_id)]
    return found["decision"] if found else None


def _key(event_id: str) -> Key:
    return DECISIONS, event_id


def _kept(decision: Decision) -> Change:
    def change(found: Documents) -> dict[Key, Document]:
        key = _key(decision.event_id)
        return {} if found[key] else {key: {"decision": decision.data.decode()}}

    return change

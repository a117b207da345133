"""Record what customers say about being contacted, and keep their unclear replies until a person has read them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import NamedTuple

from services.policy.context import PolicyContext, SettleContext
from shared import telemetry
from shared.consent import Consent, Statement
from shared.store import REPLIES, Document, Documents, Key

MAX_TEXT_LENGTH = 2_000
"""Characters of an unclear reply that are kept."""


class Reply(NamedTuple):
    """A customer's message about being contacted."""

    id: str
    customer_id: str
    event_id: str
    """Empty if no event is known."""
    statement: Statement
    text: str
    occurred_at: datetime | None


async def record(replies: Sequence[Reply], context: PolicyContext, now: datetime) -> None:
    """Record what customers say, and keep the text of what is unclear. What a clear message answers is deleted."""
    by_customer: dict[Key, list[Reply]] = {}
    for reply in replies:
        by_customer.setdefault(context.pseudonyms.suppression_key(reply.customer_id), []).append(reply)
    stored = await context.store.read(list(by_customer))
    updates = []
    for key, said in by_customer.items():
        change = partial(_record, consent_key=key, replies=said, context=context, now=now)
        updates.append((_keys(key, stored[key], (reply.id for reply in said)), change))
    for waiting in chain(*await context.store.update_all(updates)):
        customer = context.pseudonyms.of(waiting.customer_id)
        telemetry.count("unread_replies", event_id=waiting.event_id, customer=customer)


def _record(
    documents: Documents, *, consent_key: Key, replies: Sequence[Reply], context: PolicyContext, now: datetime
) -> tuple[dict[Key, Document | None], list[Reply]]:
    """The result is the replies that did not wait for a person before, and do now."""
    before = after = Consent.from_document(documents[consent_key])
    for reply in replies:
        after = after.with_statement(reply.statement, reply.id, reply.occurred_at, now)
    writes = _writes(documents, consent_key, before, after)
    waiting = {reply.id: reply for reply in replies if reply.id in after.unread and reply.id not in before.unread}
    for reply in waiting.values():
        writes[REPLIES, reply.id] = {
            "customer_id": reply.customer_id,
            "event_id": reply.event_id,
            "text": reply.text[:MAX_TEXT_LENGTH],
            "at": after.unread[reply.id].isoformat(),
            "received_at": now.isoformat(),
            "due": (now + context.unread_reply_duration).timestamp(),
        }
    return writes, list(waiting.values())


async def waiting(reply_id: str, context: PolicyContext | SettleContext) -> Document | None:
    """The reply if it waits for a person. One that is stored and waits no longer is deleted.

    It stays behind where the customer said something clear while it was being stored.
    """
    key = REPLIES, reply_id
    if (reply := (await context.store.read([key]))[key]) is None:
        return None
    consent_key = context.pseudonyms.suppression_key(reply["customer_id"])
    if reply_id in Consent.from_document((await context.store.read([consent_key]))[consent_key]).unread:
        return reply
    await context.store.update([key], lambda _: ({key: None}, None))
    return None


async def close(
    reply_id: str, customer_id: str, statement: Statement | None, context: PolicyContext | SettleContext
) -> None:
    """Delete a reply that has been read, and record what it says about being contacted."""
    key = context.pseudonyms.suppression_key(customer_id)

    def change(documents: Documents) -> tuple[dict[Key, Document | None], None]:
        before = Consent.from_document(documents[key])
        after = before.settle(reply_id, statement)
        return _writes(documents, key, before, after), None

    stored = await context.store.read([key])
    await context.store.update(_keys(key, stored[key], [reply_id]), change)


def _keys(consent_key: Key, consent: Document | None, reply_ids: Iterable[str]) -> list[Key]:
    """Keys of the customer's consent, of the replies that wait, and of these replies."""
    ids = dict.fromkeys(chain(Consent.from_document(consent).unread, reply_ids))
    return [consent_key, *((REPLIES, reply_id) for reply_id in ids)]


def _writes(documents: Documents, consent_key: Key, before: Consent, after: Consent) -> dict[Key, Document | None]:
    """The consent where it has changed, and the deletion of the replies that wait no longer."""
    replies = (key for key, document in documents.items() if key != consent_key and document)
    writes: dict[Key, Document | None] = {key: None for key in replies if key[1] not in after.unread}
    if after != before:
        writes[consent_key] = after.to_document()
    return writes

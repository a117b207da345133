"""Erase a customer: delete all their data, except what they said about being contacted, under a pseudonym."""

from services.policy.budget.ledger import Ledger, Shard
from shared import telemetry
from shared.consent import Consent
from shared.pseudonyms import Pseudonyms
from shared.store import PLANS, Document, Documents, Key, Store, customer_documents

BATCH_SIZE = 100
"""Documents deleted in one commit; Firestore allows 500."""


async def erase(customer_id: str, store: Store, ledger: Ledger, pseudonyms: Pseudonyms) -> int:
    """Erase a customer; returns the number of documents deleted.

    Money reserved for the customer is released; money spent stays spent. Replies that nobody has read count as requests
    to stop, because nobody can read them any more.
    """
    shard_key, erased = ledger.shard_of(customer_id), 0

    def delete(documents: Documents) -> tuple[dict[Key, Document | None], None]:
        shard = Shard.from_document(documents[shard_key])
        writes: dict[Key, Document | None] = {key: None for key in documents if key != shard_key}
        for (collection, _), document in documents.items():
            if collection == PLANS and document and document["status"] == "reserved":
                shard = shard.change_status(document["cents"], document.get("awaited", 0), "reserved", "released")
                writes[shard_key] = shard.to_document()
        return writes, None

    while keys := (await customer_documents(store, customer_id))[:BATCH_SIZE]:
        await store.update([*keys, shard_key], delete)
        erased += len(keys)
    consent_key = pseudonyms.suppression_key(customer_id)

    def stop_by_unread_replies(documents: Documents) -> tuple[dict[Key, Document | None], None]:
        consent = Consent.from_document(documents[consent_key])
        for reply_id in consent.unread:
            consent = consent.settle(reply_id, "stop")
        return {consent_key: consent.to_document()} if documents[consent_key] else {}, None

    await store.update([consent_key], stop_by_unread_replies)
    telemetry.log("erased", customer=pseudonyms.of(customer_id), documents=erased)
    return erased

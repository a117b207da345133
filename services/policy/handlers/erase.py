"""Forget a customer: all that is stored of them goes, and that they must not be contacted stays, as a hash."""

from services.policy.budget.ledger import Ledger, shard_in
from shared import telemetry
from shared.pseudonyms import Pseudonyms
from shared.store import PLANS, Document, Documents, Key, Store, customer_documents

TOGETHER = 100
"""Documents removed in one commit; Firestore takes 500."""


async def erase(customer_id: str, store: Store, ledger: Ledger, pseudonyms: Pseudonyms) -> int:
    """How many documents there were. What is promised to the customer is given back, what is spent stays spent."""
    shard_key, erased = ledger.shard_of(customer_id), 0

    def removed(found: Documents) -> dict[Key, Document | None]:
        shard = shard_in(found[shard_key])
        written: dict[Key, Document | None] = {}
        for key, document in found.items():
            if key[0] == PLANS and document and document["status"] == "reserved":
                written[shard_key] = shard.move(document["cents"], document.get("awaited", 0), "reserved", "released")
                shard = shard_in(written[shard_key])
        return {**written, **{key: None for key in found if key != shard_key}}

    while keys := (await customer_documents(store, customer_id))[:TOGETHER]:
        await store.update([*keys, shard_key], removed)
        erased += len(keys)
    telemetry.log("erased", customer=pseudonyms.of(customer_id), documents=erased)
    return erased

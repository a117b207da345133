"""Google Cloud's Pub/Sub and Firestore behind the two ports. The only module of the services that imports google.*.

Their emulators are used where PUBSUB_EMULATOR_HOST and FIRESTORE_EMULATOR_HOST say so; Google's clients read them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from random import random
from urllib.parse import quote, unquote

from google.api_core import exceptions, retry
from google.cloud import firestore, pubsub_v1

from shared.bus import Bus, Envelope
from shared.settings import Settings
from shared.store import Change, Document, Documents, Key, Store
from shared.topology import TOPICS

PATIENCE = 20.0
"""Seconds until a publish that Pub/Sub does not take is given up, and with it the message that caused it."""
TOGETHER = 64
"""Updates of a batch; Firestore takes 500 writes."""
ATTEMPTS = 30
"""Times an update starts over because somebody else was faster."""


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    bus, store = PubSubBus(settings.project), FirestoreStore(settings.project)
    try:
        yield bus, store
    finally:
        bus.close()
        store.close()


class PubSubBus:
    """Messages published together travel together; each is confirmed on its own."""

    def __init__(self, project: str) -> None:
        self._topics = f"projects/{project}/topics/"
        again = retry.Retry(initial=0.1, maximum=5, timeout=PATIENCE, predicate=retry.if_transient_error)
        self._client = pubsub_v1.PublisherClient(
            batch_settings=pubsub_v1.types.BatchSettings(max_latency=0),  # a push waits for its answer: do not linger
            publisher_options=pubsub_v1.types.PublisherOptions(retry=again, timeout=PATIENCE),
        )

    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        futures = [self._client.publish(self._topics + e.topic, e.data, **e.attributes) for e in envelopes]
        return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    async def check(self) -> None:
        await asyncio.to_thread(self._client.get_topic, topic=self._topics + TOPICS[0], timeout=4)

    def close(self) -> None:
        self._client.stop()


class Contention(Exception):
    """Others kept changing the same documents."""


class FirestoreStore:
    """Optimistic: a batch whose writes hold only while the documents are as they were read. No transaction waits.

    Updates that wait together share their reading and their batch; where somebody was faster, each goes alone.
    """

    def __init__(self, project: str) -> None:
        self._client = firestore.AsyncClient(project=project)
        self._collections: dict[str, firestore.AsyncCollectionReference] = {}

    async def read(self, keys: Sequence[Key]) -> Documents:
        return {key: snapshot.to_dict() for key, snapshot in (await self._snapshots(keys)).items()}

    async def update(self, keys: Sequence[Key], change: Change) -> Documents:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[tuple[Sequence[Key], Change]]) -> list[Documents]:
        groups = [updates[start : start + TOGETHER] for start in range(0, len(updates), TOGETHER)]
        return [documents for group in groups for documents in await self._update_group(group)]

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        until = firestore.FieldFilter("due", "<=", now.timestamp())
        query = self._client.collection(collection).where(filter=until).order_by("due").limit(limit)
        return await _keys(collection, query)

    async def about(self, collection: str, customer_id: str) -> list[Key]:
        theirs = firestore.FieldFilter("customer_id", "==", customer_id)
        return await _keys(collection, self._client.collection(collection).where(filter=theirs))

    async def check(self) -> None:
        await self.read([("checks", "reachable")])

    def close(self) -> None:
        self._client.close()

    async def _update_group(self, updates: Sequence[tuple[Sequence[Key], Change]]) -> list[Documents]:
        for attempt in range(ATTEMPTS):
            snapshots = await self._snapshots(list(dict.fromkeys(key for keys, _ in updates for key in keys)))
            before: dict[Key, Document | None] = {key: snapshot.to_dict() for key, snapshot in snapshots.items()}
            after = dict(before)
            results: list[Documents] = []
            for keys, change in updates:  # each sees what those before it made
                found = {key: after[key] for key in keys}
                written = change(found)
                after.update(written)
                results.append({**found, **written})
            batch = self._client.batch()
            for key, document in after.items():
                if document is not before[key]:
                    self._write(batch, snapshots[key], before[key], document)
            try:
                if len(batch):
                    await batch.commit()
                return results
            except (exceptions.Conflict, exceptions.FailedPrecondition):  # Conflict is AlreadyExists and Aborted
                if len(updates) > 1:
                    return [
                        d for alone in await asyncio.gather(*(self._update_group([u]) for u in updates)) for d in alone
                    ]
                await asyncio.sleep(min(0.5, 0.005 * 2**attempt) * random())
        others = ", ".join(sorted({collection for collection, _ in before}))  # no ids: this is logged
        raise Contention(f"documents of {others} changed {ATTEMPTS} times meanwhile")

    def _write(
        self,
        batch: firestore.AsyncWriteBatch,
        read: firestore.DocumentSnapshot,
        old: Document | None,
        new: Document | None,
    ) -> None:
        if old is None:
            batch.create(read.reference, new)
            return
        unchanged = self._client.write_option(last_update_time=read.update_time)
        if new is None:
            batch.delete(read.reference, option=unchanged)
        else:
            gone = {field: firestore.DELETE_FIELD for field in old.keys() - new.keys()}
            batch.update(read.reference, {**new, **gone}, option=unchanged)

    async def _snapshots(self, keys: Sequence[Key]) -> dict[Key, firestore.DocumentSnapshot]:
        """One of each, in their order; Firestore answers in any."""
        references = [self._reference(key) for key in keys]
        found = {s.reference.path: s async for s in self._client.get_all(references)}
        return {key: found[reference.path] for key, reference in zip(keys, references, strict=True)}

    def _reference(self, key: Key) -> firestore.AsyncDocumentReference:
        collection, name = key
        if collection not in self._collections:
            self._collections[collection] = self._client.collection(collection)
        return self._collections[collection].document(document_id(name))


async def _keys(collection: str, query: firestore.AsyncQuery) -> list[Key]:
    """Of the documents that `query` finds; their fields stay where they are."""
    return [(collection, unquote(found.id)) async for found in query.select([]).stream()]


def document_id(name: str) -> str:
    """Any id as Firestore takes them: no slash, not a dot or two, no underscores at both ends."""
    return quote(name, safe="").replace(".", "%2E").replace("_", "%5F")

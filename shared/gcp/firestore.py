"""Firestore as a store."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from random import random
from urllib.parse import unquote

from google.api_core import exceptions
from google.cloud import firestore

from shared.gcp.errors import translated
from shared.store import Change, Document, Documents, Key, Result, Update

BATCH_SIZE = 64
"""Limit of updates that share a commit. Firestore allows 500 writes in one, and an update has a few."""
REQUEST_TIMEOUT_SECONDS = 15.0
"""Time for a read or a commit, with the client's own retries; then the message that needs it is retried."""
MAX_ATTEMPTS = 30
"""Attempts at an update whose documents keep changing."""


class ContentionError(Exception):
    """The documents of an update changed before every attempt to write it."""


class FirestoreStore:
    """Optimistic updates, without transactions: a commit fails if a document it writes has changed since it was read.

    The updates of one call share reads and commits; after a conflict each is repeated alone.
    """

    def __init__(self, project: str) -> None:
        with translated("Firestore"):
            self._client = firestore.AsyncClient(project=project)
        self._collections: dict[str, firestore.AsyncCollectionReference] = {}

    async def read(self, keys: Sequence[Key]) -> Documents:
        return {key: snapshot.to_dict() for key, snapshot in (await self._snapshots(keys)).items()}

    async def update(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        groups = [updates[start : start + BATCH_SIZE] for start in range(0, len(updates), BATCH_SIZE)]
        return [result for group in groups for result in await self._update_group(group)]

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        due = firestore.FieldFilter("due", "<=", now.timestamp())
        query = self._client.collection(collection).where(filter=due).order_by("due").limit(limit)
        return await _keys(collection, query)

    async def by_customer(self, collection: str, customer_id: str) -> list[Key]:
        equal = firestore.FieldFilter("customer_id", "==", customer_id)
        return await _keys(collection, self._client.collection(collection).where(filter=equal))

    async def check(self) -> None:
        """Raise `UnavailableError` if Firestore cannot be read. A write each time would cost more than it finds: where
        one fails, its message is refused and delivered again."""
        await self.read([("checks", "reachable")])

    def close(self) -> None:
        self._client.close()

    async def _update_group(self, updates: Sequence[Update[Result]]) -> list[Result]:
        for attempt in range(MAX_ATTEMPTS):
            snapshots = await self._snapshots(list(dict.fromkeys(key for keys, _ in updates for key in keys)))
            before: dict[Key, Document | None] = {key: snapshot.to_dict() for key, snapshot in snapshots.items()}
            after = dict(before)
            results: list[Result] = []
            for keys, change in updates:  # each sees what those before it wrote
                writes, result = change({key: after[key] for key in keys})
                after.update(writes)
                results.append(result)
            batch = self._client.batch()
            for key, document in after.items():
                if document is not before[key]:
                    self._write(batch, snapshots[key], before[key], document)
            try:
                if len(batch):
                    with translated("Firestore"):
                        async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                            await batch.commit()
                return results
            except (exceptions.Conflict, exceptions.FailedPrecondition):  # Conflict is AlreadyExists and Aborted
                if len(updates) > 1:
                    groups = await asyncio.gather(*(self._update_group([update]) for update in updates))
                    return [result for group in groups for result in group]
                await asyncio.sleep(min(0.5, 0.005 * 2**attempt) * random())
        collections = ", ".join(sorted({collection for collection, _ in before}))  # no ids: this is logged
        raise ContentionError(
            f"documents of {collections} changed at each of {MAX_ATTEMPTS} attempts to update them; retry later"
        )

    def _write(
        self,
        batch: firestore.AsyncWriteBatch,
        snapshot: firestore.DocumentSnapshot,
        old: Document | None,
        new: Document | None,
    ) -> None:
        if old is None:
            batch.create(snapshot.reference, new)
            return
        unchanged = self._client.write_option(last_update_time=snapshot.update_time)
        if new is None:
            batch.delete(snapshot.reference, option=unchanged)
        else:
            removed = {field: firestore.DELETE_FIELD for field in old.keys() - new.keys()}
            batch.update(snapshot.reference, {**new, **removed}, option=unchanged)

    async def _snapshots(self, keys: Sequence[Key]) -> dict[Key, firestore.DocumentSnapshot]:
        """A snapshot of each document, in the order of `keys`; Firestore returns them in any order."""
        references = [self._reference(key) for key in keys]
        with translated("Firestore"):
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                snapshots = {snapshot.reference.path: snapshot async for snapshot in self._client.get_all(references)}
        return {key: snapshots[reference.path] for key, reference in zip(keys, references, strict=True)}

    def _reference(self, key: Key) -> firestore.AsyncDocumentReference:
        collection, name = key
        if collection not in self._collections:
            self._collections[collection] = self._client.collection(collection)
        return self._collections[collection].document(document_id(name))


async def _keys(collection: str, query: firestore.AsyncQuery) -> list[Key]:
    """Keys of the documents that match `query`; their fields are not read."""
    with translated("Firestore"):
        async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
            return [(collection, unquote(snapshot.id)) async for snapshot in query.select([]).stream()]


ESCAPED_CHARACTERS = str.maketrans({character: f"%{ord(character):02X}" for character in "%/._"})


def document_id(name: str) -> str:
    """`name` as a document id that Firestore accepts: without slashes, not `.`, `..` or `__…__`, up to 1,500 bytes."""
    return name.translate(ESCAPED_CHARACTERS)

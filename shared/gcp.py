"""Google's Pub/Sub, Firestore and identity behind our ports. The only module of the services that imports google.*.

Their emulators are used where PUBSUB_EMULATOR_HOST and FIRESTORE_EMULATOR_HOST say so; Google's clients read them.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from math import inf
from random import random
from typing import Any
from urllib.parse import unquote

from google.api_core import exceptions, retry
from google.auth import jwt
from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request
from google.cloud import firestore, pubsub_v1

from shared.bus import Bus, Envelope, original_message
from shared.settings import Settings
from shared.store import Change, Document, Documents, Key, Store
from shared.topology import SUBSCRIPTIONS, TOPICS, Subscription

PATIENCE = 20.0
"""Seconds until a publish that Pub/Sub does not take is given up, and with it the message that caused it."""
WAIT = 5.0
"""Seconds to wait for a dead letter before there is none, and for Google's keys."""
ISSUERS = ("accounts.google.com", "https://accounts.google.com")
FRESH, NEW = 3600.0, 60.0
"""Seconds until Google's keys are fetched again; and, where a token names one that is not among them."""
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


class PubSubDeadLetters:
    """The dead letters that `deploy.topology` has kept. They are held while one looks at them, and then given back."""

    def __init__(self, project: str) -> None:
        self._subscriptions = f"projects/{project}/subscriptions/"
        self._bus = PubSubBus(project)
        self._client = pubsub_v1.SubscriberClient()
        self._held: dict[str, tuple[str, str]] = {}

    async def kept(self) -> list[Envelope]:
        found = await asyncio.gather(*(asyncio.to_thread(self._pull, s) for s in SUBSCRIPTIONS))
        return [letter for letters in found for letter in letters]

    async def replay(self, letters: Sequence[Envelope]) -> None:
        for letter in letters:
            await self._bus.publish([original_message(letter)])
            subscription, ack_id = self._held.pop(letter.id)
            self._client.acknowledge(subscription=subscription, ack_ids=[ack_id])

    def close(self) -> None:
        for subscription, ack_id in self._held.values():
            self._client.modify_ack_deadline(subscription=subscription, ack_ids=[ack_id], ack_deadline_seconds=0)
        self._client.close()
        self._bus.close()

    def _pull(self, s: Subscription) -> list[Envelope]:
        """All of them: until none comes in a while, or those that are held come again."""
        keep, found = f"{self._subscriptions}{s.dead}.keep", dict[str, Envelope]()
        while True:
            try:
                pulled = self._client.pull(subscription=keep, max_messages=1000, timeout=WAIT).received_messages
            except exceptions.DeadlineExceeded:
                pulled = []
            except exceptions.NotFound as error:
                raise LookupError(f"there is no subscription {keep}. Run: python -m deploy.topology") from error
            new = [p for p in pulled if p.message.message_id not in found]
            for p in pulled:
                name = p.message.message_id
                self._held[name] = keep, p.ack_id
                found[name] = Envelope(s.dead, p.message.data, dict(p.message.attributes), name)
            if not new:
                return list(found.values())


class ContentionError(Exception):
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

    async def by_customer(self, collection: str, customer_id: str) -> list[Key]:
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
        raise ContentionError(f"documents of {others} changed {ATTEMPTS} times meanwhile")

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


ESCAPED = str.maketrans({character: f"%{ord(character):02X}" for character in "%/._"})


def document_id(name: str) -> str:
    """Any id as Firestore takes them: no slash, not a dot or two, no underscores at both ends, up to 1,500 bytes."""
    return name.translate(ESCAPED)


class Tokens:
    """Identity tokens. Google's keys are fetched seldom, whatever tokens come."""

    def __init__(self, certs_url: str) -> None:
        self._url = certs_url
        self._certs: Mapping[str, str] = {}
        self._fetched = -inf
        self._fetching = asyncio.Lock()

    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        try:
            key = jwt.decode_header(token).get("kid")
            claims: Mapping[str, Any] = jwt.decode(token, await self._keys(key), audience=audience)
        except (TypeError, RecursionError) as error:  # a token may be anything
            raise ValueError(f"not a token: {error!r}") from error
        if claims.get("iss") not in ISSUERS:
            raise ValueError("not issued by Google")
        return claims

    async def _keys(self, wanted: object) -> Mapping[str, str]:
        """Certificates by id. A forger may name any key, so a new one is not asked for at every token."""
        async with self._fetching:
            age = time.monotonic() - self._fetched
            if age > FRESH or (age > NEW and wanted not in self._certs):
                self._certs = await asyncio.to_thread(_fetch, self._url)
                self._fetched = time.monotonic()
        return self._certs


def _fetch(url: str) -> Mapping[str, str]:
    try:
        answer = Request()(url, timeout=WAIT)
        return dict(json.loads(answer.data))
    except (TransportError, ValueError) as error:
        raise ConnectionError(f"no keys at {url}: {error}") from error

"""Adapters from the ports to Google's Pub/Sub, Firestore and identity. Services import google.* nowhere else.

Google's clients use the emulators where PUBSUB_EMULATOR_HOST and FIRESTORE_EMULATOR_HOST name them.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
from shared.store import Change, Document, Documents, Key, Result, Store, Update
from shared.topology import SUBSCRIPTIONS, TOPICS, Subscription

PUBLISH_TIMEOUT_SECONDS = 20.0
"""Time after which a publish fails, so that the message that caused it is retried."""
PULL_TIMEOUT_SECONDS = 5.0
"""Time to wait for a dead letter before there is none."""
FETCH_TIMEOUT_SECONDS = 5.0
"""Time to wait for Google's keys."""
ISSUERS = ("accounts.google.com", "https://accounts.google.com")
KEYS_MAX_AGE_SECONDS, KEYS_MIN_AGE_SECONDS = 3600.0, 60.0
"""Age at which Google's keys are fetched again; and at which they are where a token names a key not among them."""
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
    """Publishes to Pub/Sub; the messages of one call are sent in batches and confirmed one by one."""

    def __init__(self, project: str) -> None:
        self._topics = f"projects/{project}/topics/"
        retries = retry.Retry(
            initial=0.1, maximum=5, timeout=PUBLISH_TIMEOUT_SECONDS, predicate=retry.if_transient_error
        )
        self._client = pubsub_v1.PublisherClient(
            batch_settings=pubsub_v1.types.BatchSettings(max_latency=0),  # a push waits for the confirmation
            publisher_options=pubsub_v1.types.PublisherOptions(retry=retries, timeout=PUBLISH_TIMEOUT_SECONDS),
        )

    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        futures = [self._client.publish(self._topics + e.topic, e.data, **e.attributes) for e in envelopes]
        return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    async def check(self) -> None:
        await asyncio.to_thread(self._client.get_topic, topic=self._topics + TOPICS[0], timeout=4)

    def close(self) -> None:
        self._client.stop()


class PubSubDeadLetters:
    """The dead letters in Pub/Sub. They are leased while this object is open, and then released."""

    def __init__(self, project: str) -> None:
        self._subscriptions = f"projects/{project}/subscriptions/"
        self._bus = PubSubBus(project)
        self._client = pubsub_v1.SubscriberClient()
        self._leased: dict[str, tuple[str, str]] = {}
        """Subscription and acknowledgement id of each letter."""

    async def read_all(self) -> list[Envelope]:
        by_subscription = await asyncio.gather(*(asyncio.to_thread(self._pull, s) for s in SUBSCRIPTIONS))
        return [letter for letters in by_subscription for letter in letters]

    async def replay(self, letters: Sequence[Envelope]) -> None:
        for letter in letters:
            await self._bus.publish([original_message(letter)])
            subscription, ack_id = self._leased.pop(letter.id)
            self._client.acknowledge(subscription=subscription, ack_ids=[ack_id])

    def close(self) -> None:
        for subscription, ack_id in self._leased.values():
            self._client.modify_ack_deadline(subscription=subscription, ack_ids=[ack_id], ack_deadline_seconds=0)
        self._client.close()
        self._bus.close()

    def _pull(self, s: Subscription) -> list[Envelope]:
        """Lease all dead letters of a subscription: pull until nothing comes, or only what is leased already."""
        keep, letters = f"{self._subscriptions}{s.dead_letter_topic}.keep", dict[str, Envelope]()
        while True:
            try:
                response = self._client.pull(subscription=keep, max_messages=1000, timeout=PULL_TIMEOUT_SECONDS)
                pulled = response.received_messages
            except exceptions.DeadlineExceeded:
                pulled = []
            except exceptions.NotFound as error:
                raise LookupError(f"there is no subscription {keep}. Run: python -m deploy.topology") from error
            known = len(letters)
            for p in pulled:
                message_id = p.message.message_id
                self._leased[message_id] = keep, p.ack_id
                letters[message_id] = Envelope(
                    s.dead_letter_topic, p.message.data, dict(p.message.attributes), message_id
                )
            if len(letters) == known:
                return list(letters.values())


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

    async def update(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        groups = [updates[start : start + TOGETHER] for start in range(0, len(updates), TOGETHER)]
        return [result for group in groups for result in await self._update_group(group)]

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

    async def _update_group(self, updates: Sequence[Update[Result]]) -> list[Result]:
        for attempt in range(ATTEMPTS):
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
                    await batch.commit()
                return results
            except (exceptions.Conflict, exceptions.FailedPrecondition):  # Conflict is AlreadyExists and Aborted
                if len(updates) > 1:
                    groups = await asyncio.gather(*(self._update_group([update]) for update in updates))
                    return [result for group in groups for result in group]
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


Certificates = Mapping[str, str]
"""Certificates in PEM format, by key id."""


def fetch_certificates(url: str) -> Certificates:
    """Google's certificates at `url`. Raises ConnectionError where they cannot be fetched or read."""
    try:
        response = Request()(url, timeout=FETCH_TIMEOUT_SECONDS)
        return dict(json.loads(response.data))
    except (TransportError, ValueError) as error:
        raise ConnectionError(f"no keys at {url}: {error}") from error


class GoogleTokenVerifier:
    """Verifies Google's identity tokens. Keys are fetched rarely, however many tokens are forged."""

    def __init__(self, certs_url: str, fetch: Callable[[str], Certificates] = fetch_certificates) -> None:
        self._url, self._fetch = certs_url, fetch
        self._certificates: Certificates = {}
        self._fetched_at = -inf
        self._fetching = asyncio.Lock()

    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        try:
            key_id = jwt.decode_header(token).get("kid")
            claims: Mapping[str, Any] = jwt.decode(token, await self._keys(key_id), audience=audience)
        except (TypeError, RecursionError) as error:  # the client's, for some malformed tokens
            raise ValueError(f"not a token: {error!r}") from error
        if claims.get("iss") not in ISSUERS:
            raise ValueError("not issued by Google")
        return claims

    async def _keys(self, key_id: object) -> Certificates:
        """The certificates, fetched again when old. An unknown `key_id` may be forged, so it seldom causes a fetch."""
        async with self._fetching:
            age = time.monotonic() - self._fetched_at
            if age > KEYS_MAX_AGE_SECONDS or (age > KEYS_MIN_AGE_SECONDS and key_id not in self._certificates):
                self._certificates = await asyncio.to_thread(self._fetch, self._url)
                self._fetched_at = time.monotonic()
        return self._certificates

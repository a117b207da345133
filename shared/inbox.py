"""Messages that the local bus has accepted and not handled yet, kept in the store."""

from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence

from shared.bus import Envelope
from shared.errors import OverloadedError
from shared.store import Document, Key, SQLiteStore, Update

INBOX = "inbox"
"""Collection of the waiting messages, by message id."""
MAX_MESSAGES, MAX_BYTES = 10_000, 64 * 1024 * 1024
"""Limits of what may wait, so that memory and the file are bounded while nothing can be handled."""


class Inbox:
    """Keeps messages until they are handled, so that none is lost when the process ends before that."""

    def __init__(self, store: SQLiteStore, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._store, self._max_messages, self._max_bytes = store, max_messages, max_bytes
        self._sizes: dict[str, int] = {}
        """Bytes of each waiting message, by its id."""

    async def add(self, envelopes: Sequence[Envelope]) -> None:
        """Keep messages. Raises `OverloadedError` where too many wait, `UnavailableError` where the store fails."""
        sizes = {envelope.id: len(envelope.data) for envelope in envelopes}
        messages, total = len(self._sizes) + len(sizes), sum(self._sizes.values()) + sum(sizes.values())
        if self._sizes and (messages > self._max_messages or total > self._max_bytes):
            raise OverloadedError(f"{len(self._sizes):,} messages are waiting to be handled; try again later")
        self._sizes |= sizes
        try:
            await self._store.update_all([_put(envelope) for envelope in envelopes])
        except BaseException:
            self._forget(sizes)
            raise

    async def remove(self, ids: Collection[str]) -> None:
        """Delete messages that are handled. Raises `UnavailableError` where the store fails."""
        keys: list[Key] = [(INBOX, message_id) for message_id in ids]
        await self._store.update(keys, lambda documents: (dict.fromkeys(documents), None))
        self._forget(ids)

    async def load(self) -> list[Envelope]:
        """The messages that were left when the process ended, in the order of their arrival."""
        documents = await self._store.when_unlocked(lambda: self._store.all(INBOX))
        envelopes = [from_document(message_id, document) for message_id, document in documents.items()]
        self._sizes = {envelope.id: len(envelope.data) for envelope in envelopes}
        return envelopes

    @property
    def waiting(self) -> int:
        """Number of messages that are not handled yet."""
        return len(self._sizes)

    def _forget(self, ids: Collection[str]) -> None:
        for message_id in ids:
            del self._sizes[message_id]


def to_document(envelope: Envelope) -> Document:
    """The envelope as a document, without its id."""
    data = b64encode(envelope.data).decode()
    return {"topic": envelope.topic, "data": data, "attributes": dict(envelope.attributes)}


def from_document(message_id: str, document: Document) -> Envelope:
    return Envelope(document["topic"], b64decode(document["data"]), document["attributes"], message_id)


def _put(envelope: Envelope) -> Update[None]:
    key = INBOX, envelope.id
    return [key], lambda _: ({key: to_document(envelope)}, None)

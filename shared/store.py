"""The port through which documents are stored, with optimistic updates, and a store in a SQLite file."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic_core import from_json, to_json

CUSTOMERS, PLANS, VERDICTS, DECISIONS = "customers", "plans", "verdicts", "decisions"
"""Collections. `customers`: the policy's state of each customer. `plans`: what the policy decided for each event, with
the money reserved for it and its outcomes. `verdicts`: the shield's decision for each drafted message. `decisions`: the
decisions that the gateway returns.

Their documents have a `customer_id`, and a time `due` (Unix time, in seconds) at which a customer is reviewed or an
offer expires; where neither is to happen, the document is deleted at that time.
"""
EARLY_OUTCOMES, DEAD_LETTERS = "early-outcomes", "dead-letters"
"""Collections: when each outcome whose decision is not stored yet first arrived; and the local bus's dead letters."""

Key = tuple[str, str]
"""Collection and id of a document."""

Document = dict[str, Any]
Documents = Mapping[Key, Document | None]
"""Documents by key; None where there is none."""
Result = TypeVar("Result")
Change = Callable[[Documents], tuple[Mapping[Key, Document | None], Result]]
"""A function from the documents read to the documents to write (None deletes one) and a result for the caller.

It may be called more than once, so it has no side effects. Only the writes and the result of the last call count.
"""
Update = tuple[Sequence[Key], Change[Result]]
"""The keys to read, and the change to make."""


class Store(Protocol):
    async def read(self, keys: Sequence[Key]) -> Documents: ...

    async def update(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        """Read `keys`, write what `change` makes of them, and return its result.

        The writes take effect together, and only if no document that they replace has changed since it was read;
        otherwise the update starts over. A document that is read but not written may have changed in between. `change`
        writes no document that is not among `keys`.
        """

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        """Make several updates, and return their results in order.

        Each sees what those before it wrote, and they may share a commit.
        """

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        """Keys of at most `limit` documents that are due by `now`, the earliest due first."""

    async def by_customer(self, collection: str, customer_id: str) -> list[Key]:
        """Keys of all documents with this `customer_id`."""

    async def check(self) -> None:
        """Raise if the store cannot be reached."""


async def customer_documents(store: Store, customer_id: str) -> list[Key]:
    """Keys of all documents about a customer, except that of their opt-out, which names a pseudonym only."""
    collections = CUSTOMERS, PLANS, VERDICTS, DECISIONS, EARLY_OUTCOMES, DEAD_LETTERS
    return [key for collection in collections for key in await store.by_customer(collection, customer_id)]


class SQLiteStore:
    """A store in one SQLite file, with one writer at a time. The updates of one call share a commit."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -65536")  # KiB
        self._db.execute(
            "PRAGMA wal_autocheckpoint = 8192"
        )  # pages: a higher limit, so that fewer commits wait for a checkpoint
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents (collection TEXT, id TEXT, body BLOB, PRIMARY KEY (collection, id))"
        )
        for field in ("due", "customer_id"):
            self._db.execute(f"CREATE INDEX IF NOT EXISTS {field} ON documents (collection, {_json_field(field)})")

    async def read(self, keys: Sequence[Key]) -> Documents:
        return {key: self._get(key) for key in keys}

    async def update(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            results = [self._change(keys, change) for keys, change in updates]
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return results

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        due = _json_field("due")
        query = f"SELECT collection, id FROM documents WHERE collection = ? AND {due} <= ? ORDER BY {due} LIMIT ?"
        return self._db.execute(query, (collection, now.timestamp(), limit)).fetchall()

    async def by_customer(self, collection: str, customer_id: str) -> list[Key]:
        query = f"SELECT collection, id FROM documents WHERE collection = ? AND {_json_field('customer_id')} = ?"
        return self._db.execute(query, (collection, customer_id)).fetchall()

    def all(self, collection: str) -> dict[str, Document]:
        """The documents of a collection by id, in the order they were written."""
        rows = self._db.execute("SELECT id, body FROM documents WHERE collection = ? ORDER BY rowid", [collection])
        return {name: from_json(body) for name, body in rows}

    def snapshot(self) -> dict[Key, Document]:
        """All documents of all collections. For tests."""
        rows = self._db.execute("SELECT collection, id, body FROM documents ORDER BY collection, id")
        return {(collection, name): from_json(body) for collection, name, body in rows}

    async def check(self) -> None:
        self._db.execute("SELECT 1 FROM documents LIMIT 1")

    def close(self) -> None:
        self._db.close()

    def _change(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        writes, result = change({key: self._get(key) for key in keys})
        for key, body in writes.items():
            if body is None:
                self._db.execute("DELETE FROM documents WHERE collection = ? AND id = ?", key)
            else:
                self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (*key, to_json(body)))
        return result

    def _get(self, key: Key) -> Document | None:
        row = self._db.execute("SELECT body FROM documents WHERE collection = ? AND id = ?", key).fetchone()
        return from_json(row[0]) if row else None


def _json_field(name: str) -> str:
    """SQL expression of a field of a document's JSON."""
    return f"json_extract(CAST(body AS TEXT), '$.{name}')"

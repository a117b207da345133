"""What is remembered: documents, changed optimistically; and the store of one machine, a SQLite file."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import from_json, to_json

CUSTOMERS, PLANS, VERDICTS, DECISIONS = "customers", "plans", "verdicts", "decisions"
"""What the policy remembers of each customer and decided for each event, the shield judged and the gateway heard.

A document of these names its `customer_id`, and is `due` when something is next to be done about it, in seconds of Unix
time; where nothing is, it is then forgotten.
"""
EARLY_OUTCOMES, DEAD_LETTERS = "early-outcomes", "dead-letters"
"""Outcomes ahead of their decision; and in one process, what could never be handled."""

Key = tuple[str, str]
"""Collection and id."""

Document = dict[str, Any]
Documents = Mapping[Key, Document | None]
Change = Callable[[Documents], Mapping[Key, Document | None]]
"""What is there in, what to write out; None removes. It may run more than once; only what its last run made counts."""


class Store(Protocol):
    async def read(self, keys: Sequence[Key]) -> Documents: ...

    async def update(self, keys: Sequence[Key], change: Change) -> Documents:
        """Read `keys`, write what `change` makes of them, and return what is then there.

        All of it is written or nothing, and only while what is overwritten is still what was read; otherwise it
        starts over. What was read but not written may have changed meanwhile. `change` writes only what it read.
        """

    async def update_all(self, updates: Sequence[tuple[Sequence[Key], Change]]) -> list[Documents]:
        """Updates that wait together: each sees what those before it wrote, and they may share a commit."""

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        """Documents that are due by `now`, the longest due first."""

    async def by_customer(self, collection: str, customer_id: str) -> list[Key]:
        """All documents that name this customer."""

    async def check(self) -> None:
        """Raise if the store cannot be reached."""


async def customer_documents(store: Store, customer_id: str) -> list[Key]:
    """All that is stored of a customer, but that they must not be contacted."""
    collections = CUSTOMERS, PLANS, VERDICTS, DECISIONS, EARLY_OUTCOMES, DEAD_LETTERS
    return [key for collection in collections for key in await store.by_customer(collection, customer_id)]


class SQLiteStore:
    """One file, one writer at a time. Updates that wait together share a commit."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -65536")  # KiB
        self._db.execute("PRAGMA wal_autocheckpoint = 8192")  # pages; so that few commits wait for the disk
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents (collection TEXT, id TEXT, body BLOB, PRIMARY KEY (collection, id))"
        )
        for field in ("due", "customer_id"):
            self._db.execute(f"CREATE INDEX IF NOT EXISTS {field} ON documents (collection, {_field(field)})")

    async def read(self, keys: Sequence[Key]) -> Documents:
        return {key: self._get(key) for key in keys}

    async def update(self, keys: Sequence[Key], change: Change) -> Documents:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[tuple[Sequence[Key], Change]]) -> list[Documents]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            written = [self._change(keys, change) for keys, change in updates]
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return written

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        due = _field("due")
        query = f"SELECT collection, id FROM documents WHERE collection = ? AND {due} <= ? ORDER BY {due} LIMIT ?"
        return self._db.execute(query, (collection, now.timestamp(), limit)).fetchall()

    async def by_customer(self, collection: str, customer_id: str) -> list[Key]:
        query = f"SELECT collection, id FROM documents WHERE collection = ? AND {_field('customer_id')} = ?"
        return self._db.execute(query, (collection, customer_id)).fetchall()

    def all(self, collection: str) -> dict[str, Document]:
        """By id, in the order they were written."""
        rows = self._db.execute("SELECT id, body FROM documents WHERE collection = ? ORDER BY rowid", [collection])
        return {name: from_json(body) for name, body in rows}

    async def check(self) -> None:
        self._db.execute("SELECT 1 FROM documents LIMIT 1")

    def close(self) -> None:
        self._db.close()

    def _change(self, keys: Sequence[Key], change: Change) -> Documents:
        found = {key: self._get(key) for key in keys}
        written = change(found)
        for key, body in written.items():
            if body is None:
                self._db.execute("DELETE FROM documents WHERE collection = ? AND id = ?", key)
            else:
                self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (*key, to_json(body)))
        return {**found, **written}

    def _get(self, key: Key) -> Document | None:
        row = self._db.execute("SELECT body FROM documents WHERE collection = ? AND id = ?", key).fetchone()
        return from_json(row[0]) if row else None


def _field(name: str) -> str:
    return f"json_extract(CAST(body AS TEXT), '$.{name}')"

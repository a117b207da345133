"""What is remembered: documents, changed optimistically; and the store of one machine, a SQLite file."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import from_json, to_json

CUSTOMERS = "customers"
"""What the policy remembers of each customer, and the shield reads their consent from."""

Key = tuple[str, str]
"""Collection and id."""

Document = dict[str, Any]
Documents = Mapping[Key, Document | None]
Change = Callable[[Documents], Mapping[Key, Document]]
"""What is there in, what to write out. It may run more than once; only what its last run made is written."""


class Store(Protocol):
    async def read(self, keys: Sequence[Key]) -> Documents: ...

    async def update(self, keys: Sequence[Key], change: Change) -> Documents:
        """Read `keys`, write what `change` makes of them, and return what is then there.

        All of it is written or nothing, and only while what is overwritten is still what was read; otherwise it
        starts over. What was read but not written may have changed meanwhile. `change` writes only what it read.
        """

    async def update_all(self, updates: Sequence[tuple[Sequence[Key], Change]]) -> list[Documents]:
        """Updates that wait together: each sees what those before it wrote, and they may share a commit."""

    async def check(self) -> None:
        """Raise if the store cannot be reached."""


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

    def all(self, collection: str) -> dict[str, Document]:
        """By id, in the order they were written."""
        rows = self._db.execute("SELECT id, body FROM documents WHERE collection = ? ORDER BY rowid", [collection])
        return {name: from_json(body) for name, body in rows}

    def delete(self, keys: Sequence[Key]) -> None:
        self._db.executemany("DELETE FROM documents WHERE collection = ? AND id = ?", keys)

    async def check(self) -> None:
        self._db.execute("SELECT 1 FROM documents LIMIT 1")

    def close(self) -> None:
        self._db.close()

    def _change(self, keys: Sequence[Key], change: Change) -> Documents:
        found = {key: self._get(key) for key in keys}
        written = change(found)
        self._db.executemany(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
            [(*key, to_json(body)) for key, body in written.items()],
        )
        return {**found, **written}

    def _get(self, key: Key) -> Document | None:
        row = self._db.execute("SELECT body FROM documents WHERE collection = ? AND id = ?", key).fetchone()
        return from_json(row[0]) if row else None

"""The port through which documents are stored, with optimistic updates, and a store in a SQLite file."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic_core import from_json, to_json

from shared.errors import ConfigurationError, UnavailableError

CUSTOMERS, PLANS, VERDICTS, DECISIONS = "customers", "plans", "verdicts", "decisions"
"""Collections. `customers`: the policy's state of each customer. `plans`: what the policy decided for each event, with
the money reserved for it and its outcomes. `verdicts`: the shield's decision for each drafted message. `decisions`: the
decisions that the gateway returns.

Their documents have a `customer_id`, and a time `due` (Unix time, in seconds) at which a customer is reviewed or an
offer expires; where neither is to happen, the document is deleted at that time.
"""
EARLY_OUTCOMES, REPLIES, DEAD_LETTERS = "early-outcomes", "replies", "dead-letters"
"""Collections: when each outcome whose decision is not stored yet first arrived; the unclear replies that wait for a
person; and the local bus's dead letters."""

LOCK_TIMEOUT_SECONDS = 30.0
"""Time to wait while another process holds the lock of the SQLite file."""
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.001, 0.1
"""Time between two attempts at the lock: at first, and at most."""
MIN_LOG_PAGES, MAX_LOG_PAGES = 1_000, 8_192
"""Sizes of the write-ahead log: a short one leaves room on a small disk, a long one makes fewer commits wait."""
FAILURE_SECONDS = 5.0
"""Time for which a failed write counts against the store's check."""

Key = tuple[str, str]
"""Collection and id of a document."""
CHECK: Key = ("checks", "writable")
"""The document that a check writes and deletes."""
CHECK_BYTES = 64 * 1024
"""Its size: more than most commits write."""

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
    """All methods raise `UnavailableError` where the store fails, whatever the documents."""

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
        """Raise if the store cannot be used."""


async def customer_documents(store: Store, customer_id: str) -> list[Key]:
    """Keys of all documents about a customer, except that of their consent, which names a pseudonym only."""
    collections = CUSTOMERS, PLANS, VERDICTS, DECISIONS, EARLY_OUTCOMES, REPLIES, DEAD_LETTERS
    return [key for collection in collections for key in await store.by_customer(collection, customer_id)]


class SQLiteStore:
    """A store in one SQLite file, with one writer at a time. The updates of one call share a commit.

    While another process holds the file's lock, a call waits, without keeping the event loop from other tasks.
    """

    def __init__(self, path: Path | str = ":memory:", log_pages: int = MAX_LOG_PAGES) -> None:
        """Open the file, or create it. After `log_pages` of 4 KiB its write-ahead log is moved into it.

        Waits for a lock without returning to the event loop, so open a file that others use in a thread. Raises
        `ConfigurationError` where it cannot be a store, `UnavailableError` where it is locked or the disk is full.
        """
        try:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS, check_same_thread=False
            )
            self._prepare(log_pages)
        except OSError as error:
            raise ConfigurationError(
                f"RETENTION_STATE: {path} cannot be created ({error}); name another file"
            ) from error
        except sqlite3.Error as error:
            if _code(error) in OUTAGES:
                raise _unavailable(error) from error
            raise ConfigurationError(
                f"RETENTION_STATE: {path} is not a state file of this system ({error}); name another file, or a new one"
            ) from error
        self._failed_at, self._failure = -inf, ""
        """When a write last failed, as time.monotonic(), and why."""

    def _prepare(self, log_pages: int) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -65536")  # KiB
        self._db.execute(f"PRAGMA wal_autocheckpoint = {log_pages}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents (collection TEXT, id TEXT, body BLOB, PRIMARY KEY (collection, id))"
        )
        for field in ("due", "customer_id"):
            self._db.execute(f"CREATE INDEX IF NOT EXISTS {field} ON documents (collection, {_json_field(field)})")
        self._db.execute("PRAGMA busy_timeout = 0")  # from now on the wait is `when_unlocked`

    async def read(self, keys: Sequence[Key]) -> Documents:
        return await self.when_unlocked(lambda: {key: self._get(key) for key in keys})

    async def update(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        try:
            return await self.when_unlocked(lambda: self._commit(updates))
        except UnavailableError as error:
            self._failed_at, self._failure = time.monotonic(), str(error)
            raise

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        due = _json_field("due")
        query = f"SELECT collection, id FROM documents WHERE collection = ? AND {due} <= ? ORDER BY {due} LIMIT ?"
        return await self._select(query, collection, now.timestamp(), limit)

    async def by_customer(self, collection: str, customer_id: str) -> list[Key]:
        query = f"SELECT collection, id FROM documents WHERE collection = ? AND {_json_field('customer_id')} = ?"
        return await self._select(query, collection, customer_id)

    def all(self, collection: str) -> dict[str, Document]:
        """The documents of a collection by id, in the order they were written."""
        rows = self._db.execute("SELECT id, body FROM documents WHERE collection = ? ORDER BY rowid", [collection])
        return {name: from_json(body) for name, body in rows}

    def snapshot(self) -> dict[Key, Document]:
        """All documents of all collections. For tests."""
        rows = self._db.execute("SELECT collection, id, body FROM documents ORDER BY collection, id")
        return {(collection, name): from_json(body) for collection, name, body in rows}

    async def check(self) -> None:
        """Raise `UnavailableError` if writing fails, or has failed a moment ago: a full disk can still be read."""
        if time.monotonic() - self._failed_at < FAILURE_SECONDS:
            raise UnavailableError(self._failure)
        await self.update([CHECK], lambda _: ({CHECK: {"filler": " " * CHECK_BYTES}}, None))
        await self.update([CHECK], lambda _: ({CHECK: None}, None))

    async def when_unlocked(self, run: Callable[[], Result]) -> Result:
        """The result of `run`, which is repeated while another process holds the lock."""
        pause, deadline = MIN_PAUSE_SECONDS, 0.0
        while True:
            try:
                return run()
            except sqlite3.Error as error:
                deadline = deadline or time.monotonic() + LOCK_TIMEOUT_SECONDS
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise _unavailable(error) from error
            await asyncio.sleep(pause)
            pause = min(MAX_PAUSE_SECONDS, pause * 1.5)

    def close(self) -> None:
        self._db.close()

    def _commit(self, updates: Sequence[Update[Result]]) -> list[Result]:
        try:
            return self._transact(updates)
        except sqlite3.OperationalError as error:
            full = _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
            if not full or time.monotonic() - self._failed_at < FAILURE_SECONDS:
                raise
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log itself may be what fills the disk
            return self._transact(updates)

    def _transact(self, updates: Sequence[Update[Result]]) -> list[Result]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            results = [self._change(keys, change) for keys, change in updates]
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # where the disk is full, SQLite has ended it already
                self._db.execute("ROLLBACK")
            raise
        return results

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

    async def _select(self, query: str, *parameters: object) -> list[Key]:
        return await self.when_unlocked(lambda: self._db.execute(query, parameters).fetchall())


def _json_field(name: str) -> str:
    """SQL expression of a field of a document's JSON."""
    return f"json_extract(CAST(body AS TEXT), '$.{name}')"


OUTAGES = {
    sqlite3.SQLITE_BUSY: f"another process has held its lock for {LOCK_TIMEOUT_SECONDS:.0f} s: find and end that",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written: see whether it is full or damaged",
    sqlite3.SQLITE_READONLY: "it may only be read: give this user the right to write",
}
"""Reasons, by SQLite's primary error code, for which a store fails whatever its documents are."""


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary error code; 0 where it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _unavailable(error: sqlite3.Error) -> UnavailableError:
    reason = OUTAGES.get(_code(error))
    return UnavailableError(f"the state cannot be used: {f'{reason} ({error})' if reason else error}")

"""What only the store in a SQLite file does: full disks, locks of other processes, files that are no store."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shared import store as store_module
from shared.errors import ConfigurationError, UnavailableError
from shared.store import Change, Key, SQLiteStore

KEY = ("things", "a")


def put(key: Key, size: int = 1) -> Change[None]:
    return lambda _: ({key: {"text": "x" * size}}, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path)) as store:
        yield store


def limit_pages(store: SQLiteStore, pages: int) -> None:
    store._db.execute(f"PRAGMA max_page_count = {pages}")


@pytest.mark.parametrize("size", [1_000, 60_000, 500_000])
async def test_a_full_disk_makes_the_store_unavailable_until_there_is_room(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(store_module, "FAILURE_SECONDS", 0.05)
    await store.update([KEY], put(KEY))
    limit_pages(store, 1)  # SQLite then takes the present size
    written = list[Key]()

    async def fill() -> None:
        for n in range(100):
            key = ("things", str(n))
            await store.update([key], put(key, size))
            written.append(key)

    with pytest.raises(UnavailableError, match="the disk is full: free some space"):
        await fill()
    with pytest.raises(UnavailableError, match="the disk is full"):
        await store.check()
    assert all((await store.read(written)).values()), "what was written can still be read"

    limit_pages(store, 1_000_000)
    await asyncio.sleep(0.06)
    await store.check()
    await store.update([KEY], put(KEY, size))


async def test_the_check_writes_and_leaves_nothing(store: SQLiteStore) -> None:
    await store.check()
    assert store.snapshot() == {}


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
async def test_other_tasks_run_while_another_process_holds_the_lock(path: Path, store: SQLiteStore, lock: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(lock)
        writing = asyncio.create_task(store.update([KEY], put(KEY)))
        longest = 0.0
        for _ in range(30):
            start = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - start)
        assert not writing.done()
        assert longest < 0.25
        assert await store.read([KEY]) == {KEY: None}, "reading needs no lock"
        other.execute("COMMIT")
        await asyncio.wait_for(writing, 5)
    assert (await store.read([KEY]))[KEY]


async def test_reading_waits_for_a_process_that_has_the_whole_file(path: Path, store: SQLiteStore) -> None:
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        opened = asyncio.create_task(asyncio.to_thread(SQLiteStore, path))
        other.execute("BEGIN EXCLUSIVE")
        await asyncio.sleep(0.1)
        assert not opened.done()
    second = await asyncio.wait_for(opened, 10)
    assert await second.read([KEY]) == {KEY: None}
    second.close()


async def test_a_lock_that_is_never_released_is_an_error_in_the_end(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="another process has held its lock"):
            await store.update([KEY], put(KEY))


def readme(path: Path) -> None:
    path.write_text("# Retention\n\nEvents in, decisions out.\n" * 50)


def short_text(path: Path) -> None:
    path.write_text("hello")


def folder(path: Path) -> None:
    path.mkdir()


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE documents (title TEXT)")


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("not a folder")


def damaged(path: Path) -> None:
    SQLiteStore(path).close()
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])


@pytest.mark.parametrize("make", [readme, short_text, folder, other_database, below_a_file, damaged])
def test_what_cannot_be_a_state_is_named_in_one_line(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "state"
    make(path)
    with pytest.raises(ConfigurationError) as refusal:
        SQLiteStore(path)
    assert str(path) in str(refusal.value)
    assert "RETENTION_STATE" in str(refusal.value)
    assert "\n" not in str(refusal.value)

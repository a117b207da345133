"""One suite for every store."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.store import Change, Document, Documents, Key, SQLiteStore, Store

A, B = ("things", "a"), ("things", "b")


@pytest.fixture(params=["memory", "file", pytest.param("firestore", marks=pytest.mark.emulator)])
async def store(request: pytest.FixtureRequest, tmp_path: Path, project: str) -> AsyncIterator[Store]:
    if request.param == "firestore":
        request.getfixturevalue("google")
        from shared.gcp import FirestoreStore

        firestore = FirestoreStore(project)
        yield firestore
        firestore.close()
    else:
        sqlite = SQLiteStore(tmp_path / "new" / "state.sqlite" if request.param == "file" else ":memory:")
        yield sqlite
        sqlite.close()


def put(key: Key, document: Document):
    return lambda found: {key: document}


def add_one(found: Documents) -> dict[Key, Document]:
    return {A: {"n": (found[A] or {"n": 0})["n"] + 1}}


async def test_what_was_never_written_is_none(store: Store) -> None:
    assert await store.read([A, B]) == {A: None, B: None}


async def test_what_was_written_is_read_back_unchanged(store: Store) -> None:
    document = {
        "text": "Zoë ☂",
        "n": 3,
        "x": 0.5,
        "yes": True,
        "none": None,
        "list": [{"at": "2026-01-01"}],
        "map": {"k": 1},
    }
    assert await store.update([A, B], put(A, document)) == {A: document, B: None}
    assert await store.read([A, B]) == {A: document, B: None}


async def test_writing_replaces_the_whole_document(store: Store) -> None:
    await store.update([A], put(A, {"old": 1, "both": {"old": 1}}))
    await store.update([A], put(A, {"both": {"new": 2}}))
    assert await store.read([A]) == {A: {"both": {"new": 2}}}


async def test_a_change_may_write_nothing(store: Store) -> None:
    assert await store.update([A], lambda found: {}) == {A: None}
    assert await store.read([A]) == {A: None}


@pytest.mark.parametrize("name", ["a/b", ".", "..", "__x__", "ü ☂", "a" * 128, "😀" * 128, "/" * 128, "a%2Fb", "100%"])
async def test_any_id_is_an_id(store: Store, name: str) -> None:
    key = ("things", name)
    await store.update([key], put(key, {"name": name}))
    assert (await store.read([key, A])) == {key: {"name": name}, A: None}


async def test_changes_at_the_same_time_are_all_seen(store: Store) -> None:
    await asyncio.gather(*(store.update([A], add_one) for _ in range(20)))
    assert await store.read([A]) == {A: {"n": 20}}


async def test_changes_that_wait_together_are_all_made(store: Store) -> None:
    found = await store.update_all([([A], add_one)] * 8)
    assert sorted(f[A]["n"] for f in found) == list(range(1, 9))


async def test_groups_of_changes_at_the_same_time_are_all_seen(store: Store) -> None:
    await asyncio.gather(*(store.update_all([([A], add_one)] * 5) for _ in range(4)))
    assert await store.read([A]) == {A: {"n": 20}}


async def test_all_of_a_change_is_made_or_nothing(store: Store) -> None:
    """What was read moves meanwhile: the change starts over with what is there by then.

    On a busy machine the emulator shows one document before a change and the other after it; nothing of that is kept.
    """

    def move(found: Documents) -> dict[Key, Document]:
        return {A: {"n": found[A]["n"] - 1}, B: {"n": found[B]["n"] + 1}}

    await store.update_all([([A], put(A, {"n": 10})), ([B], put(B, {"n": 0}))])
    await asyncio.gather(*(store.update([A, B], move) for _ in range(10)))
    assert await store.read([A, B]) == {A: {"n": 0}, B: {"n": 10}}


async def test_a_change_that_fails_writes_nothing(store: Store) -> None:
    def fail(found: Documents) -> dict[Key, Document]:
        raise LookupError("not today")

    with pytest.raises(LookupError):
        await store.update([A], fail)
    assert await store.read([A]) == {A: None}
    await store.update([A], add_one)  # and the store still works


async def test_a_store_that_is_there_says_so(store: Store) -> None:
    await store.check()


async def test_a_file_remembers_after_the_process(tmp_path: Path) -> None:
    first = SQLiteStore(tmp_path / "state.sqlite")
    await first.update([A], add_one)
    first.close()
    second = SQLiteStore(tmp_path / "state.sqlite")
    assert await second.read([A]) == {A: {"n": 1}}
    second.close()


NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def dated(*names: str | int) -> list[tuple[list[Key], Change]]:
    """Of each name a document of that customer; a number is due so many seconds after noon."""
    keys = [("things", str(name)) for name in names]
    return [
        (
            [key],
            put(key, {"customer_id": key[1], "due": NOON.timestamp() + name} if isinstance(name, int) else {"n": 1}),
        )
        for key, name in zip(keys, names, strict=True)
    ]


async def test_what_is_due_is_found_the_longest_due_first(store: Store) -> None:
    await store.update_all(dated(0, 1, -3, "never", -20))
    other = ("others", "x")
    await store.update([other], put(other, {"due": NOON.timestamp() - 1}))
    assert await store.due("things", NOON, 10) == [("things", "-20"), ("things", "-3"), ("things", "0")]
    assert await store.due("things", NOON, 2) == [("things", "-20"), ("things", "-3")]
    assert await store.due("things", NOON - timedelta(days=1), 10) == []


async def test_what_is_no_longer_due_is_no_longer_found(store: Store) -> None:
    await store.update_all(dated(0))
    key = ("things", "0")
    await store.update([key], put(key, {"due": NOON.timestamp() + 60}))
    assert await store.due("things", NOON, 10) == []


@pytest.mark.parametrize("name", ["a/b", "__x__", "ü ☂", "100%"])
async def test_what_names_a_customer_is_found(store: Store, name: str) -> None:
    mine, others = ("things", f"1 of {name}"), ("things", "2")
    await store.update_all([([mine], put(mine, {"customer_id": name})), ([others], put(others, {"customer_id": "o"}))])
    await store.update_all([([A], add_one)])
    assert await store.by_customer("things", name) == [mine]
    assert await store.by_customer("other", name) == []


async def test_what_is_removed_was_never_there(store: Store) -> None:
    await store.update_all(dated(0))
    key = ("things", "0")
    assert await store.update([key, A], lambda found: {key: None}) == {key: None, A: None}
    assert await store.read([key]) == {key: None}
    assert await store.due("things", NOON, 10) == await store.by_customer("things", "0") == []
    await store.update([key], put(key, {"n": 2}))
    assert await store.read([key]) == {key: {"n": 2}}


async def test_removing_what_is_not_there_is_nothing(store: Store) -> None:
    assert await store.update([A], lambda found: {A: None}) == {A: None}


async def test_what_changes_at_the_same_time_is_not_removed_unseen(store: Store) -> None:
    """A's number is taken to B again and again while others add to it: nothing of it is lost."""

    def take(found: Documents) -> dict[Key, Document | None]:
        n = {key: (document or {"n": 0})["n"] for key, document in found.items()}
        return {A: None, B: {"n": n[A] + n[B]}}

    await asyncio.gather(*(store.update(*task) for _ in range(10) for task in (([A], add_one), ([A, B], take))))
    await store.update([A, B], take)
    assert await store.read([A, B]) == {A: None, B: {"n": 10}}

"""Tests that every store must pass."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.store import Change, Document, Documents, Key, SQLiteStore, Store, Update

A, B = ("things", "a"), ("things", "b")


@pytest.fixture(params=["memory", "file", pytest.param("firestore", marks=pytest.mark.emulator)])
async def store(request: pytest.FixtureRequest, tmp_path: Path, project: str) -> AsyncIterator[Store]:
    if request.param == "firestore":
        request.getfixturevalue("emulators")
        from shared.gcp.firestore import FirestoreStore

        firestore = FirestoreStore(project)
        yield firestore
        firestore.close()
    else:
        sqlite = SQLiteStore(tmp_path / "new" / "state.sqlite" if request.param == "file" else ":memory:")
        yield sqlite
        sqlite.close()


def put(key: Key, document: Document) -> Change[None]:
    return lambda _: ({key: document}, None)


def n(document: Document | None) -> int:
    """The field n of a document; 0 where there is none."""
    return int(document["n"]) if document else 0


def add_one(documents: Documents) -> tuple[dict[Key, Document], int]:
    """Count in A; the result is the count."""
    count = n(documents[A]) + 1
    return {A: {"n": count}}, count


async def test_a_document_that_does_not_exist_is_none(store: Store) -> None:
    assert await store.read([A, B]) == {A: None, B: None}


async def test_a_document_is_read_back_unchanged(store: Store) -> None:
    document = {
        "text": "Zoë ☂",
        "n": 3,
        "x": 0.5,
        "yes": True,
        "none": None,
        "list": [{"at": "2026-01-01"}],
        "map": {"k": 1},
    }
    await store.update([A, B], put(A, document))
    assert await store.read([A, B]) == {A: document, B: None}


async def test_writing_replaces_the_whole_document(store: Store) -> None:
    await store.update([A], put(A, {"old": 1, "both": {"old": 1}}))
    await store.update([A], put(A, {"both": {"new": 2}}))
    assert await store.read([A]) == {A: {"both": {"new": 2}}}


async def test_a_change_may_write_nothing(store: Store) -> None:
    assert await store.update([A], lambda documents: ({}, documents)) == {A: None}
    assert await store.read([A]) == {A: None}


@pytest.mark.parametrize("name", ["a/b", ".", "..", "__x__", "ü ☂", "a" * 128, "😀" * 128, "/" * 128, "a%2Fb", "100%"])
async def test_any_text_is_a_valid_id(store: Store, name: str) -> None:
    key = ("things", name)
    await store.update([key], put(key, {"name": name}))
    assert (await store.read([key, A])) == {key: {"name": name}, A: None}


async def test_an_update_returns_the_result_of_its_change(store: Store) -> None:
    assert [await store.update([A], add_one) for _ in range(2)] == [1, 2]


async def test_concurrent_updates_are_all_applied_and_return_the_result_of_their_last_run(store: Store) -> None:
    results = await asyncio.gather(*(store.update([A], add_one) for _ in range(20)))
    assert sorted(results) == list(range(1, 21)), "no result is of a run whose writes were rejected"
    assert await store.read([A]) == {A: {"n": 20}}


async def test_each_update_of_a_batch_sees_those_before_it(store: Store) -> None:
    results = await store.update_all([([A], add_one)] * 8)
    assert sorted(results) == list(range(1, 9))


async def test_concurrent_batches_of_updates_are_all_applied(store: Store) -> None:
    await asyncio.gather(*(store.update_all([([A], add_one)] * 5) for _ in range(4)))
    assert await store.read([A]) == {A: {"n": 20}}


async def test_an_update_of_two_documents_is_atomic(store: Store) -> None:
    """Where a document has changed since it was read, the update is repeated with the new one.

    On a busy machine the emulator may read one document from before an update and the other from after it; such a
    mixture must not be written.
    """

    def move(documents: Documents) -> tuple[dict[Key, Document], None]:
        return {A: {"n": n(documents[A]) - 1}, B: {"n": n(documents[B]) + 1}}, None

    await store.update_all([([A], put(A, {"n": 10})), ([B], put(B, {"n": 0}))])
    await asyncio.gather(*(store.update([A, B], move) for _ in range(10)))
    assert await store.read([A, B]) == {A: {"n": 0}, B: {"n": 10}}


async def test_a_change_that_fails_writes_nothing(store: Store) -> None:
    def fail(_: Documents) -> tuple[dict[Key, Document], None]:
        raise LookupError("not today")

    with pytest.raises(LookupError):
        await store.update([A], fail)
    assert await store.read([A]) == {A: None}
    await store.update([A], add_one)  # and the store still works


async def test_the_check_of_a_store_that_can_be_reached_passes(store: Store) -> None:
    await store.check()


async def test_a_file_keeps_documents_after_it_is_closed(tmp_path: Path) -> None:
    first = SQLiteStore(tmp_path / "state.sqlite")
    await first.update([A], add_one)
    first.close()
    second = SQLiteStore(tmp_path / "state.sqlite")
    assert await second.read([A]) == {A: {"n": 1}}
    second.close()


NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def dated(*names: str | int) -> list[Update[None]]:
    """Updates that write a document of each customer; a number is due that many seconds after noon."""
    keys = [("things", str(name)) for name in names]
    return [
        (
            [key],
            put(key, {"customer_id": key[1], "due": NOON.timestamp() + name} if isinstance(name, int) else {"n": 1}),
        )
        for key, name in zip(keys, names, strict=True)
    ]


async def test_due_documents_are_found_the_longest_due_first(store: Store) -> None:
    await store.update_all(dated(0, 1, -3, "never", -20))
    other = ("others", "x")
    await store.update([other], put(other, {"due": NOON.timestamp() - 1}))
    assert await store.due("things", NOON, 10) == [("things", "-20"), ("things", "-3"), ("things", "0")]
    assert await store.due("things", NOON, 2) == [("things", "-20"), ("things", "-3")]
    assert await store.due("things", NOON - timedelta(days=1), 10) == []


async def test_a_document_that_is_no_longer_due_is_not_found(store: Store) -> None:
    await store.update_all(dated(0))
    key = ("things", "0")
    await store.update([key], put(key, {"due": NOON.timestamp() + 60}))
    assert await store.due("things", NOON, 10) == []


@pytest.mark.parametrize("name", ["a/b", "__x__", "ü ☂", "100%"])
async def test_documents_are_found_by_customer(store: Store, name: str) -> None:
    mine, others = ("things", f"1 of {name}"), ("things", "2")
    await store.update_all([([mine], put(mine, {"customer_id": name})), ([others], put(others, {"customer_id": "o"}))])
    await store.update_all([([A], add_one)])
    assert await store.by_customer("things", name) == [mine]
    assert await store.by_customer("other", name) == []


async def test_a_deleted_document_leaves_no_trace(store: Store) -> None:
    await store.update_all(dated(0))
    key = ("things", "0")
    await store.update([key, A], lambda _: ({key: None}, None))
    assert await store.read([key, A]) == {key: None, A: None}
    assert await store.due("things", NOON, 10) == await store.by_customer("things", "0") == []
    await store.update([key], put(key, {"n": 2}))
    assert await store.read([key]) == {key: {"n": 2}}


async def test_deleting_a_document_that_does_not_exist_does_nothing(store: Store) -> None:
    await store.update([A], lambda _: ({A: None}, None))
    assert await store.read([A]) == {A: None}


async def test_a_document_that_changes_concurrently_is_not_deleted_unread(store: Store) -> None:
    """A's number is moved to B repeatedly while others add to it: none of it is lost."""

    def move_all(documents: Documents) -> tuple[dict[Key, Document | None], int]:
        total = n(documents[A]) + n(documents[B])
        return {A: None, B: {"n": total}}, total

    tasks: list[Update[int]] = [([A], add_one), ([A, B], move_all)]
    await asyncio.gather(*(store.update(*task) for _ in range(10) for task in tasks))
    await store.update([A, B], move_all)
    assert await store.read([A, B]) == {A: None, B: {"n": 10}}


async def test_a_snapshot_has_the_documents_of_all_collections() -> None:
    store, other = SQLiteStore(), ("others", "a")
    await store.update_all([([A], put(A, {"n": 1})), ([other], put(other, {"n": 2}))])
    assert store.snapshot() == {A: {"n": 1}, other: {"n": 2}}
    store.close()

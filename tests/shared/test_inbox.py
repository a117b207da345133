from pathlib import Path

import pytest

from shared.bus import Envelope
from shared.errors import OverloadedError, UnavailableError
from shared.inbox import INBOX, Inbox
from shared.store import SQLiteStore


def messages(*names: str, size: int = 3) -> list[Envelope]:
    return [Envelope("things", b"\xff" * size, {"source": "☂"}, name) for name in names]


async def test_what_is_not_handled_is_there_after_the_process_has_ended(tmp_path: Path) -> None:
    first = SQLiteStore(tmp_path / "state")
    inbox = Inbox(first)
    await inbox.add(messages("a", "b", "c", "d"))
    await inbox.remove(["b"])
    first.close()
    second = SQLiteStore(tmp_path / "state")
    inbox = Inbox(second)
    assert await inbox.load() == messages("a", "c", "d")
    assert inbox.waiting == 3
    await inbox.remove(["a", "c", "d"])
    assert second.snapshot() == {}
    second.close()


@pytest.mark.parametrize("limits", [{"max_messages": 2}, {"max_bytes": 7}])
async def test_more_than_may_wait_is_refused_whole_until_there_is_room(limits: dict[str, int]) -> None:
    store = SQLiteStore()
    inbox = Inbox(store, **limits)
    await inbox.add(messages("a"))
    with pytest.raises(OverloadedError, match="1 messages are waiting"):
        await inbox.add(messages("b", "c"))
    assert list(store.all(INBOX)) == ["a"]
    await inbox.remove(["a"])
    await inbox.add(messages("b", "c"))


async def test_a_message_that_cannot_be_written_is_refused_and_does_not_count() -> None:
    store = SQLiteStore()
    inbox = Inbox(store)
    store._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(UnavailableError):
        await inbox.add(messages("a", "b", size=1_000_000))
    assert inbox.waiting == 0
    assert store.all(INBOX) == {}

"""Whatever is published on any topic: it is handled or kept as a dead letter, at once, and nothing breaks."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import local
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.messages import MESSAGE_TYPES, Message
from shared.settings import Settings
from shared.store import DEAD_LETTERS, SQLiteStore
from tests.fuzz.mutants import DOOR, messages

DECIDED = MESSAGE_TYPES.keys() - {"outcomes"}
"""Topics of which every message leads to a decision."""


class System:
    """All services. Models take long to load, so they are loaded once, and the state is put back for each example."""

    def __init__(self) -> None:
        self.loop, self.bus, self.store = asyncio.Runner(), LocalBus(), SQLiteStore()
        config = Settings(holdout_share=0)
        self.loop.run(local.pipeline(config, self.bus, self.store))
        self.loop.run(local.gateway(config, self.bus, self.store))
        self.new = self.store._db.execute("SELECT * FROM documents").fetchall()

    def publish(self, topic: str, data: Sequence[bytes]) -> list[str]:
        """The messages' ids, once nobody has anything left to say."""
        self.store._db.execute("DELETE FROM documents")
        self.store._db.executemany("INSERT INTO documents VALUES (?, ?, ?)", self.new)

        async def published() -> list[str]:
            ids = await self.bus.publish([Envelope(topic, d) for d in data])
            await self.bus.drain()
            return ids

        return self.loop.run(published())

    def close(self) -> None:
        self.loop.close()
        self.store.close()


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    system = System()
    yield system
    system.close()


@pytest.mark.parametrize("topic", MESSAGE_TYPES)
def test_a_message_is_handled_or_kept(system: System, topic: str) -> None:
    @DOOR
    @given(st.lists(messages(topic), min_size=1, max_size=3))
    def tried(data: list[bytes]) -> None:
        retries = telemetry.counts["retries"]
        ids = system.publish(topic, data)
        assert telemetry.counts["retries"] == retries, "asked for again, though it will never be handled"
        letters = [letter["attributes"] for letter in system.store.all(DEAD_LETTERS).values()]
        kept, decided = {letter["message_id"] for letter in letters}, system.store.all("decisions").keys()
        told = {*decided, *(letter.get("event_id") for letter in letters)}
        for name, message in [(name, parsed(topic, d, name)) for name, d in zip(ids, data, strict=True)]:
            if message is None:
                assert name in kept
            else:
                assert MESSAGE_TYPES[topic].parse(message.data, name) == message
                assert topic not in DECIDED or name in kept or message.event_id in told

    tried()


def parsed(topic: str, data: bytes, name: str) -> Message | None:
    try:
        return MESSAGE_TYPES[topic].parse(data, name)
    except ValueError:
        return None

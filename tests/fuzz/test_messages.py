"""Malformed messages on every topic: each is handled or becomes a dead letter, at once, and nothing fails."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import local
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.consent import Consent
from shared.messages import MESSAGE_TYPES, CustomerEvent, Message, Outcome
from shared.settings import Settings
from shared.store import DEAD_LETTERS, DECISIONS, Documents, SQLiteStore
from tests.fuzz.mutants import FUZZ_SETTINGS, VALUES, messages

DECIDED = MESSAGE_TYPES.keys() - {"outcomes"}
"""Topics on which every valid message leads to a decision."""


OTHER_FIELDS = sorted(
    {*CustomerEvent.model_fields, *Outcome.model_fields, "customer_facts"} - {"customer_id", "opted_out"}
)
SAID: list[dict[str, object]] = [
    {"opted_out": True, "outcome": None, "text": None},
    {"opted_out": "Y", "outcome": None, "text": None},
    {"outcome": "opted-out"},
    {"outcome": "OPTED_OUT"},
    {"outcome": "replied", "text": "STOP"},
]


class System:
    """All services. Models load slowly, so they are loaded once, and only the store is reset for each example."""

    def __init__(self) -> None:
        self.loop, self.bus, self.store = asyncio.Runner(), LocalBus(), SQLiteStore()
        settings = Settings(holdout_share=0)
        self.loop.run(local.pipeline(settings, self.bus, self.store))
        self.loop.run(local.gateway(settings, self.bus, self.store))
        self.initial = self.store.snapshot()

    def publish(self, topic: str, data: Sequence[bytes]) -> list[str]:
        """Publish messages to a system in its initial state; returns their ids once all that follows is handled."""

        def reset(documents: Documents) -> tuple[Documents, None]:
            return {**dict.fromkeys(documents), **self.initial}, None

        async def published() -> list[str]:
            await self.store.update([*self.store.snapshot(), *self.initial], reset)
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
def test_every_message_is_handled_or_becomes_a_dead_letter(system: System, topic: str) -> None:
    @FUZZ_SETTINGS
    @given(st.lists(messages(topic), min_size=1, max_size=3))
    def check(data: list[bytes]) -> None:
        retries = telemetry.counts["retries"]
        ids = system.publish(topic, data)
        assert telemetry.counts["retries"] == retries, "retried, though it can never be handled"
        letters = [letter["attributes"] for letter in system.store.all(DEAD_LETTERS).values()]
        rejected, decided = {letter["message_id"] for letter in letters}, system.store.all(DECISIONS).keys()
        answered = {*decided, *(letter.get("event_id") for letter in letters)}
        for message_id, message in [(i, parse(topic, d, i)) for i, d in zip(ids, data, strict=True)]:
            if message is None:
                assert message_id in rejected
            else:
                assert MESSAGE_TYPES[topic].parse(message.data, message_id) == message
                assert topic not in DECIDED or message_id in rejected or message.event_id in answered

    check()


def parse(topic: str, data: bytes, message_id: str) -> Message | None:
    try:
        return MESSAGE_TYPES[topic].parse(data, message_id)
    except ValueError:
        return None


@pytest.mark.parametrize("topic", ["customer-events", "outcomes"])
def test_an_opt_out_is_kept_whatever_else_the_message_holds(system: System, topic: str) -> None:
    """Whether the message is handled, retried for now, or a dead letter."""

    @FUZZ_SETTINGS
    @given(
        st.dictionaries(st.sampled_from(OTHER_FIELDS) | st.text(max_size=5), VALUES, max_size=4), st.sampled_from(SAID)
    )
    def check(others: dict[str, Any], said: dict[str, object]) -> None:
        system.publish(topic, [json.dumps({**others, "customer_id": "c", **said}).encode()])
        [consent] = [Consent.from_document(document) for document in system.store.all("suppressed").values()]
        assert consent.opted_out

    check()

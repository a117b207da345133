"""The whole system in one process: the same handlers, on a bus in memory and a SQLite file."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from pydantic_core import from_json

from services.gateway.app import build as build_gateway
from services.messenger.app import build as build_messenger
from services.policy.app import build as build_policy
from services.scorer.app import build as build_scorer
from services.shield.app import build as build_shield
from shared import telemetry
from shared.bus import Bus, Envelope, LocalBus, Receive
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import DEAD_LETTERS, Document, Documents, Key, SQLiteStore, Store
from shared.topology import SUBSCRIPTIONS

EVERY = 60.0
"""Seconds between two looks at the calendar."""


async def pipeline(settings: Settings, bus: LocalBus, store: Store, clock: Clock = utc_now) -> list[Service]:
    """The four services, listening, and somebody who keeps what they could not handle."""
    services = [
        await build(settings, bus, store, clock)
        for build in (build_scorer, build_policy, build_messenger, build_shield)
    ]
    for service in services:
        listen(service, bus)
    for subscription in SUBSCRIPTIONS:
        bus.subscribe(f"{subscription.dead}.keep", _keeper(store))
    return services


def listen(service: Service, bus: LocalBus) -> None:
    for subscription in service.subscriptions:
        bus.subscribe(subscription, service.receive)


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    """What this machine remembers, and nothing at work on it."""
    store = SQLiteStore(settings.state)
    try:
        yield LocalBus(), store
    finally:
        store.close()


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    """The pipeline, running; what is under way is finished before it stops."""
    bus, store = LocalBus(), SQLiteStore(settings.state)
    services = await pipeline(settings, bus, store)
    telemetry.log("LocalBus: messages in memory, for one process", state=str(settings.state))
    running, ticking = asyncio.create_task(bus.run()), asyncio.create_task(tick(services))
    try:
        yield bus, store
    finally:
        ticking.cancel()
        bus.close()
        try:
            await running
        finally:
            for service in services:
                service.stop()
            store.close()


async def tick(services: Sequence[Service]) -> None:
    """Let services do what is due, again and again."""
    while True:
        for service in services:
            try:
                await service.tick()
            except Exception as error:  # the calendar goes on
                telemetry.log_failure(service.name, "", error)
        await asyncio.sleep(EVERY)


async def gateway(settings: Settings, bus: Bus, store: Store) -> Service:
    """The gateway, hearing the decisions of this process."""
    service = await build_gateway(settings, bus, store)
    assert isinstance(bus, LocalBus)
    listen(service, bus)
    return service


def _keeper(store: Store) -> Receive:
    async def keep(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        await store.update_all([([(DEAD_LETTERS, e.id)], partial(_kept, envelope=e)) for e in envelopes])
        return [None] * len(envelopes)

    return keep


def _kept(found: Documents, *, envelope: Envelope) -> dict[Key, Document]:
    letter = {
        "customer_id": envelope.attributes.get("customer_id") or _customer_in(envelope.data),
        "topic": envelope.topic,
        "data": b64encode(envelope.data).decode(),
        "attributes": dict(envelope.attributes),
    }
    return {(DEAD_LETTERS, envelope.id): letter}


def _customer_in(data: bytes) -> str | None:
    """Whom it is about, as far as it can be read: so it goes when they are erased."""
    try:
        customer_id = from_json(data)["customer_id"]
    except (ValueError, TypeError, LookupError):
        return None
    return customer_id if isinstance(customer_id, str) else None

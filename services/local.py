"""The whole system in one process: the services' own handlers on an in-memory bus and a SQLite file."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from services.gateway.app import build as build_gateway
from services.messenger.app import build as build_messenger
from services.policy.app import build as build_policy
from services.scorer.app import build as build_scorer
from services.shield.app import build as build_shield
from shared import telemetry
from shared.bus import Bus, Envelope, LocalBus, Receive, original_message
from shared.errors import ConfigurationError
from shared.inbox import Inbox, to_document
from shared.opt_outs import read_customer_id
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import DEAD_LETTERS, MIN_LOG_PAGES, Document, Documents, Key, SQLiteStore, Store
from shared.topology import SUBSCRIPTIONS

TICK_INTERVAL_SECONDS = 60.0
"""Time between two calls of the services' `tick`: reviews, expired offers and deletions."""


async def pipeline(settings: Settings, bus: LocalBus, store: Store, clock: Clock = utc_now) -> list[Service]:
    """The four services without the gateway, subscribed to `bus`; dead letters are written to `store`."""
    scorer, messenger, shield, policy = [
        await build(settings, bus, store, clock)
        for build in (build_scorer, build_messenger, build_shield, build_policy)  # the last one sets the budget
    ]
    services = [scorer, policy, messenger, shield]
    for service in services:
        subscribe(service, bus)
    for subscription in SUBSCRIPTIONS:
        bus.subscribe(f"{subscription.dead_letter_topic}.keep", _dead_letter_writer(store))
    return services


def subscribe(service: Service, bus: LocalBus) -> None:
    for subscription in service.subscriptions:
        bus.subscribe(subscription, service.receive)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    """The store of this machine, and a bus without subscribers."""
    store = SQLiteStore(settings.state)
    try:
        yield LocalBus(), store
    finally:
        store.close()


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    """The bus and the store of a running pipeline; what is published is kept in the store until it is handled.

    At the end, messages on the bus are delivered before it stops, unless the store fails. Raises `ConfigurationError`
    or `UnavailableError` if another server has the state, or it cannot be written.
    """
    store = await asyncio.to_thread(SQLiteStore, settings.state, MIN_LOG_PAGES)
    try:
        with _exclusive(settings.state):
            await store.check()
            inbox = Inbox(store)
            bus = LocalBus(inbox=inbox)
            services = await pipeline(settings, bus, store)
            telemetry.log("the bus is in memory, for this process only", state=str(settings.state))
            running, ticking = asyncio.create_task(bus.run()), asyncio.create_task(tick_forever(services))
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
                    if inbox.waiting:
                        telemetry.log("messages are left, which the next start handles", messages=inbox.waiting)
    finally:
        store.close()


@contextmanager
def _exclusive(state: Path) -> Iterator[None]:
    """Keep the state from other servers by a lock on a file beside it, which the system releases when a process ends.

    Raises `ConfigurationError` if another server has it.
    """
    if state == Path(":memory:"):
        yield
        return
    with Path(f"{state.resolve()}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"RETENTION_STATE: another server is running on {state}. Stop it, or name another file."
            ) from error
        yield


async def tick_forever(services: Sequence[Service]) -> None:
    """Let each service do the work that is due, every TICK_INTERVAL_SECONDS. A failure is logged."""
    while True:
        for service in services:
            try:
                await service.tick()
            except Exception as error:  # the next tick may succeed
                telemetry.log_failure(service.name, "", error)
        await asyncio.sleep(TICK_INTERVAL_SECONDS)


async def gateway(settings: Settings, bus: Bus, store: Store) -> Service:
    """The gateway, subscribed to the decisions of this process. All are subscribed then, so delivery is resumed."""
    service = await build_gateway(settings, bus, store)
    assert isinstance(bus, LocalBus)
    subscribe(service, bus)
    await bus.resume()
    return service


def _dead_letter_writer(store: Store) -> Receive:
    async def write(subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        letters = [
            ((DEAD_LETTERS, letter.id), {"customer_id": _customer_id(letter), **to_document(letter)})
            for letter in envelopes
        ]
        await store.update_all([([key], partial(_write, key=key, document=document)) for key, document in letters])
        return [None] * len(envelopes)

    return write


def _write(_: Documents, *, key: Key, document: Document) -> tuple[dict[Key, Document], None]:
    return {key: document}, None


def _customer_id(letter: Envelope) -> str | None:
    """The customer that the message is about, if that can be read, so that it is erased with the customer."""
    message = original_message(letter)
    return read_customer_id(message.data, message.attributes)

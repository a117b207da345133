"""Adapters from the ports to Google's Pub/Sub, Firestore and identity. Services import google.* nowhere else.

Google's clients use the emulators where PUBSUB_EMULATOR_HOST and FIRESTORE_EMULATOR_HOST name them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.bus import Bus
from shared.gcp.firestore import FirestoreStore
from shared.gcp.pubsub import PubSubBus
from shared.settings import Settings
from shared.store import Store


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    bus, store = PubSubBus(settings.project), FirestoreStore(settings.project)
    try:
        yield bus, store
    finally:
        bus.close()
        store.close()

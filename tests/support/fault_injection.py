"""The services that write, on a store that fails one write in twenty; half of the failed writes are stored anyway.

The environment variable FAULTS is the seed of a process's faults.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from fastapi import FastAPI

from services.gateway.app import create as create_gateway
from services.policy.app import build as build_policy
from services.shield.app import build as build_shield
from shared import gcp, telemetry, web
from shared.bus import Bus
from shared.settings import Settings
from shared.store import Change, Key, Result, Store, Update

REFUSED_WRITE = "refused_write"
"""The log message of a failed write."""
FAILURE_RATE = 0.05
"""Share of writes that fail."""
REPEATED_FAILURE_RATE = 0.5
"""Share of writes that fail after a failed one, because an outage lasts for a while."""


class UnreliableStore:
    def __init__(self, store: Store, random: Random) -> None:
        self._store, self._random = store, random
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        """Everything else is the store's own."""
        return getattr(self._store, name)

    async def update(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        after_success = FAILURE_RATE * (1 - REPEATED_FAILURE_RATE) / (1 - FAILURE_RATE)
        self._failed = failed = self._random.random() < (REPEATED_FAILURE_RATE if self._failed else after_success)
        written = self._random.random() < 0.5
        results = [] if failed and not written else await self._store.update_all(updates)
        if failed:
            telemetry.count(REFUSED_WRITE, written=written)
            raise OSError("refused on purpose")
        return results


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    async with gcp.connect(settings) as (bus, store):
        yield bus, UnreliableStore(store, Random(os.environ["FAULTS"]))


def policy() -> FastAPI:
    return web.create_app(build_policy, connect)


def shield() -> FastAPI:
    return web.create_app(build_shield, connect)


def gateway() -> FastAPI:
    return create_gateway(connect=connect)

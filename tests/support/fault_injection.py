"""The services that write, on a store that refuses one write in twenty; half of what it refuses it has written.

Everything else is their own. FAULTS names the luck of one process.
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

REFUSED = "refused_write"
"""What a refusal is called in the log."""
SHARE, AGAIN = 0.05, 0.5
"""Of writes that are refused; and of those after a refused one, because what is down stays down for a while."""


class RefusingStore:
    def __init__(self, store: Store, random: Random) -> None:
        self._store, self._random = store, random
        self._down = False

    def __getattr__(self, name: str) -> Any:
        """All else is as the store has it."""
        return getattr(self._store, name)

    async def update(self, keys: Sequence[Key], change: Change[Result]) -> Result:
        return (await self.update_all([(keys, change)]))[0]

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        self._down = down = self._random.random() < (AGAIN if self._down else SHARE * (1 - AGAIN) / (1 - SHARE))
        written = self._random.random() < 0.5
        results = [] if down and not written else await self._store.update_all(updates)
        if down:
            telemetry.count(REFUSED, written=written)
            raise OSError("refused on purpose")
        return results


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    async with gcp.connect(settings) as (bus, store):
        yield bus, RefusingStore(store, Random(os.environ["FAULTS"]))


def policy() -> FastAPI:
    return web.create_app(build_policy, connect)


def shield() -> FastAPI:
    return web.create_app(build_shield, connect)


def gateway() -> FastAPI:
    return create_gateway(connect=connect)

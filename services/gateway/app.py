"""How the gateway is put together."""

from functools import partial

from fastapi import Depends, FastAPI

from services.gateway.door import Door
from services.gateway.handler import remember
from services.gateway.rest import router
from shared import telemetry, web
from shared.bus import Bus
from shared.messages import Decision
from shared.service import Service
from shared.settings import Settings
from shared.store import Store


async def build(settings: Settings, bus: Bus, store: Store) -> Service:
    if not (settings.api_keys or settings.callers):
        telemetry.say("no API key is set: whoever reaches the gateway may use it")
    return Service("gateway", bus, {Decision: partial(remember, store=store)})


def create(build: web.Build = build, connect: web.Connect = web.google_cloud) -> FastAPI:
    app = web.create_app(build, connect)
    app.include_router(router, dependencies=[Depends(Door(Settings()).admit)])
    return app

"""How the gateway is put together."""

from datetime import timedelta
from functools import partial

from fastapi import Depends, FastAPI

from services.gateway.authentication import Authenticator
from services.gateway.handler import remember
from services.gateway.rest import router
from shared import telemetry, web
from shared.bus import Bus
from shared.messages import Decision
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import Store


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    if not (settings.api_keys or settings.callers):
        telemetry.log("no API key is set: whoever reaches the gateway may use it")
    keep = timedelta(days=settings.keep_days)
    return Service("gateway", bus, {Decision: partial(remember, store=store, keep=keep, clock=clock)})


def create(build: web.Build = build, connect: web.Connect = web.google_cloud) -> FastAPI:
    app = web.create_app(build, connect)
    app.include_router(router, dependencies=[Depends(Authenticator(Settings()).authenticate)])
    return app

"""Composition of the gateway."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI

from services.gateway.authentication import Authenticator
from services.gateway.handler import save
from services.gateway.rate_limit import RateLimiter
from services.gateway.rest import router
from shared import telemetry, web
from shared.bus import Bus
from shared.messages import Decision
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import Store

DESCRIPTION = (
    "Publish what happens to your customers, and read the decision about each event: whether to contact the customer, "
    "with which discount, when, and the message to send."
)


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    if not (settings.api_keys or settings.callers):
        telemetry.log("no API key is set: anybody who can reach the gateway can use it; set RETENTION_API_KEYS")
    retention_period = timedelta(days=settings.keep_days)
    return Service(
        "gateway", bus, {Decision: partial(save, store=store, retention_period=retention_period, clock=clock)}
    )


def create(build: web.Build = build, connect: web.Connect = web.google_cloud) -> FastAPI:
    """The service's web application, with the REST interface for callers who have access."""
    app = web.create_app(build, connect)
    app.description = DESCRIPTION
    app.include_router(router, dependencies=[Depends(_access(Settings.from_environment()))])
    return app


def _access(settings: Settings) -> Callable[[str], Awaitable[None]]:
    authenticator, limiter = Authenticator(settings), RateLimiter(settings.rate)

    async def check_access(caller: Annotated[str, Depends(authenticator.authenticate)]) -> None:
        limiter.check(caller)

    return check_access

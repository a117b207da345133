"""Composition of the scorer."""

from functools import partial

from fastapi import FastAPI

from services.scorer.handler import score
from services.scorer.model import ScorerModel
from shared import web
from shared.bus import Bus
from shared.messages import CustomerEvent
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import Store


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    model = ScorerModel.load(settings.artifacts / "scorer")
    log_counts = partial(model.monitor.log, model.version)
    return Service("scorer", bus, {CustomerEvent: partial(score, model=model, clock=clock)}, stop=log_counts)


def create() -> FastAPI:
    return web.create_app(build)

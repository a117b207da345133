"""How the messenger is put together."""

from functools import partial

from fastapi import FastAPI

from services.messenger.handler import draft
from services.messenger.writers import TemplateWriter
from shared import telemetry, web
from shared.bus import Bus
from shared.messages import PlannedContact
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import Store


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    writer = {"template": TemplateWriter}[settings.writer]()
    telemetry.say(f"the writer is {writer.name}: fixed words, not a language model")
    return Service("messenger", bus, {PlannedContact: partial(draft, writer=writer, clock=clock)})


def create() -> FastAPI:
    return web.create_app(build)

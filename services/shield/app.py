"""Composition of the shield."""

from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.shield.handler import ShieldContext, check
from services.shield.quiet_hours import QuietHours, QuietRules, deliver_after
from shared import web
from shared.bus import Bus
from shared.messages import DraftedMessage
from shared.pseudonyms import Pseudonyms
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import Store


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    """Raises `ConfigurationError` if the settings are contradictory or do not fit the store."""
    quiet_rules = quiet_rules_of(settings)
    deliver_after(clock(), settings.time_zones, quiet_rules)  # fails if the zones have no hour in common outside them
    pseudonyms = await Pseudonyms.open(store, settings.hash_key)
    context = ShieldContext(
        store, pseudonyms, settings.time_zones, timedelta(days=settings.keep_days), clock, quiet_rules
    )
    return Service("shield", bus, {DraftedMessage: partial(check, context=context)})


def quiet_rules_of(settings: Settings) -> QuietRules:
    by_zone = tuple((prefix, QuietHours(start, end)) for prefix, start, end in settings.quiet_hours_by_zone)
    return QuietRules(QuietHours(settings.quiet_from, settings.quiet_until), by_zone)


def create() -> FastAPI:
    return web.create_app(build)

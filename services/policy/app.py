"""How the policy is put together."""

from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.policy.baseline import BaselinePolicy
from services.policy.gate import Limits
from services.policy.handler import Desk, decide, settle
from services.policy.ledger import Ledger, default_shards
from shared import telemetry, web
from shared.bus import Bus
from shared.messages import Outcome, ScoredCustomer
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import SQLiteStore, Store


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    policy = {"baseline": BaselinePolicy}[settings.policy]()
    telemetry.say(f"the policy is {policy.name}: a one-step rule, not a trained model", version=policy.version)
    # One writer at a time needs one shard only.
    shards = 1 if isinstance(store, SQLiteStore) else settings.budget_shards or default_shards(settings.budget)
    ledger = await Ledger.open(store, settings.budget, shards, clock)
    desk = Desk(
        store=store,
        ledger=ledger,
        policy=policy,
        limits=Limits(
            cooldown=timedelta(days=settings.cooldown_days),
            fatigue_cap=settings.fatigue_cap,
            fatigue_window=timedelta(days=settings.fatigue_window_days),
            holdout_share=settings.holdout_share,
            holdout_salt=settings.holdout_salt,
        ),
        offer_for=timedelta(days=settings.offer_days),
        clock=clock,
    )
    return Service(
        "policy",
        bus,
        {ScoredCustomer: partial(decide, desk=desk), Outcome: partial(settle, store=store, ledger=ledger)},
    )


def create() -> FastAPI:
    return web.create_app(build)

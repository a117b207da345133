"""How the policy is put together."""

from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.policy.baseline import BaselinePolicy
from services.policy.gate import Limits
from services.policy.handler import Desk, decide, rules_of
from services.policy.ledger import Ledger, default_shards
from services.policy.network import Network
from services.policy.pace import Pace
from services.policy.policy import Exploration, Policy
from services.policy.ppo import PPOPolicy
from services.policy.priced import IndexPolicy
from services.policy.settle import settle
from shared import telemetry, web
from shared.bus import Bus
from shared.messages import Outcome, ScoredCustomer
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import SQLiteStore, Store


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    policy = chosen(settings)
    explores = f"explores in {settings.explore:.0%} of decisions" if settings.explore else "does not explore"
    telemetry.say(f"the policy is {policy.name} and {explores}", version=policy.version)
    # One writer at a time needs one shard only.
    shards = 1 if isinstance(store, SQLiteStore) else settings.budget_shards or default_shards(settings.budget)
    ledger = await Ledger.open(store, settings.budget, shards, clock)
    desk = Desk(
        store=store,
        ledger=ledger,
        pace=await Pace.open(store, ledger, settings.budget_days, clock()),
        policy=policy,
        limits=limits_of(settings),
        offer_for=timedelta(days=settings.offer_days),
        clock=clock,
    )
    return Service(
        "policy",
        bus,
        {ScoredCustomer: partial(decide, desk=desk), Outcome: partial(settle, store=store, ledger=ledger)},
    )


def limits_of(settings: Settings) -> Limits:
    return Limits(
        cooldown=timedelta(days=settings.cooldown_days),
        fatigue_cap=settings.fatigue_cap,
        fatigue_window=timedelta(days=settings.fatigue_window_days),
        holdout_share=settings.holdout_share,
        holdout_salt=settings.holdout_salt,
    )


def chosen(settings: Settings) -> Policy:
    """Raises `ArtifactError` where the trained policy is chosen and not there."""
    exploration = Exploration(settings.explore)
    rules = rules_of(limits_of(settings))
    match settings.policy:
        case "ppo":
            return PPOPolicy(Network.load(settings.artifacts / "policy"), exploration, rules)
        case "index":
            return IndexPolicy(exploration, rules)
        case "baseline":
            return BaselinePolicy(exploration)


def create() -> FastAPI:
    return web.create_app(build)

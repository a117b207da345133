"""Assembles the policy service."""

from datetime import timedelta
from functools import partial

from fastapi import Depends, FastAPI, Request

from services.policy.budget.ledger import TOTAL, Ledger, default_shards
from services.policy.budget.pacing import CALENDAR, BudgetPacer
from services.policy.context import GRACE_PERIOD, PolicyContext, contact_rules
from services.policy.customer.billing import MAX_USUAL_BILLS
from services.policy.customer.gate import Limits
from services.policy.handlers.decide import decide
from services.policy.handlers.review import review
from services.policy.handlers.settle import settle
from services.policy.policies.base import Exploration, Policy
from services.policy.policies.index_policy import IndexPolicy
from services.policy.policies.network import Network
from services.policy.policies.one_step import OneStepPolicy
from services.policy.policies.ppo import PPOPolicy
from services.policy.replies.reader import ReplyReader
from shared import telemetry, web
from shared.bus import Bus
from shared.errors import ConfigurationError
from shared.messages import Message, Outcome, ScoredCustomer
from shared.pseudonyms import Pseudonyms
from shared.service import Clock, Handler, Service, utc_now
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore, Store


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    """The policy service by these settings.

    Raises `ArtifactError`, `BudgetError` or `HashKeyError` if the settings do not fit the artifacts or the store, and
    then has not changed the budget.
    """
    policy = load_policy(settings)
    pseudonyms = await Pseudonyms.open(store, settings.hash_key)
    explores = f"explores in {settings.explore:.0%} of decisions" if settings.explore else "does not explore"
    telemetry.log(f"the policy is {policy.name} and {explores}", version=policy.version)
    if settings.hash_key == LOCAL_HASH_KEY:
        telemetry.log(
            "customer ids are hashed with the default key, which is public: set RETENTION_HASH_KEY to a secret"
        )
    # SQLite has one writer at a time, so more shards would not allow more decisions at the same time.
    shards = 1 if isinstance(store, SQLiteStore) else settings.budget_shards or default_shards(settings.budget)
    ledger = await Ledger.open(store, settings.budget, shards, clock)
    context = PolicyContext(
        store=store,
        ledger=ledger,
        pacer=await BudgetPacer.open(store, ledger, settings.budget_days, clock()),
        policy=policy,
        limits=limits_of(settings),
        offer_duration=timedelta(days=settings.offer_days),
        clock=clock,
        pseudonyms=pseudonyms,
        retention_period=retention_period(settings),
        reader=ReplyReader.load(settings.artifacts / "replies"),
        unread_reply_duration=timedelta(days=min(settings.unread_reply_days, settings.keep_days)),
    )
    handlers: dict[type[Message], Handler] = {
        ScoredCustomer: partial(decide, context=context),
        Outcome: partial(settle, context=context),
    }
    return Service("policy", bus, handlers, tick=partial(review, context=context, bus=bus))


async def stored_settings(settings: Settings, store: Store) -> Settings:
    """The settings with the budget of the last server on this store, which a command is not to change.

    Raises `ConfigurationError` if there was no server yet, or the hash key is another.
    """
    await Pseudonyms.load(store, settings.hash_key)
    documents = await store.read([TOTAL, CALENDAR])
    if not (total := documents[TOTAL]):
        raise ConfigurationError("No server has used this state yet. Start one first: make up")
    calendar = documents[CALENDAR] or {"days": settings.budget_days}
    return settings.model_copy(update={"budget": total["cents"] / 100, "budget_days": calendar["days"]})


def limits_of(settings: Settings) -> Limits:
    return Limits(
        cooldown=timedelta(days=settings.cooldown_days),
        bounce_limit=settings.bounce_limit,
        max_bill=MAX_USUAL_BILLS * settings.usual_bill,
        fatigue_cap=settings.fatigue_cap,
        fatigue_window=timedelta(days=settings.fatigue_window_days),
        holdout_share=settings.holdout_share,
        holdout_salt=settings.holdout_salt,
    )


def retention_period(settings: Settings) -> timedelta:
    """How long decisions and customers are kept: no limit of the gate looks back further."""
    limits, offer_duration = limits_of(settings), timedelta(days=settings.offer_days)
    keep_duration = timedelta(days=settings.keep_days)
    return max(keep_duration, limits.cooldown, limits.fatigue_window, offer_duration + GRACE_PERIOD)


def load_policy(settings: Settings) -> Policy:
    """The policy that the settings name. Raises `ArtifactError` if that is `ppo` and it has no valid artifact."""
    exploration = Exploration(settings.explore)
    match settings.policy:
        case "ppo":
            return PPOPolicy(Network.load(settings.artifacts / "policy"), exploration)
        case "index":
            return IndexPolicy(exploration, contact_rules(limits_of(settings)))
        case "baseline":
            return OneStepPolicy(exploration)


def create(connect: web.Connect = web.google_cloud) -> FastAPI:
    app = web.create_app(build, connect)

    @app.post("/reviews", dependencies=[Depends(web.authenticate_push)])
    async def reviews(request: Request) -> dict[str, int]:
        """Review customers, expire offers and delete old data, all that is due by now; return how many of each.

        A scheduler calls this, authenticated like a push. Repeating the call repeats no work.
        """
        counts: dict[str, int] = await request.app.state.service.tick()
        return counts

    return app

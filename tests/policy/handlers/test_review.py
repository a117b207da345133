from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from services.policy import app
from services.policy.budget.ledger import Shard
from services.policy.context import GRACE_PERIOD, PolicyContext
from services.policy.handlers.decide import MAX_FACTS_AGE, decide
from services.policy.handlers.review import BATCH_SIZE, review
from services.policy.handlers.settle import settle
from services.policy.policies.base import DecisionContext, PolicyAction
from shared.bus import Bus, Envelope, LocalBus
from shared.messages import CustomerEvent, Decision, Message, PlannedContact, ScoredCustomer
from shared.settings import Settings
from shared.store import CUSTOMERS, DECISIONS, PLANS, VERDICTS, Key, SQLiteStore, Store
from tests.policy.builders import MaxOfferPolicy, TickingClock, outcome, policy_context, scored
from tests.support.clock import NOON
from tests.support.tokens import ACCOUNT, Signer, key_server


class WaitingPolicy:
    """Never contacts, and asks for a review."""

    name = version = "waiting"

    def __init__(self, days: int = 3) -> None:
        self.days = days

    def choose(self, context: DecisionContext) -> PolicyAction:
        return PolicyAction(None, 0.0, 0.5, 1.0, self.days)


class Calendar:
    """A service, its clock, and the events that its reviews publish."""

    def __init__(self, context: PolicyContext, clock: TickingClock) -> None:
        self.context, self.clock, self.bus = context, clock, LocalBus()
        self.sent: list[CustomerEvent] = []
        self.bus.subscribe("customer-events.test", self._receive)

    @classmethod
    async def of(cls, policy: Any, **facts: Any) -> "Calendar":
        clock = TickingClock()
        return cls(await policy_context(policy=policy, clock=clock, **facts), clock)

    async def _receive(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.sent += [CustomerEvent.parse(e.data, e.id) for e in envelopes]
        return [None] * len(envelopes)

    async def decide(self, *customers: ScoredCustomer) -> list[Message]:
        return [message for [message] in await decide(customers, context=self.context)]

    async def tick(self, **later: float) -> dict[str, int]:
        self.clock.now += timedelta(**later)
        done = await review(context=self.context, bus=self.bus)
        await self.bus.drain()
        return done


async def test_a_customer_is_reviewed_on_the_day_and_not_before() -> None:
    calendar = await Calendar.of(WaitingPolicy(days=3))
    [decision] = await calendar.decide(scored(contract="One year", streaming_tv="Yes"))

    assert isinstance(decision, Decision)
    assert decision.decision.delay_days == 3
    assert (await calendar.tick(days=2.9))["reviewed"] == 0
    assert (await calendar.tick(days=0.1))["reviewed"] == 1
    [event] = calendar.sent
    assert event.customer_id == "customer-1"
    assert event.event_id != "event of customer-1"
    assert (event.name, event.contract, event.streaming_tv, event.monthly_charges) == (
        "Sam Vimes",
        "One year",
        "Yes",
        100,
    )
    assert event.churn_risk is None, "the scorer predicts it anew"


async def test_a_risk_given_by_the_caller_is_kept() -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored(churn_risk=0.65, churn_risk_source="caller"))
    await calendar.tick(days=3)

    assert calendar.sent[0].churn_risk == 0.65


async def test_a_repeated_review_sends_nobody_twice() -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored(), scored("other"))
    await calendar.tick(days=3)
    await calendar.tick()
    await calendar.tick(days=3)

    assert sorted(event.customer_id for event in calendar.sent) == ["customer-1", "other"]


async def test_a_customer_sent_twice_has_the_same_event() -> None:
    """As if the process had ended between publishing the event and clearing the review."""
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored())
    key = (CUSTOMERS, "customer-1")
    before = await calendar.context.store.read([key])
    await calendar.tick(days=3)
    await calendar.context.store.update([key], lambda _: ({key: before[key] or {}}, None))
    await calendar.tick()

    first, second = calendar.sent
    assert first == second


async def test_a_newer_event_replaces_the_review() -> None:
    calendar = await Calendar.of(WaitingPolicy(days=3))
    await calendar.decide(scored(tenure=1.0))
    calendar.clock.now += timedelta(days=2)
    await calendar.decide(scored(event_id="newer", tenure=2.0))

    assert (await calendar.tick(days=1.5))["reviewed"] == 0
    assert (await calendar.tick(days=1.5))["reviewed"] == 1
    assert [event.tenure for event in calendar.sent] == [2.0]


async def test_a_newer_event_may_cancel_the_review() -> None:
    policy = WaitingPolicy(days=3)
    calendar = await Calendar.of(policy)
    await calendar.decide(scored())
    policy.days = 0
    await calendar.decide(scored(event_id="newer"))

    assert (await calendar.tick(days=7))["reviewed"] == 0


@pytest.mark.parametrize("word", ["churned", "opted-out"])
async def test_a_customer_who_has_left_or_opted_out_is_not_reviewed(word: str) -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored())
    await settle([outcome(scored(), word)], context=calendar.context)

    assert (await calendar.tick(days=7))["reviewed"] == 0


@pytest.mark.parametrize(("facts", "limits"), [({"opted_out": True}, {}), ({}, {"holdout_share": 1.0})])
async def test_a_customer_whom_the_gate_masks_for_good_is_not_reviewed(facts: Any, limits: Any) -> None:
    calendar = await Calendar.of(WaitingPolicy(), **limits)
    await calendar.decide(scored(**facts))

    assert (await calendar.tick(days=7))["reviewed"] == 0


async def test_a_customer_whose_facts_are_too_old_is_not_reviewed() -> None:
    calendar = await Calendar.of(WaitingPolicy(days=7))
    await calendar.decide(scored(times={"scored_at": NOON}))
    for _ in range(20):
        if not (await calendar.tick(days=7))["reviewed"]:
            break
        event = calendar.sent[-1]
        assert event.occurred_at == NOON
        await calendar.decide(scored(event_id=event.event_id, times={"occurred_at": event.occurred_at}))

    assert len(calendar.sent) == MAX_FACTS_AGE.days // 7 + 1


async def test_a_contact_after_a_review_has_a_cooldown() -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored())
    await calendar.tick(days=3)
    contacting = Calendar(calendar.context._replace(policy=MaxOfferPolicy()), calendar.clock)
    first, second = await contacting.decide(scored(event_id=calendar.sent[0].event_id), scored(event_id="next"))

    assert isinstance(first, PlannedContact)
    assert isinstance(second, Decision)
    assert second.metadata.gate == ("cooldown",)


class BusyStore(SQLiteStore):
    """Once, runs `meanwhile` between finding what is due and handling it."""

    meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        keys = await super().due(collection, now, limit)
        if keys and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return keys


async def test_an_event_during_the_review_is_reviewed_on_its_own_day() -> None:
    calendar = await Calendar.of(WaitingPolicy(days=3), store=(store := BusyStore()))
    await calendar.decide(scored())
    store.meanwhile = partial(calendar.decide, scored(event_id="newer", tenure=99.0))
    await calendar.tick(days=3)
    assert (await calendar.tick(days=2))["reviewed"] == 0
    assert (await calendar.tick(days=1))["reviewed"] == 1

    assert calendar.sent[-1].tenure == 99


async def test_an_acceptance_while_the_offer_expires_counts_and_is_kept() -> None:
    calendar = await Calendar.of(MaxOfferPolicy(), store=(store := BusyStore()))
    await calendar.decide(scored())
    calendar.clock.now += timedelta(days=17)
    store.meanwhile = partial(settle, [outcome(scored(), "accepted")], context=calendar.context)
    await calendar.tick()

    plan = (await store.read([(PLANS, "event of customer-1")]))[PLANS, "event of customer-1"]
    assert plan
    assert plan["status"] == "committed"
    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_an_offer_without_an_answer_expires_once_and_is_released() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    await calendar.decide(scored(), scored("other"))
    await settle([outcome(scored("other"), "accepted")], context=calendar.context)
    validity = calendar.context.offer_duration + GRACE_PERIOD

    assert (await calendar.tick(days=validity.days, minutes=-1))["expired"] == 0
    assert (await calendar.context.ledger.balance()).reserved == 1_500
    assert (await calendar.tick(minutes=2))["expired"] == 1
    assert (await calendar.tick())["expired"] == 0
    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_an_acceptance_after_the_end_of_the_offer_counts() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    await calendar.decide(scored())
    await calendar.tick(days=20)
    await settle([outcome(scored(), "accepted")], context=calendar.context)

    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_old_documents_are_deleted_and_the_balance_stays() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    store, old = calendar.context.store, NOON.timestamp()
    await calendar.decide(scored(), scored("other"))
    await settle([outcome(scored(), "accepted")], context=calendar.context)
    others = {(collection, "x"): {"due": old} for collection in (VERDICTS, DECISIONS)}
    await store.update(list(others), lambda _: (others, None))
    balance = await calendar.context.ledger.balance()

    await calendar.tick(days=364)
    assert all((await store.read([(PLANS, "event of customer-1"), (CUSTOMERS, "customer-1")])).values())
    done = await calendar.tick(days=20)
    await calendar.tick(days=365)

    for collection in (PLANS, CUSTOMERS, VERDICTS, DECISIONS):
        assert await store.due(collection, NOON + timedelta(days=10_000), 10) == []
    assert done["forgotten"] == 0, "they were deleted the time before"
    assert balance.committed == 1_500
    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_an_opt_out_is_never_deleted() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    await calendar.decide(scored(opted_out=True))
    await calendar.tick(days=4_000)
    [decision] = await calendar.decide(scored(event_id="years later"))

    assert isinstance(decision, Decision)
    assert decision.metadata.gate == ("opted-out",)


async def test_more_customers_than_a_batch_are_all_reviewed() -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(*(scored(f"customer-{n}") for n in range(2 * BATCH_SIZE + 5)))

    assert (await calendar.tick(days=3))["reviewed"] == 2 * BATCH_SIZE + 5
    assert len({event.event_id for event in calendar.sent}) == 2 * BATCH_SIZE + 5


@asynccontextmanager
async def policy() -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
        yield LocalBus(), SQLiteStore()

    web = app.create(connect)
    transport = httpx.ASGITransport(web)
    async with web.router.lifespan_context(web), httpx.AsyncClient(transport=transport, base_url="http://p") as client:
        yield client


async def test_a_scheduler_requests_a_review_over_http() -> None:
    async with policy() as client:
        answer = await client.post("/reviews")

    assert answer.json() == {"reviewed": 0, "expired": 0, "forgotten": 0}


async def test_the_scheduler_is_authenticated_like_a_push(monkeypatch: pytest.MonkeyPatch) -> None:
    google = Signer("google")
    with key_server(google) as keys:
        monkeypatch.setenv("RETENTION_PUSH_ACCOUNT", ACCOUNT)
        monkeypatch.setenv("RETENTION_CERTS_URL", keys.url)
        async with policy() as client:
            anonymous, other, scheduler = [
                await client.post("/reviews", headers={"Authorization": f"Bearer {token}"} if token else {})
                for token in (None, google.token(email="other@example.com"), google.token())
            ]

    assert [anonymous.status_code, other.status_code, scheduler.status_code] == [401, 403, 200]

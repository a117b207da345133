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
from tests.policy.builders import NOON, MaxOfferPolicy, TickingClock, context, outcome, scored
from tests.support.tokens import ACCOUNT, Signer, key_server


class WaitingPolicy:
    """Contacts nobody, and wants to look again."""

    name = version = "waiting"

    def __init__(self, days: int = 3) -> None:
        self.days = days

    def choose(self, decision_context: DecisionContext) -> PolicyAction:
        return PolicyAction(None, 0.0, 0.5, 1.0, self.days)


class Calendar:
    """A desk, and what the calendar sends through again."""

    def __init__(self, at: PolicyContext, clock: TickingClock) -> None:
        self.context, self.clock, self.bus = at, clock, LocalBus()
        self.sent: list[CustomerEvent] = []
        self.bus.subscribe("customer-events.test", self._hear)

    @classmethod
    async def of(cls, policy: Any, **facts: Any) -> "Calendar":
        clock = TickingClock()
        return cls(await context(policy=policy, clock=clock, **facts), clock)

    async def _hear(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.sent += [CustomerEvent.parse(e.data, e.id) for e in envelopes]
        return [None] * len(envelopes)

    async def decide(self, *customers: ScoredCustomer) -> list[Message]:
        return [message for [message] in await decide(customers, context=self.context)]

    async def tick(self, **later: float) -> dict[str, int]:
        self.clock.now += timedelta(**later)
        done = await review(context=self.context, bus=self.bus)
        await self.bus.drain()
        return done


async def test_a_customer_is_looked_at_again_on_the_day_and_not_before() -> None:
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
    assert event.churn_risk is None, "it is worked out anew"


async def test_a_risk_that_the_caller_knew_is_known_still() -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored(churn_risk=0.65, churn_risk_source="caller"))
    await calendar.tick(days=3)

    assert calendar.sent[0].churn_risk == 0.65


async def test_a_calendar_asked_again_sends_nobody_twice() -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored(), scored("other"))
    await calendar.tick(days=3)
    await calendar.tick()
    await calendar.tick(days=3)

    assert sorted(event.customer_id for event in calendar.sent) == ["customer-1", "other"]


async def test_a_customer_sent_twice_is_decided_once() -> None:
    """As when the calendar was cut off between sending them and crossing them off."""
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored())
    key = (CUSTOMERS, "customer-1")
    before = await calendar.context.store.read([key])
    await calendar.tick(days=3)
    await calendar.context.store.update([key], lambda _: ({key: before[key] or {}}, None))
    await calendar.tick()

    first, second = calendar.sent
    assert first == second


async def test_a_newer_event_takes_the_place_of_an_older_review() -> None:
    calendar = await Calendar.of(WaitingPolicy(days=3))
    await calendar.decide(scored(tenure=1.0))
    calendar.clock.now += timedelta(days=2)
    await calendar.decide(scored(event_id="newer", tenure=2.0))

    assert (await calendar.tick(days=1.5))["reviewed"] == 0
    assert (await calendar.tick(days=1.5))["reviewed"] == 1
    assert [event.tenure for event in calendar.sent] == [2.0]


async def test_who_needs_no_second_look_any_more_gets_none() -> None:
    policy = WaitingPolicy(days=3)
    calendar = await Calendar.of(policy)
    await calendar.decide(scored())
    policy.days = 0
    await calendar.decide(scored(event_id="newer"))

    assert (await calendar.tick(days=7))["reviewed"] == 0


@pytest.mark.parametrize("word", ["churned", "opted-out"])
async def test_who_has_left_or_wants_no_contact_is_not_looked_at_again(word: str) -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored())
    await settle([outcome(scored(), word)], context=calendar.context)

    assert (await calendar.tick(days=7))["reviewed"] == 0


@pytest.mark.parametrize(("facts", "limits"), [({"opted_out": True}, {}), ({}, {"holdout_share": 1.0})])
async def test_whom_no_day_allows_to_contact_is_not_looked_at_again(facts: Any, limits: Any) -> None:
    calendar = await Calendar.of(WaitingPolicy(), **limits)
    await calendar.decide(scored(**facts))

    assert (await calendar.tick(days=7))["reviewed"] == 0


async def test_what_is_known_gets_too_old_to_look_at_again() -> None:
    calendar = await Calendar.of(WaitingPolicy(days=7))
    await calendar.decide(scored(times={"scored_at": NOON}))
    for _ in range(20):
        if not (await calendar.tick(days=7))["reviewed"]:
            break
        event = calendar.sent[-1]
        assert event.occurred_at == NOON
        await calendar.decide(scored(event_id=event.event_id, times={"occurred_at": event.occurred_at}))

    assert len(calendar.sent) == MAX_FACTS_AGE.days // 7 + 1


async def test_the_contact_of_a_reviewed_customer_keeps_its_cooldown() -> None:
    calendar = await Calendar.of(WaitingPolicy())
    await calendar.decide(scored())
    await calendar.tick(days=3)
    contacting = Calendar(calendar.context._replace(policy=MaxOfferPolicy()), calendar.clock)
    first, second = await contacting.decide(scored(event_id=calendar.sent[0].event_id), scored(event_id="next"))

    assert isinstance(first, PlannedContact)
    assert isinstance(second, Decision)
    assert second.metadata.gate == ("cooldown",)


class BusyStore(SQLiteStore):
    """Once, something happens between finding what is due and doing it."""

    meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def due(self, collection: str, now: datetime, limit: int) -> list[Key]:
        keys = await super().due(collection, now, limit)
        if keys and self.meanwhile:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        return keys


async def test_an_event_that_comes_meanwhile_is_reviewed_on_its_own_day() -> None:
    calendar = await Calendar.of(WaitingPolicy(days=3), store=(store := BusyStore()))
    await calendar.decide(scored())
    store.meanwhile = partial(calendar.decide, scored(event_id="newer", tenure=99.0))
    await calendar.tick(days=3)
    assert (await calendar.tick(days=2))["reviewed"] == 0
    assert (await calendar.tick(days=1))["reviewed"] == 1

    assert calendar.sent[-1].tenure == 99


async def test_who_accepts_while_the_offer_is_ended_has_it_and_is_not_forgotten() -> None:
    calendar = await Calendar.of(MaxOfferPolicy(), store=(store := BusyStore()))
    await calendar.decide(scored())
    calendar.clock.now += timedelta(days=17)
    store.meanwhile = partial(settle, [outcome(scored(), "accepted")], context=calendar.context)
    await calendar.tick()

    plan = (await store.read([(PLANS, "event of customer-1")]))[PLANS, "event of customer-1"]
    assert plan
    assert plan["status"] == "committed"
    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_an_offer_that_has_ended_without_an_answer_gives_its_money_back_once() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    await calendar.decide(scored(), scored("other"))
    await settle([outcome(scored("other"), "accepted")], context=calendar.context)
    stands = calendar.context.offer_duration + GRACE_PERIOD

    assert (await calendar.tick(days=stands.days, minutes=-1))["expired"] == 0
    assert (await calendar.context.ledger.balance()).reserved == 1_500
    assert (await calendar.tick(minutes=2))["expired"] == 1
    assert (await calendar.tick())["expired"] == 0
    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_who_accepted_an_offer_by_another_way_after_it_ended_has_it() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    await calendar.decide(scored())
    await calendar.tick(days=20)
    await settle([outcome(scored(), "accepted")], context=calendar.context)

    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_what_is_old_is_forgotten_and_money_stays_accounted_for() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    store, old = calendar.context.store, NOON.timestamp()
    await calendar.decide(scored(), scored("other"))
    await settle([outcome(scored(), "accepted")], context=calendar.context)
    kept = {(place, "x"): {"due": old} for place in (VERDICTS, DECISIONS)}
    await store.update(list(kept), lambda _: (kept, None))
    balance = await calendar.context.ledger.balance()

    await calendar.tick(days=364)
    assert all((await store.read([(PLANS, "event of customer-1"), (CUSTOMERS, "customer-1")])).values())
    done = await calendar.tick(days=20)
    await calendar.tick(days=365)

    for place in (PLANS, CUSTOMERS, VERDICTS, DECISIONS):
        assert await store.due(place, NOON + timedelta(days=10_000), 10) == []
    assert done["forgotten"] == 0, "they went at once"
    assert balance.committed == 1_500
    assert await calendar.context.ledger.balance() == Shard(allotment=100_000, committed=1_500)


async def test_opting_out_is_never_forgotten() -> None:
    calendar = await Calendar.of(MaxOfferPolicy())
    await calendar.decide(scored(opted_out=True))
    await calendar.tick(days=4_000)
    [decision] = await calendar.decide(scored(event_id="years later"))

    assert isinstance(decision, Decision)
    assert decision.metadata.gate == ("opted-out",)


async def test_many_are_all_looked_at() -> None:
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


async def test_a_scheduler_asks_over_the_web() -> None:
    async with policy() as client:
        answer = await client.post("/reviews")

    assert answer.json() == {"reviewed": 0, "expired": 0, "forgotten": 0}


async def test_where_pushes_show_a_token_the_scheduler_does_too(monkeypatch: pytest.MonkeyPatch) -> None:
    google = Signer("google")
    with key_server(google) as keys:
        monkeypatch.setenv("RETENTION_PUSH_ACCOUNT", ACCOUNT)
        monkeypatch.setenv("RETENTION_CERTS_URL", keys.url)
        async with policy() as client:
            nobody, other, scheduler = [
                await client.post("/reviews", headers={"Authorization": f"Bearer {token}"} if token else {})
                for token in (None, google.token(email="other@example.com"), google.token())
            ]

    assert [nobody.status_code, other.status_code, scheduler.status_code] == [401, 403, 200]

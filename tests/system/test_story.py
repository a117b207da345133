"""The promises, told as stories through all four services on the real models, on the bus and store of one process."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from services import local
from services.policy.budget.ledger import Ledger
from services.policy.handlers import settle
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.messages import Decision, Outcome
from shared.pseudonyms import Pseudonyms
from shared.service import Service
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore
from tests.support.customers import SAM

AFTERNOON = datetime(2026, 6, 15, 20, tzinfo=UTC)
"""Nobody in the United States sleeps."""


class System:
    """The whole system, its clock, and everything that was decided."""

    def __init__(self, store: SQLiteStore, bus: LocalBus, settings: Settings) -> None:
        self.store, self.bus, self.settings = store, bus, settings
        self.now = AFTERNOON
        self.heard: list[Decision] = []
        self.dead: list[Envelope] = []
        self.spent: list[int] = []
        self.services: list[Service] = []

    @classmethod
    async def build(cls, *, copies: int = 1, shuffle: Random | None = None, **settings: object) -> "System":
        fixed = {"writer": "template", **settings}  # what is promised here does not hang on who writes
        house = cls(SQLiteStore(), LocalBus(copies=copies, shuffle=shuffle, batch=16), Settings(**fixed))
        house.services = await local.pipeline(house.settings, house.bus, house.store, lambda: house.now)
        house.bus.subscribe("decisions.test", house._hear)
        house.bus.subscribe("customer-events.scorer.dead.test", house._bury)
        return house

    async def _hear(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.heard += [Decision.parse(e.data, e.id) for e in envelopes]
        self.spent.append((await self.balance()).reserved)
        return [None] * len(envelopes)

    async def _bury(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.dead += envelopes
        return [None] * len(envelopes)

    async def balance(self):
        return await (await Ledger.open(self.store, self.settings.budget, 1)).balance()

    async def publish(self, *events: dict[str, object] | bytes, topic: str = "customer-events") -> list[Decision]:
        """What was decided about these events, in the order it came."""
        before = len(self.heard)
        data = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        await self.bus.publish([Envelope(topic, d, {}, f"message-{n}") for n, d in enumerate(data, before)])
        await self.bus.drain()
        return self.heard[before:]

    async def outcome(self, decision: Decision, outcome: str) -> None:
        message = {"event_id": decision.event_id, "customer_id": decision.customer_id, "outcome": outcome}
        await self.publish(message, topic=Outcome.topic)

    async def tick(self) -> list[Decision]:
        """What is decided because it is due."""
        for service in self.services:
            await service.tick()
        return await self.publish()


@pytest.fixture
async def house() -> AsyncIterator[System]:
    house = await System.build()
    yield house
    house.store.close()


def crowd(n: int, seed: int = 1) -> list[dict[str, object]]:
    """Customers as different as they come."""
    random = Random(seed)
    return [
        {
            "event_id": f"e{i}",
            "customer_id": f"c{i}",
            "name": random.choice(["Ada", "Zoë", "José", None, "<b>Bob"]),
            "tenure": random.randrange(72),
            "monthly_charges": round(random.uniform(18, 119), 2),
            "contract": random.choice(["Month-to-month", "One year", "Two year"]),
            "internet_service": random.choice(["DSL", "Fiber optic", "No"]),
            "payment_method": random.choice(["Electronic check", "Mailed check"]),
            "age": random.choice([None, 25, 40, 70]),
            "previous_outcome": random.choice([None, "success", "failure"]),
            "time_zone": random.choice([None, "Asia/Tokyo", "America/New_York", "Mars/Phobos"]),
        }
        for i in range(n)
    ]


def by_event(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """The decisions, once sure that those of one event are equal in content."""
    found: dict[str, Decision] = {}
    for decision in decisions:
        assert found.setdefault(decision.event_id, decision) == decision
    return found


async def test_the_demo_gets_its_decision(house: System) -> None:
    [decision] = await house.publish(SAM)
    assert decision.customer_id == "C12345"
    assert decision.decision.contact
    assert decision.decision.offer_percentage in (0, 5, 10, 15)
    assert 0 < decision.metadata.churn_risk < 1
    assert 0 < decision.metadata.accept_prob < 1
    assert decision.metadata.expected_value > 0
    assert decision.message is not None
    assert "Sam" in decision.message
    assert 50 <= len(decision.message) <= 200
    assert decision.safety.passed
    assert decision.versions.keys() >= {"scorer", "policy", "messenger"}
    assert decision.times.keys() >= {"scored_at", "decided_at", "drafted_at", "checked_at"}
    assert decision.deliver_after is None


@pytest.mark.parametrize("copies", [1, 2, 3])
async def test_however_often_and_in_whatever_order_events_come_the_decisions_are_the_same(copies: int) -> None:
    events = crowd(30)  # three copies at each of five hops are 243 of each decision
    once = await System.build()
    again = await System.build(copies=copies, shuffle=Random(copies))
    expected, found = by_event(await once.publish(*events)), by_event(await again.publish(*events))
    assert found == expected
    assert set(found) == {e["event_id"] for e in events}
    assert any(d.decision.contact for d in found.values())
    assert (await again.balance()) == (await once.balance())


@pytest.mark.parametrize(("copies", "customers", "budget"), [(1, 300, 25.0), (2, 100, 10.0), (3, 40, 7.0)])
async def test_the_budget_holds_and_is_used_when_it_is_short(copies: int, customers: int, budget: float) -> None:
    house = await System.build(copies=copies, shuffle=Random(7), budget=budget)
    decisions = by_event(await house.publish(*crowd(customers)))
    balance = await house.balance()
    assert len(decisions) == customers
    assert max(house.spent) <= 100 * budget
    assert balance.reserved == round(100 * sum(d.metadata.reserved for d in decisions.values()))
    assert balance.free < 600  # five percent of the dearest bill
    assert any("over budget" in reason for d in decisions.values() for reason in d.metadata.gate)


async def test_a_customer_is_not_bothered_again_before_the_cooldown_is_over(house: System) -> None:
    first, second = await house.publish({**SAM, "event_id": "a"}), await house.publish({**SAM, "event_id": "b"})
    house.now += timedelta(days=house.settings.cooldown_days, seconds=1)
    third = await house.publish({**SAM, "event_id": "c"})
    assert [d.decision.contact for d in (*first, *second, *third)] == [True, False, True]
    assert second[0].metadata.gate == ("cooldown",)


async def test_nobody_is_contacted_more_often_than_the_cap(house: System) -> None:
    contacts = 0
    for day in range(80):
        house.now = AFTERNOON + timedelta(days=day)
        [decision] = await house.publish({**SAM, "event_id": f"e{day}"})
        contacts += decision.decision.contact
    assert contacts == house.settings.fatigue_cap


async def test_who_opted_out_is_never_contacted_again(house: System) -> None:
    [first] = await house.publish({**SAM, "event_id": "a"})
    await house.outcome(first, "opted-out")
    house.now += timedelta(days=365)
    [later] = await house.publish({**SAM, "event_id": "b"})
    assert not later.decision.contact
    assert later.metadata.gate == ("opted-out",)


async def test_who_opts_out_while_the_message_is_drafted_does_not_get_it(house: System) -> None:
    """The policy has decided; the shield reads consent last, gives the budget back, and the contact never was."""
    held: list[Envelope] = []

    def hold(subscription: str, envelope: Envelope) -> bool:
        if subscription != "planned-contacts.messenger":
            return True
        held.append(envelope)
        return False

    with house.bus.tap(hold):
        await house.publish({**SAM, "event_id": "a"})
    await house.publish({"event_id": "a", "customer_id": SAM["customer_id"], "outcome": "opted-out"}, topic="outcomes")
    await house.bus.publish(held)
    await house.bus.drain()
    [decision] = house.heard
    assert not decision.decision.contact
    assert decision.message is None
    assert decision.safety.violations == ("opted-out",)
    assert (await house.balance()).reserved == 0


async def test_who_texts_stop_out_of_the_blue_is_never_contacted(house: System) -> None:
    stop = {"customer_id": SAM["customer_id"], "outcome": "replied", "text": "Leave me alone!"}
    await house.publish(stop, topic="outcomes")
    [decision] = await house.publish(SAM)
    assert not decision.decision.contact
    assert decision.metadata.gate == ("opted-out",)


async def test_who_texts_keep_has_the_offer(house: System) -> None:
    [decision] = await house.publish(SAM)
    await house.publish({"customer_id": SAM["customer_id"], "outcome": "replied", "text": "keep"}, topic="outcomes")
    balance = await house.balance()
    assert (balance.reserved, balance.committed) == (0, round(100 * decision.metadata.reserved))


async def test_who_waits_for_money_is_looked_at_again_the_day_after_and_has_it_when_it_is_there() -> None:
    house = await System.build(budget=15)
    decisions = await house.publish(*crowd(100))
    waiting = {d.customer_id for d in decisions if d.decision.delay_days == 1 and not d.decision.contact}
    due = {d.customer_id for d in decisions if d.decision.delay_days == 1}
    offered = [d for d in decisions if d.decision.offer_level]
    assert waiting
    assert offered
    assert await house.tick() == []
    for decision in offered:
        await house.outcome(decision, "declined")
    house.now += timedelta(days=1)
    again = await house.tick()
    assert sorted(d.customer_id for d in again) == sorted(due)
    assert any(d.decision.offer_level for d in again if d.customer_id in waiting)
    assert await house.tick() == [], "once each"


async def test_logs_name_nobody(
    house: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(text: str) -> bool:
        raise RuntimeError("a fault of ours")

    telemetry.start()
    try:
        await house.publish({**SAM, "event_id": "a"}, {"event_id": "b", "customer_id": "C12345", "tenure": -1})
        await house.publish({"customer_id": "C12345", "outcome": "replied", "text": "STOP, says Sam"}, topic="outcomes")
        await house.publish({"customer_id": "C12345", "outcome": "accepted", "event_id": "never"}, topic="outcomes")
        await house.publish({"customer_id": "C12345", "outcome": "erased"}, topic="outcomes")
        monkeypatch.setattr(settle, "says_stop", breaks)
        await house.publish({"customer_id": "C12345", "outcome": "replied", "text": "Sam says no"}, topic="outcomes")
    finally:
        logging.getLogger("retention").handlers = []
        logging.getLogger("retention").propagate = True
    said = capsys.readouterr().err
    assert {"dead_letters", "unknown_time_zone", "early", "handler failed", "erased"} <= {
        json.loads(line)["message"] for line in said.splitlines()
    }
    assert "C12345" not in said
    assert "Sam" not in said
    assert Pseudonyms(LOCAL_HASH_KEY).of("C12345") in said


async def test_a_message_at_night_waits_for_the_morning_where_the_customer_is(house: System) -> None:
    [decision] = await house.publish({**SAM, "time_zone": "Asia/Tokyo"})  # 05:00 there
    assert decision.deliver_after == datetime(2026, 6, 15, 23, tzinfo=UTC)


async def test_the_holdout_is_left_alone_and_marked(house: System) -> None:
    house = await System.build(holdout_share=1)
    [decision] = await house.publish(SAM)
    assert not decision.decision.contact
    assert decision.metadata.holdout


async def test_a_risk_that_the_caller_knows_replaces_the_models(house: System) -> None:
    [decision] = await house.publish({**SAM, "churn_risk": 0.65})
    assert decision.metadata.churn_risk == 0.65
    assert decision.metadata.churn_risk_source == "caller"


async def test_what_an_offer_costs_is_what_is_reserved_and_what_became_of_it(house: System) -> None:
    decisions = await house.publish(*crowd(200))
    offered = [d for d in decisions if d.decision.offer_level]
    reserved = round(100 * sum(d.metadata.reserved for d in offered))
    assert (await house.balance()).reserved == reserved > 0
    for decision in offered[::2]:
        await house.outcome(decision, "accepted")
    for decision in offered[1::2]:
        await house.outcome(decision, "declined")
    balance = await house.balance()
    assert balance.reserved == 0
    assert balance.committed == round(100 * sum(d.metadata.reserved for d in offered[::2]))


async def test_poison_among_events_stops_nothing_and_is_kept(house: System) -> None:
    decisions = await house.publish(b"not JSON", {**SAM, "event_id": "a"}, {"customer_id": "c", "tenure": -1})
    assert [d.event_id for d in decisions] == ["a"]
    assert len(house.dead) == 2


async def test_an_id_alone_is_enough_for_a_decision(house: System) -> None:
    [decision] = await house.publish({"customer_id": "nobody"})
    assert 0 <= decision.metadata.churn_risk <= 1
    assert decision.decision.offer_level == 0


async def test_redelivery_anywhere_along_the_way_changes_nothing(house: System) -> None:
    """Each service's input is sent again, alone, after all is done."""
    delivered: dict[str, list[Envelope]] = {
        "customer-events.scorer": [],
        "scored-customers.policy": [],
        "planned-contacts.messenger": [],
        "drafted-messages.shield": [],
    }

    def record(subscription: str, envelope: Envelope) -> bool:
        delivered.get(subscription, []).append(envelope)
        return True

    with house.bus.tap(record):
        first = by_event(await house.publish(*crowd(40)))
    balance = await house.balance()
    house.now += timedelta(hours=9)
    assert all(delivered.values())
    for envelopes in delivered.values():
        await house.bus.publish(envelopes)
        await house.bus.drain()
    assert by_event(house.heard) == first
    assert len(house.heard) > 2 * len(first)
    assert await house.balance() == balance

"""The promises, told as stories through all four services on the real models, on the bus and store of one process."""

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from services import local
from services.policy.budget.ledger import Ledger, Shard
from services.policy.replies.reader import ReplyKind, ReplyReader
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.messages import Decision, Outcome
from shared.pseudonyms import Pseudonyms
from shared.service import Service
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore
from tests.policy.builders import KeywordReader
from tests.support.customers import SAM

AFTERNOON = datetime(2026, 6, 15, 20, tzinfo=UTC)
"""Outside quiet hours everywhere in the United States."""


class System:
    """All services in one process, their clock, and what they decided."""

    def __init__(self, store: SQLiteStore, bus: LocalBus, settings: Settings) -> None:
        self.store, self.bus, self.settings = store, bus, settings
        self.now = AFTERNOON
        self.decisions: list[Decision] = []
        self.dead_letters: list[Envelope] = []
        self.reserved: list[int] = []
        """Cents reserved in all, at each delivery of decisions."""
        self.services: list[Service] = []

    @classmethod
    async def build(cls, *, copies: int = 1, shuffle: Random | None = None, **settings: Any) -> "System":
        settings = {"writer": "template", **settings}  # these promises do not depend on the writer
        system = cls(SQLiteStore(), LocalBus(copies=copies, shuffle=shuffle, batch=16), Settings(**settings))
        system.services = await local.pipeline(system.settings, system.bus, system.store, lambda: system.now)
        system.bus.subscribe("decisions.test", system._receive_decisions)
        system.bus.subscribe("customer-events.scorer.dead.test", system._receive_dead_letters)
        return system

    async def _receive_decisions(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.decisions += [Decision.parse(e.data, e.id) for e in envelopes]
        self.reserved.append((await self.balance()).reserved)
        return [None] * len(envelopes)

    async def _receive_dead_letters(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.dead_letters += envelopes
        return [None] * len(envelopes)

    async def balance(self) -> Shard:
        return await (await Ledger.open(self.store, self.settings.budget, 1)).balance()

    async def publish(self, *events: Mapping[str, object] | bytes, topic: str = "customer-events") -> list[Decision]:
        """The decisions on these events, in order of arrival."""
        before = len(self.decisions)
        data = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        await self.bus.publish([Envelope(topic, d, {}, f"message-{n}") for n, d in enumerate(data, before)])
        await self.bus.drain()
        return self.decisions[before:]

    async def outcome(self, decision: Decision, outcome: str) -> None:
        message = {"event_id": decision.event_id, "customer_id": decision.customer_id, "outcome": outcome}
        await self.publish(message, topic=Outcome.topic)

    async def tick(self) -> list[Decision]:
        """The decisions that are due."""
        for service in self.services:
            await service.tick()
        return await self.publish()


@pytest.fixture
async def system() -> AsyncIterator[System]:
    system = await System.build()
    yield system
    system.store.close()


def make_customers(number: int, seed: int = 1) -> list[dict[str, object]]:
    """Events of different customers."""
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
        for i in range(number)
    ]


def by_event(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """The decision of each event; several of one event must be equal."""
    result: dict[str, Decision] = {}
    for decision in decisions:
        assert result.setdefault(decision.event_id, decision) == decision
    return result


async def test_the_readmes_customer_gets_a_decision(system: System) -> None:
    [decision] = await system.publish(SAM)
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


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 2, 3])
async def test_decisions_do_not_depend_on_the_order_or_number_of_deliveries(copies: int) -> None:
    events = make_customers(30)  # three copies at each of five hops are 243 of each decision
    once = await System.build()
    again = await System.build(copies=copies, shuffle=Random(copies))
    expected, decisions = by_event(await once.publish(*events)), by_event(await again.publish(*events))
    assert decisions == expected
    assert set(decisions) == {e["event_id"] for e in events}
    assert any(d.decision.contact for d in decisions.values())
    assert (await again.balance()) == (await once.balance())


@pytest.mark.parametrize(("copies", "customers", "budget"), [(1, 300, 25.0), (2, 100, 10.0), (3, 40, 7.0)])
async def test_a_short_budget_is_never_exceeded_and_is_used_up(copies: int, customers: int, budget: float) -> None:
    system = await System.build(copies=copies, shuffle=Random(7), budget=budget)
    decisions = by_event(await system.publish(*make_customers(customers)))
    balance = await system.balance()
    assert len(decisions) == customers
    assert max(system.reserved) <= 100 * budget
    assert balance.reserved == round(100 * sum(d.metadata.reserved for d in decisions.values()))
    assert balance.free < 600  # the smallest discount on the highest bill
    assert any("over budget" in reason for d in decisions.values() for reason in d.metadata.gate)


async def test_a_customer_is_not_contacted_again_within_the_cooldown(system: System) -> None:
    first, second = await system.publish({**SAM, "event_id": "a"}), await system.publish({**SAM, "event_id": "b"})
    system.now += timedelta(days=system.settings.cooldown_days, seconds=1)
    third = await system.publish({**SAM, "event_id": "c"})
    assert [d.decision.contact for d in (*first, *second, *third)] == [True, False, True]
    assert second[0].metadata.gate == ("cooldown",)


async def test_a_customer_is_not_contacted_more_often_than_the_fatigue_cap(system: System) -> None:
    contacts = 0
    for day in range(80):
        system.now = AFTERNOON + timedelta(days=day)
        [decision] = await system.publish({**SAM, "event_id": f"e{day}"})
        contacts += decision.decision.contact
    assert contacts == system.settings.fatigue_cap


async def test_a_customer_who_opted_out_is_never_contacted_again(system: System) -> None:
    [first] = await system.publish({**SAM, "event_id": "a"})
    await system.outcome(first, "opted-out")
    system.now += timedelta(days=365)
    [later] = await system.publish({**SAM, "event_id": "b"})
    assert not later.decision.contact
    assert later.metadata.gate == ("opted-out",)


async def test_an_opt_out_while_the_message_is_drafted_stops_it(system: System) -> None:
    """The policy has decided already. The shield checks consent last, releases the money and withholds the message."""
    held: list[Envelope] = []

    def hold(subscription: str, envelope: Envelope) -> bool:
        if subscription != "planned-contacts.messenger":
            return True
        held.append(envelope)
        return False

    with system.bus.tap(hold):
        await system.publish({**SAM, "event_id": "a"})
    await system.publish({"event_id": "a", "customer_id": SAM["customer_id"], "outcome": "opted-out"}, topic="outcomes")
    await system.bus.publish(held)
    await system.bus.drain()
    [decision] = system.decisions
    assert not decision.decision.contact
    assert decision.message is None
    assert decision.safety.violations == ("opted-out",)
    assert (await system.balance()).reserved == 0


async def test_a_customer_who_texts_stop_before_any_contact_is_never_contacted(system: System) -> None:
    stop = {"customer_id": SAM["customer_id"], "outcome": "replied", "text": "Leave me alone!"}
    await system.publish(stop, topic="outcomes")
    [decision] = await system.publish(SAM)
    assert not decision.decision.contact
    assert decision.metadata.gate == ("opted-out",)


async def test_a_customer_who_replies_start_after_stop_is_contacted_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplyReader, "read", lambda self, text: KeywordReader().read(text))
    texts = {"STOP": ("opted-out",), "START": (), "HM": ("unread-reply",)}
    for text, gate in texts.items():
        await system.publish({"customer_id": "C12345", "outcome": "replied", "text": text}, topic="outcomes")
        system.now += timedelta(days=20)
        [decision] = await system.publish({**SAM, "event_id": text})
        assert (decision.decision.contact, decision.metadata.gate) == (not gate, gate)


async def test_an_unclear_reply_while_the_message_is_drafted_stops_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplyReader, "read", lambda self, text: KeywordReader().read(text))
    held: list[Envelope] = []

    def hold(subscription: str, envelope: Envelope) -> bool:
        if subscription == "planned-contacts.messenger":
            held.append(envelope)
        return subscription != "planned-contacts.messenger"

    with system.bus.tap(hold):
        await system.publish({**SAM, "event_id": "a"})
    await system.publish({"customer_id": "C12345", "outcome": "replied", "text": "HM"}, topic="outcomes")
    await system.bus.publish(held)
    await system.bus.drain()
    [decision] = system.decisions
    assert not decision.decision.contact
    assert decision.safety.violations == ("unread-reply",)
    assert (await system.balance()).reserved == 0


async def test_contact_pauses_after_three_bounces_until_a_message_arrives() -> None:
    system = await System.build(cooldown_days=0, fatigue_cap=10)
    contacts = [decision for n in range(4) for decision in await system.publish({**SAM, "event_id": f"e{n}"})]
    for decision in contacts[:3]:
        assert decision.decision.contact
        await system.outcome(decision, "bounced")
    [paused] = await system.publish({**SAM, "event_id": "paused"})
    assert (paused.decision.contact, paused.metadata.gate) == (False, ("bounced",))
    await system.outcome(contacts[3], "delivered")
    [reached] = await system.publish({**SAM, "event_id": "reached"})
    assert reached.metadata.gate == ()


async def test_a_reply_of_keep_accepts_the_offer(system: System) -> None:
    [decision] = await system.publish(SAM)
    await system.publish({"customer_id": SAM["customer_id"], "outcome": "replied", "text": "keep"}, topic="outcomes")
    balance = await system.balance()
    assert (balance.reserved, balance.committed) == (0, round(100 * decision.metadata.reserved))


async def test_a_customer_who_waits_for_money_is_reviewed_the_next_day_and_gets_what_was_released() -> None:
    system = await System.build(budget=15)
    decisions = await system.publish(*make_customers(100))
    waiting = {d.customer_id for d in decisions if d.decision.delay_days == 1 and not d.decision.contact}
    due = {d.customer_id for d in decisions if d.decision.delay_days == 1}
    offered = [d for d in decisions if d.decision.offer_level]
    assert waiting
    assert offered
    assert await system.tick() == []
    for decision in offered:
        await system.outcome(decision, "declined")
    system.now += timedelta(days=1)
    again = await system.tick()
    assert sorted(d.customer_id for d in again) == sorted(due)
    assert any(d.decision.offer_level for d in again if d.customer_id in waiting)
    assert await system.tick() == [], "once each"


async def test_logs_contain_no_personal_data(
    system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(reader: ReplyReader, text: str) -> ReplyKind:
        raise RuntimeError("a fault of ours")

    telemetry.start()
    try:
        await system.publish({**SAM, "event_id": "a"}, {"event_id": "b", "customer_id": "C12345", "tenure": -1})
        await system.publish(
            {"customer_id": "C12345", "outcome": "replied", "text": "STOP, says Sam"}, topic="outcomes"
        )
        await system.publish({"customer_id": "C12345", "outcome": "accepted", "event_id": "never"}, topic="outcomes")
        await system.publish({"customer_id": "C12345", "outcome": "erased"}, topic="outcomes")
        monkeypatch.setattr(ReplyReader, "read", breaks)
        await system.publish({"customer_id": "C12345", "outcome": "replied", "text": "Sam says no"}, topic="outcomes")
    finally:
        logging.getLogger("retention").handlers = []
        logging.getLogger("retention").propagate = True
    logged = capsys.readouterr().err
    assert {"dead_letters", "unknown_time_zone", "early", "handler failed", "erased"} <= {
        json.loads(line)["message"] for line in logged.splitlines()
    }
    assert "C12345" not in logged
    assert "Sam" not in logged
    assert Pseudonyms(LOCAL_HASH_KEY).of("C12345") in logged


async def test_a_message_at_night_waits_for_the_customers_morning(system: System) -> None:
    [decision] = await system.publish({**SAM, "time_zone": "Asia/Tokyo"})  # 05:00 there
    assert decision.deliver_after == datetime(2026, 6, 15, 23, tzinfo=UTC)


async def test_the_holdout_is_not_contacted_and_is_marked(system: System) -> None:
    system = await System.build(holdout_share=1)
    [decision] = await system.publish(SAM)
    assert not decision.decision.contact
    assert decision.metadata.holdout


async def test_a_risk_given_by_the_caller_replaces_the_models(system: System) -> None:
    [decision] = await system.publish({**SAM, "churn_risk": 0.65})
    assert decision.metadata.churn_risk == 0.65
    assert decision.metadata.churn_risk_source == "caller"


async def test_an_offers_cost_is_reserved_and_then_committed_or_released(system: System) -> None:
    decisions = await system.publish(*make_customers(200))
    offered = [d for d in decisions if d.decision.offer_level]
    reserved = round(100 * sum(d.metadata.reserved for d in offered))
    assert (await system.balance()).reserved == reserved > 0
    for decision in offered[::2]:
        await system.outcome(decision, "accepted")
    for decision in offered[1::2]:
        await system.outcome(decision, "declined")
    balance = await system.balance()
    assert balance.reserved == 0
    assert balance.committed == round(100 * sum(d.metadata.reserved for d in offered[::2]))


async def test_malformed_events_stop_nothing_and_become_dead_letters(system: System) -> None:
    decisions = await system.publish(b"not JSON", {**SAM, "event_id": "a"}, {"customer_id": "c", "tenure": -1})
    assert [d.event_id for d in decisions] == ["a"]
    assert len(system.dead_letters) == 2


async def test_an_id_alone_is_enough_for_a_decision(system: System) -> None:
    [decision] = await system.publish({"customer_id": "nobody"})
    assert 0 <= decision.metadata.churn_risk <= 1
    assert decision.decision.offer_level == 0


async def test_redelivery_to_any_service_changes_nothing(system: System) -> None:
    """The input of each service is published again after everything was decided."""
    delivered: dict[str, list[Envelope]] = {
        "customer-events.scorer": [],
        "scored-customers.policy": [],
        "planned-contacts.messenger": [],
        "drafted-messages.shield": [],
    }

    def record(subscription: str, envelope: Envelope) -> bool:
        delivered.get(subscription, []).append(envelope)
        return True

    with system.bus.tap(record):
        first = by_event(await system.publish(*make_customers(40)))
    balance = await system.balance()
    system.now += timedelta(hours=9)
    assert all(delivered.values())
    for envelopes in delivered.values():
        await system.bus.publish(envelopes)
        await system.bus.drain()
    assert by_event(system.decisions) == first
    assert len(system.decisions) > 2 * len(first)
    assert await system.balance() == balance

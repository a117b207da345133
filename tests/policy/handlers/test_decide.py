from collections.abc import Sequence
from datetime import date, datetime, timedelta
from math import inf
from typing import Any

import pytest

from services.policy.budget.ledger import SHARDS, Shard
from services.policy.context import PolicyContext
from services.policy.customer.billing import max_offer_cost
from services.policy.handlers.decide import decide
from services.policy.handlers.settle import settle
from services.policy.policies.base import DecisionContext, Exploration, PolicyAction
from services.policy.policies.one_step import OneStepPolicy
from shared import telemetry
from shared.messages import Action, Decision, PlannedContact, ScoredCustomer
from shared.service import UnprocessableError
from shared.store import CUSTOMERS, Documents, Key, Result, SQLiteStore, Update
from tests.policy.builders import MaxOfferPolicy, RetryingStore, TickingClock, decided, outcome, policy_context, scored
from tests.support.clock import NOON


async def decide_one(customer: ScoredCustomer, context: PolicyContext) -> Decision | PlannedContact:
    [message] = await decided([customer], context)
    return message


async def contact_of(customer: ScoredCustomer, context: PolicyContext) -> PlannedContact:
    """The contact that is planned for a customer."""
    message = await decide_one(customer, context)
    assert isinstance(message, PlannedContact)
    return message


def customers(number: int, **facts: Any) -> list[ScoredCustomer]:
    return [scored(f"customer-{i}", **facts) for i in range(number)]


def reserved(messages: Sequence[Decision | PlannedContact]) -> int:
    """Cents reserved by these decisions."""
    return sum(round(message.metadata.reserved * 100) for message in messages)


async def test_a_contact_is_planned_for_a_customer_at_risk() -> None:
    context = await policy_context()
    customer = scored(versions={"scorer": "7"}, times={"scored_at": NOON}, time_zone="Europe/Madrid")

    contact = await contact_of(customer, context)

    assert contact.event_id == customer.event_id
    assert contact.customer_id == customer.customer_id
    assert contact.decision == Action(
        contact=True, offer_level=2, offer_percentage=10, estimated_retention_prob=1 - 0.8 * (1 - 0.6 * 0.5)
    )
    assert contact.brief.model_dump() == {
        "offer_percentage": 10,
        "expires_on": date(2025, 12, 7),
        "first_name": "Sam",
        "tenure_months": 12,
        "plan": "Pro",
        "concern": None,
    }
    assert contact.time_zone == "Europe/Madrid"
    assert contact.metadata.accept_prob == 0.6
    assert contact.metadata.expected_value == pytest.approx(17.95)
    assert contact.metadata.observation == pytest.approx((0.8, 0.1, 0.3, 0.6, 0.7, 0.5, 1.0, 0.0, 0.0))
    assert contact.metadata.propensity == 1
    assert contact.metadata.policy == "baseline"
    assert contact.metadata.reserved == 10.0
    assert contact.metadata.assumed == ()
    assert contact.versions == {"scorer": "7", "policy": "baseline-2"}
    assert contact.times == {"scored_at": NOON, "decided_at": NOON}
    assert await context.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)


async def test_a_decision_without_contact_is_published_at_once() -> None:
    context = await policy_context()

    decision = await decide_one(scored(churn_risk=0.0), context)

    assert isinstance(decision, Decision)
    assert decision.decision == Action(contact=False, estimated_retention_prob=1.0)
    assert decision.message is None
    assert decision.deliver_after is None
    assert decision.safety.passed
    assert decision.metadata.reserved == 0
    assert decision.metadata.propensity == 1
    assert (await context.ledger.balance()).reserved == 0
    assert isinstance(await decide_one(scored(event_id="next"), context), PlannedContact), "no cooldown follows"


async def test_a_contact_without_a_discount_has_no_expiry_and_reserves_nothing() -> None:
    context = await policy_context(budget=0)

    contact = await contact_of(scored(), context)

    assert contact.decision.contact
    assert contact.decision.offer_percentage == 0
    assert contact.brief.expires_on is None
    assert contact.metadata.reserved == 0
    assert contact.metadata.gate == tuple(f"offer {percent} %: over budget" for percent in (5, 10, 15))


async def test_an_unknown_bill_is_reported_as_assumed() -> None:
    contact = await decide_one(scored(monthly_charges=None), await policy_context())

    assert contact.metadata.assumed == ("monthly_charges",)
    assert contact.decision.offer_percentage == 0


async def test_a_bill_in_doubt_is_counted_and_not_believed() -> None:
    before = telemetry.counts["bill_in_doubt"]
    context = await policy_context(policy=MaxOfferPolicy(), max_bill=6_500.0)
    contact = await contact_of(scored(monthly_charges=8_999.0), context)
    assert contact.decision.offer_percentage == 0
    assert contact.metadata.assumed == ("monthly_charges",)
    assert telemetry.counts["bill_in_doubt"] == before + 1


async def test_a_note_for_a_name_is_counted() -> None:
    before = telemetry.counts["customer_note"]
    decision = await decide_one(scored(name="Deceased"), await policy_context(policy=MaxOfferPolicy()))
    assert not decision.decision.contact
    assert decision.metadata.gate == ("customer-note",)
    assert telemetry.counts["customer_note"] == before + 1


async def test_a_customer_in_the_holdout_is_marked_and_not_contacted() -> None:
    decision = await decide_one(scored(), await policy_context(holdout_share=1.0))

    assert isinstance(decision, Decision)
    assert decision.metadata.holdout
    assert decision.metadata.gate == ("holdout",)


async def test_the_next_event_finds_the_customer_in_cooldown() -> None:
    context = await policy_context()
    first, second = await decided([scored(), scored(event_id="next")], context)

    assert isinstance(first, PlannedContact)
    assert isinstance(second, Decision)
    assert second.metadata.gate == ("cooldown",)


async def test_contacts_count_towards_the_cap_for_the_fatigue_window() -> None:
    clock = TickingClock()
    context = await policy_context(clock=clock, cooldown=timedelta(0), fatigue_cap=2, fatigue_window=timedelta(days=90))
    gates = []
    for event in range(4):
        gates.append((await decide_one(scored(event_id=str(event)), context)).metadata.gate)
        clock.now += timedelta(days=31)

    assert gates == [(), (), ("fatigue",), ()]


async def test_an_opt_out_of_one_event_holds_for_the_next() -> None:
    context = await policy_context()
    await decide_one(scored(event_id="one", opted_out=True), context)

    decision = await decide_one(scored(event_id="two"), context)

    assert isinstance(decision, Decision)
    assert decision.metadata.gate == ("opted-out",)


async def test_an_opt_out_is_stored_for_the_shield_and_keeps_the_contacts() -> None:
    context = await policy_context()
    await decide_one(scored(event_id="one"), context)
    await decide_one(scored(event_id="two", opted_out=True), context)

    state_key, suppression_key = (CUSTOMERS, "customer-1"), context.pseudonyms.suppression_key("customer-1")
    documents = await context.store.read([state_key, suppression_key])
    state = documents[state_key]

    assert documents[suppression_key] is not None
    assert state
    assert [contact["event_id"] for contact in state["contacts"]] == ["one"]


@pytest.mark.parametrize("facts", [{}, {"churn_risk": 0.0}, {"monthly_charges": None}, {"opted_out": True}])
async def test_a_repeated_event_has_the_same_message_at_any_time(facts: dict[str, Any]) -> None:
    store, clock = SQLiteStore(), TickingClock()
    customer = scored(**facts)
    first = await decide_one(customer, await policy_context(store, clock=clock))
    clock.now += timedelta(days=400)

    again = await decide_one(customer, await policy_context(store, clock=clock))

    assert again == first
    assert again.model_dump_json() == first.model_dump_json()


async def test_a_repeated_event_reserves_nothing_and_records_no_contact() -> None:
    context = await policy_context()
    await decide_one(scored(), context)
    balance, state = await context.ledger.balance(), await context.store.read([(CUSTOMERS, "customer-1")])

    await decide_one(scored(), context)

    assert await context.ledger.balance() == balance
    assert await context.store.read([(CUSTOMERS, "customer-1")]) == state


@pytest.mark.parametrize("kind", [SQLiteStore, RetryingStore])
@pytest.mark.parametrize("budget", [1_000, 22, 0])
async def test_a_repeated_event_in_a_batch_is_one_decision(kind: type[SQLiteStore], budget: float) -> None:
    context = await policy_context(kind(), budget=budget, shards=2, policy=MaxOfferPolicy())

    first, other, repeat = await decided([scored(), scored("customer-2"), scored()], context)

    assert first == repeat
    assert first.customer_id == "customer-1"
    assert other.customer_id == "customer-2"
    assert (await context.ledger.balance()).reserved == reserved([first, other])


async def test_a_retry_of_an_optimistic_store_counts_once() -> None:
    context = await policy_context(RetryingStore(), budget=100, policy=MaxOfferPolicy(), shards=3)

    messages = await decided(customers(20), context)

    assert (await context.ledger.balance()).reserved == reserved(messages) <= 10_000


async def test_an_event_id_of_another_customer_is_rejected() -> None:
    context = await policy_context()
    await decide_one(scored("customer-1", "event-1"), context)

    with pytest.raises(UnprocessableError, match="'event-1' already belongs to another customer"):
        await decide([scored("customer-2", "event-1")], context=context)


@pytest.mark.parametrize("shards", [1, 3, 40])
@pytest.mark.parametrize("budget", [0, 0.5, 99.99])
@pytest.mark.parametrize("batch", [1, 30, 200])
async def test_the_budget_is_never_exceeded_and_used_up_to_a_remainder(shards: int, budget: float, batch: int) -> None:
    """Every customer gets the highest offer that is free. In the end not one more highest offer could be paid."""
    context = await policy_context(budget=budget, shards=shards, policy=MaxOfferPolicy(), clock=TickingClock())
    everybody, promised = customers(200, monthly_charges=17.0), 0

    for start in range(0, len(everybody), batch):
        promised += reserved(await decided(everybody[start : start + batch], context))
        balance = await context.ledger.balance()
        assert balance.reserved == promised <= balance.allotment == round(budget * 100)

    assert balance.free < max_offer_cost(everybody[0])


async def test_an_offer_is_not_masked_while_another_shard_could_lend_for_it() -> None:
    """The customers of a batch share a shard: it may borrow for each of them."""
    context = await policy_context(budget=60, shards=2, policy=MaxOfferPolicy())
    same_shard = [
        customer for customer in customers(40) if context.ledger.shard_of(customer.customer_id) == (SHARDS, "0")
    ]

    messages = await decided(same_shard[:4], context)

    assert [message.decision.offer_percentage for message in messages] == [15, 15, 15, 15]
    assert (await context.ledger.balance()).free == 0


async def test_a_need_that_no_budget_could_meet_leaves_offers_for_others() -> None:
    context = await policy_context(budget=100, shards=8, policy=MaxOfferPolicy())

    rich, *others = await decided([scored("rich", monthly_charges=1e9), *customers(6)], context)

    assert rich.decision.offer_percentage == 0
    assert [message.decision.offer_percentage for message in others] == [15] * 6


async def test_released_money_is_borrowed_again_after_a_while() -> None:
    clock = TickingClock()
    context = await policy_context(budget=30, shards=4, policy=MaxOfferPolicy(), clock=clock)
    await decide(customers(10), context=context)
    await settle([outcome(c, "declined") for c in customers(10)], context=context)
    clock.now += timedelta(seconds=5)

    messages = await decided([scored(f"late-{i}") for i in range(2)], context)

    assert [message.decision.offer_percentage for message in messages] == [15, 15]


async def test_a_sampled_action_is_logged_with_its_propensity_and_sampled_again_by_a_repeat() -> None:
    context = await policy_context(policy=OneStepPolicy(Exploration(0.5)), cooldown=timedelta(0), fatigue_cap=1_000)
    other_context = await policy_context(
        policy=OneStepPolicy(Exploration(0.5)), cooldown=timedelta(0), fatigue_cap=1_000
    )
    events = [scored(event_id=str(n)) for n in range(60)]
    messages, repeats = await decided(events, context), await decided(events, other_context)

    actions = [(message.decision.contact, message.decision.offer_level) for message in messages]
    assert set(actions) == {(False, 0), (True, 0), (True, 1), (True, 2), (True, 3)}
    for message, (contact, level) in zip(messages, actions, strict=True):
        assert message.metadata.action_probs == pytest.approx((0.1, 0.1, 0.1, 0.6, 0.1))
        assert message.metadata.propensity == message.metadata.action_probs[level + 1 if contact else 0]
    assert [(message.decision.contact, message.decision.offer_level) for message in repeats] == actions


async def test_every_decision_has_its_observation_by_the_limits_of_the_service() -> None:
    context = await policy_context(policy=MaxOfferPolicy(), cooldown=timedelta(days=7), fatigue_cap=4)
    await decide_one(scored(event_id="one"), context)
    decision = await decide_one(scored(event_id="two"), context)

    assert isinstance(decision, Decision), "in the cooldown"
    assert decision.metadata.observation[-3:] == (0.0, 1.0, 0.25)


class CountingStore(SQLiteStore):
    """Counts its reads and updates."""

    calls = 0

    async def read(self, keys: Sequence[Key]) -> Documents:
        self.calls += 1
        return await super().read(keys)

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        self.calls += 1
        return await super().update_all(updates)


async def test_the_price_rises_in_a_burst_and_other_batches_take_one_call_of_the_store() -> None:
    store = CountingStore()
    context = await policy_context(store, budget=1_000, policy=MaxOfferPolicy())
    prices, calls = [], []
    for number in range(12):  # at the same time; each reserves 15 of 1,000
        store.calls = 0
        message = await decide_one(scored(f"customer-{number}"), context)
        prices.append(message.metadata.price)
        calls.append(store.calls)

    assert prices[0] == prices[1] == 1
    assert prices == sorted(prices)
    assert prices[-1] > 2
    assert calls == [1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]


class RecordingPolicy(MaxOfferPolicy):
    """Records its contexts."""

    def __init__(self) -> None:
        self.contexts: list[DecisionContext] = []

    def choose(self, context: DecisionContext) -> PolicyAction:
        self.contexts.append(context)
        return super().choose(context)


async def test_the_policy_knows_the_history_of_the_customer_and_the_price() -> None:
    clock, policy = TickingClock(), RecordingPolicy()
    context = await policy_context(policy=policy, clock=clock)
    first = await decide_one(scored(event_id="one"), context)
    await settle([outcome(scored(event_id="one"), "accepted")], context=context)
    clock.now += timedelta(days=20)
    second = await decide_one(scored(event_id="two"), context)

    before, after = policy.contexts
    assert (before.days_since_contact, before.contacts, before.offer_days_left) == (inf, 0, 0)
    assert (before.price, before.day) == (1.0, 0)
    assert after.days_since_contact == pytest.approx(20, abs=0.001)
    assert (after.contacts, after.offer_days_left, after.day) == (1, 40, 20)
    assert first.metadata.price == 1.0
    assert second.metadata.price == after.price < 1, "little was spent"


async def test_an_empty_batch_has_no_messages() -> None:
    assert await decide([], context=await policy_context()) == []


@pytest.mark.parametrize("hour", [0, 23])
async def test_an_offer_expires_after_its_days(hour: int) -> None:
    def clock() -> datetime:
        return NOON.replace(hour=hour)

    assert (await contact_of(scored(), await policy_context(clock=clock))).brief.expires_on == date(2025, 12, 7)

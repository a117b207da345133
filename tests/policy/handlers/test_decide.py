from collections.abc import Sequence
from datetime import date, datetime, timedelta
from math import inf
from typing import Any

import pytest

from services.policy.budget.ledger import SHARDS, Shard
from services.policy.context import PolicyContext
from services.policy.customer.billing import offer_cost
from services.policy.handlers.decide import decide
from services.policy.handlers.settle import settle
from services.policy.policies.base import DecisionContext, Exploration, PolicyAction
from services.policy.policies.one_step import BaselinePolicy
from shared.messages import Action, Decision, Message, PlannedContact, ScoredCustomer
from shared.service import UnprocessableError
from shared.store import CUSTOMERS, Documents, Key, Result, SQLiteStore, Update
from tests.policy.builders import NOON, LateStore, MaxOfferPolicy, TickingClock, context, outcome, scored


async def decided(customer: ScoredCustomer, at: PolicyContext) -> Any:
    [[message]] = await decide([customer], context=at)
    return message


def crowd(size: int, **facts: Any) -> list[ScoredCustomer]:
    return [scored(f"customer-{i}", **facts) for i in range(size)]


def reserved(messages: list[list[Message]]) -> int:
    decisions = [message for each in messages for message in each]
    return sum(round(m.metadata.reserved * 100) for m in decisions if isinstance(m, Decision | PlannedContact))


async def test_a_customer_at_risk_is_planned_to_be_contacted() -> None:
    at = await context()
    customer = scored(versions={"scorer": "7"}, times={"scored_at": NOON}, time_zone="Europe/Madrid")

    contact = await decided(customer, at)

    assert isinstance(contact, PlannedContact)
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
    assert await at.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)


async def test_whom_it_is_not_worth_contacting_is_decided_at_once() -> None:
    at = await context()

    decision = await decided(scored(churn_risk=0.0), at)

    assert isinstance(decision, Decision)
    assert decision.decision == Action(contact=False, estimated_retention_prob=1.0)
    assert decision.message is None
    assert decision.deliver_after is None
    assert decision.safety.passed
    assert decision.metadata.reserved == 0
    assert decision.metadata.propensity == 1
    assert (await at.ledger.balance()).reserved == 0
    assert isinstance(await decided(scored(event_id="next"), at), PlannedContact), "no cooldown follows"


async def test_a_contact_without_discount_has_no_expiry_and_costs_nothing() -> None:
    at = await context(budget=0)

    contact = await decided(scored(), at)

    assert contact.decision.contact
    assert contact.decision.offer_percentage == 0
    assert contact.brief.expires_on is None
    assert contact.metadata.reserved == 0
    assert contact.metadata.gate == tuple(f"offer {percent} %: over budget" for percent in (5, 10, 15))


async def test_an_unknown_bill_is_said_to_be_assumed() -> None:
    contact = await decided(scored(monthly_charges=None), await context())

    assert contact.metadata.assumed == ("monthly_charges",)
    assert contact.decision.offer_percentage == 0


async def test_the_holdout_is_marked_and_not_contacted() -> None:
    decision = await decided(scored(), await context(holdout_share=1.0))

    assert isinstance(decision, Decision)
    assert decision.metadata.holdout
    assert decision.metadata.gate == ("holdout",)


async def test_a_second_event_finds_the_customer_in_cooldown() -> None:
    at = await context()
    first, second = [message for [message] in await decide([scored(), scored(event_id="next")], context=at)]

    assert isinstance(first, PlannedContact)
    assert isinstance(second, Decision)
    assert second.metadata.gate == ("cooldown",)


async def test_contact_tires_over_its_window() -> None:
    clock = TickingClock()
    at = await context(clock=clock, cooldown=timedelta(0), fatigue_cap=2, fatigue_window=timedelta(days=90))
    gates = []
    for event in range(4):
        gates.append((await decided(scored(event_id=str(event)), at)).metadata.gate)
        clock.now += timedelta(days=31)

    assert gates == [(), (), ("fatigue",), ()]


async def test_an_opt_out_is_remembered_though_the_next_event_does_not_know() -> None:
    at = await context()
    await decided(scored(event_id="one", opted_out=True), at)

    decision = await decided(scored(event_id="two"), at)

    assert isinstance(decision, Decision)
    assert decision.metadata.gate == ("opted-out",)


async def test_an_opt_out_can_be_read_by_the_shield_and_forgets_no_contact() -> None:
    at = await context()
    await decided(scored(event_id="one"), at)
    await decided(scored(event_id="two", opted_out=True), at)

    state_key, suppression_key = (CUSTOMERS, "customer-1"), at.pseudonyms.suppression_key("customer-1")
    documents = await at.store.read([state_key, suppression_key])
    state = documents[state_key]

    assert documents[suppression_key] is not None
    assert state
    assert [contact["event_id"] for contact in state["contacts"]] == ["one"]


@pytest.mark.parametrize("facts", [{}, {"churn_risk": 0.0}, {"monthly_charges": None}, {"opted_out": True}])
async def test_a_repeat_says_the_same_word_for_word_whatever_the_time(facts: dict[str, Any]) -> None:
    store, clock = SQLiteStore(), TickingClock()
    customer = scored(**facts)
    first = await decided(customer, await context(store, clock=clock))
    clock.now += timedelta(days=400)

    again = await decided(customer, await context(store, clock=clock))

    assert again == first
    assert again.model_dump_json() == first.model_dump_json()


async def test_a_repeat_spends_nothing_and_ages_nobody() -> None:
    at = await context()
    await decided(scored(), at)
    balance, state = await at.ledger.balance(), await at.store.read([(CUSTOMERS, "customer-1")])

    await decided(scored(), at)

    assert await at.ledger.balance() == balance
    assert await at.store.read([(CUSTOMERS, "customer-1")]) == state


@pytest.mark.parametrize("kind", [SQLiteStore, LateStore])
@pytest.mark.parametrize("budget", [1_000, 22, 0])
async def test_a_repeat_within_a_batch_is_one_decision(kind: type[SQLiteStore], budget: float) -> None:
    at = await context(kind(), budget=budget, shards=2, policy=MaxOfferPolicy())

    [[one], [other], [third]] = await decide([scored(), scored("customer-2"), scored()], context=at)

    assert one == third
    assert one.customer_id == "customer-1"
    assert other.customer_id == "customer-2"
    assert (await at.ledger.balance()).reserved == reserved([[one], [other]])


async def test_what_an_optimistic_store_had_to_repeat_counts_once() -> None:
    at = await context(LateStore(), budget=100, policy=MaxOfferPolicy(), shards=3)

    messages = await decide(crowd(20), context=at)

    assert (await at.ledger.balance()).reserved == reserved(messages) <= 10_000


async def test_an_event_id_of_another_customer_is_refused_and_tells_nothing() -> None:
    at = await context()
    await decided(scored("customer-1", "event-1"), at)

    with pytest.raises(UnprocessableError, match="'event-1' is of another customer"):
        await decide([scored("customer-2", "event-1")], context=at)


@pytest.mark.parametrize("shards", [1, 3, 40])
@pytest.mark.parametrize("budget", [0, 0.5, 99.99])
@pytest.mark.parametrize("batch", [1, 30, 200])
async def test_the_budget_is_never_exceeded_and_hardly_left_over(shards: int, budget: float, batch: int) -> None:
    """Everybody wants the dearest offer they can get. In the end not even one more dearest offer could be paid."""
    at = await context(budget=budget, shards=shards, policy=MaxOfferPolicy(), clock=TickingClock())
    customers, said = crowd(200, monthly_charges=17.0), 0

    for start in range(0, len(customers), batch):
        said += reserved(await decide(customers[start : start + batch], context=at))
        balance = await at.ledger.balance()
        assert balance.reserved == said <= balance.allotment == round(budget * 100)

    dearest = offer_cost(3, 17.0)
    assert dearest is not None
    assert balance.free < dearest


async def test_nobody_is_told_over_budget_while_another_shard_could_pay() -> None:
    """Many of one batch meet in one shard: each has its own chance to borrow."""
    at = await context(budget=60, shards=2, policy=MaxOfferPolicy())
    crowded = [customer for customer in crowd(40) if at.ledger.shard_of(customer.customer_id) == (SHARDS, "0")]

    messages = await decide(crowded[:4], context=at)

    assert [message.decision.offer_percentage for [message] in messages] == [15, 15, 15, 15]
    assert (await at.ledger.balance()).free == 0


async def test_a_bill_that_no_budget_could_pay_leaves_offers_to_others() -> None:
    at = await context(budget=100, shards=8, policy=MaxOfferPolicy())

    rich, *others = await decide([scored("rich", monthly_charges=1e9), *crowd(6)], context=at)

    assert rich[0].decision.offer_percentage == 0
    assert [message.decision.offer_percentage for [message] in others] == [15] * 6


async def test_released_money_is_found_again_after_a_moment() -> None:
    clock = TickingClock()
    at = await context(budget=30, shards=4, policy=MaxOfferPolicy(), clock=clock)
    await decide(crowd(10), context=at)
    await settle([outcome(c, "declined") for c in crowd(10)], context=at)
    clock.now += timedelta(seconds=5)

    messages = await decide([scored(f"late-{i}") for i in range(2)], context=at)

    assert [message.decision.offer_percentage for [message] in messages] == [15, 15]


async def test_what_is_drawn_is_logged_with_its_probability_and_a_repeat_repeats_it() -> None:
    at = await context(policy=BaselinePolicy(Exploration(0.5)), cooldown=timedelta(0), fatigue_cap=1_000)
    customers = [scored(event_id=str(n)) for n in range(60)]
    said = [message for [message] in await decide(customers, context=at)]
    elsewhere = await context(policy=BaselinePolicy(Exploration(0.5)), cooldown=timedelta(0), fatigue_cap=1_000)

    drawn = [(m.decision.contact, m.decision.offer_level) for m in said]
    assert set(drawn) == {(False, 0), (True, 0), (True, 1), (True, 2), (True, 3)}
    for message, (contact, level) in zip(said, drawn, strict=True):
        assert message.metadata.action_probs == pytest.approx((0.1, 0.1, 0.1, 0.6, 0.1))
        assert message.metadata.propensity == message.metadata.action_probs[level + 1 if contact else 0]
    again = [message for [message] in await decide(customers, context=elsewhere)]
    assert [(m.decision.contact, m.decision.offer_level) for m in again] == drawn


async def test_what_was_seen_is_told_of_every_decision() -> None:
    at = await context(policy=MaxOfferPolicy(), cooldown=timedelta(days=7), fatigue_cap=4)
    await decided(scored(event_id="one"), at)
    decision = await decided(scored(event_id="two"), at)

    assert isinstance(decision, Decision), "in the cooldown"
    assert decision.metadata.observation[-3:] == (0.0, 1.0, 0.25)


class CountingStore(SQLiteStore):
    """How often it was asked."""

    asked = 0

    async def read(self, keys: Sequence[Key]) -> Documents:
        self.asked += 1
        return await super().read(keys)

    async def update_all(self, updates: Sequence[Update[Result]]) -> list[Result]:
        self.asked += 1
        return await super().update_all(updates)


async def test_money_gets_dearer_in_a_burst_and_a_batch_that_spends_little_is_decided_in_one_go() -> None:
    store = CountingStore()
    at = await context(store, budget=1_000, policy=MaxOfferPolicy())
    prices, asked = [], []
    for number in range(12):  # in one instant, each promises 15 of 1,000
        store.asked = 0
        [[said]] = await decide([scored(f"customer-{number}")], context=at)
        prices.append(said.metadata.price)
        asked.append(store.asked)

    assert prices[0] == prices[1] == 1
    assert prices == sorted(prices)
    assert prices[-1] > 2
    assert asked == [1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]


class WatchingPolicy(MaxOfferPolicy):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[DecisionContext] = []

    def choose(self, decision_context: DecisionContext) -> PolicyAction:
        self.shown.append(decision_context)
        return super().choose(decision_context)


async def test_the_policy_is_shown_what_is_remembered_of_the_customer_and_what_money_costs() -> None:
    clock, policy = TickingClock(), WatchingPolicy()
    at = await context(policy=policy, clock=clock)
    first = await decided(scored(event_id="one"), at)
    await settle([outcome(scored(event_id="one"), "accepted")], context=at)
    clock.now += timedelta(days=20)
    second = await decided(scored(event_id="two"), at)

    one, two = policy.shown
    assert (one.days_since_contact, one.contacts, one.offer_days_left, one.price, one.day) == (inf, 0, 0, 1.0, 0)
    assert (two.days_since_contact, two.contacts, two.offer_days_left, two.day) == (
        pytest.approx(20, abs=0.001),
        1,
        40,
        20,
    )
    assert first.metadata.price == 1.0
    assert second.metadata.price == two.price < 1, "little was spent"


async def test_an_empty_batch_decides_nothing() -> None:
    assert await decide([], context=await context()) == []


@pytest.mark.parametrize("hour", [0, 23])
async def test_an_offer_stands_for_its_days(hour: int) -> None:
    def clock() -> datetime:
        return NOON.replace(hour=hour)

    assert (await decided(scored(), await context(clock=clock))).brief.expires_on == date(2025, 12, 7)

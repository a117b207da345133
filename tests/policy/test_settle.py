from datetime import timedelta
from typing import Any

import pytest

from services.policy.handler import Desk, decide, keys_of
from services.policy.ledger import Shard
from services.policy.settle import settle
from services.policy.state import CustomerState
from services.policy.world import WORLD
from shared.messages import Decision, PlannedContact, ScoredCustomer
from shared.service import Unprocessable
from shared.store import CUSTOMERS
from tests.policy.builders import NOON, DearestPolicy, LateStore, TickingClock, desk, outcome, scored


async def offered(at: Desk, customer: ScoredCustomer | None = None) -> ScoredCustomer:
    """A customer who was promised 10 % of 100."""
    customer = customer or scored()
    [[contact]] = await decide([customer], desk=at)
    assert isinstance(contact, PlannedContact)
    return customer


async def report(at: Desk, customer: ScoredCustomer, *words: str) -> None:
    outcomes = [outcome(customer, word) for word in words]
    assert await settle(outcomes, store=at.store, ledger=at.ledger) == [[] for _ in words]


async def gate(at: Desk, **facts: Any) -> tuple[str, ...]:
    [[message]] = await decide([scored(event_id="next", **facts)], desk=at)
    assert isinstance(message, Decision | PlannedContact)
    return message.metadata.gate


async def test_what_is_accepted_is_spent() -> None:
    at = await desk()
    await report(at, await offered(at), "accepted")

    assert await at.ledger.balance() == Shard(allotment=100_000, committed=1_000)


@pytest.mark.parametrize("word", ["declined", "churned", "withheld", "opted-out"])
async def test_what_is_not_accepted_is_free_again(word: str) -> None:
    at = await desk()
    await report(at, await offered(at), word)

    assert await at.ledger.balance() == Shard(allotment=100_000)


@pytest.mark.parametrize("word", ["accepted", "declined", "churned", "withheld", "opted-out"])
async def test_an_outcome_told_thrice_counts_once(word: str) -> None:
    at = await desk(LateStore())
    customer, other = await offered(at), await offered(at, scored("other"))
    await report(at, customer, word)
    once = await at.ledger.balance()

    await report(at, customer, word)
    await report(at, customer, word, word)

    assert await at.ledger.balance() == once
    assert once.reserved == 1_000, f"{other.customer_id} keeps what was promised"


@pytest.mark.parametrize(
    ("first", "then"), [("accepted", "declined"), ("declined", "accepted"), ("accepted", "withheld")]
)
async def test_the_first_outcome_settles_the_money(first: str, then: str) -> None:
    at = await desk()
    customer = await offered(at)
    await report(at, customer, first)
    settled = await at.ledger.balance()

    await report(at, customer, then)

    assert await at.ledger.balance() == settled


async def test_where_nothing_was_reserved_nothing_is_settled() -> None:
    at = await desk(budget=0)
    await report(at, await offered(at), "accepted")

    assert await at.ledger.balance() == Shard()


async def test_a_withheld_message_was_no_contact() -> None:
    at = await desk()
    await report(at, await offered(at), "withheld")

    assert await gate(at) == ()


async def test_a_withheld_message_does_not_undo_other_contacts() -> None:
    at = await desk()
    await offered(at)
    [[never]] = await decide([scored(event_id="in cooldown")], desk=at)
    assert isinstance(never, Decision)
    await report(at, scored(event_id="in cooldown"), "withheld")

    assert await gate(at) == ("cooldown",)


@pytest.mark.parametrize("word", ["accepted", "declined", "churned"])
async def test_a_message_that_was_sent_stays_a_contact(word: str) -> None:
    at = await desk()
    await report(at, await offered(at), word)

    assert "cooldown" in await gate(at)


async def test_opting_out_ends_contact_even_where_nobody_was_contacted() -> None:
    at = await desk(holdout_share=1.0)
    await decide([scored()], desk=at)
    await report(at, scored(), "opted-out")

    assert await gate(at) == ("opted-out", "holdout")


async def test_a_withheld_message_does_not_undo_an_opt_out() -> None:
    at = await desk()
    customer = await offered(at)
    await report(at, customer, "opted-out", "withheld")

    assert await gate(at) == ("opted-out",)


async def held(at: Desk, customer: str = "customer-1") -> CustomerState:
    return CustomerState.of((await at.store.read([(CUSTOMERS, customer)]))[CUSTOMERS, customer])


@pytest.mark.parametrize("times", [1, 3])
async def test_an_accepted_offer_holds_for_its_levels_days_from_the_decision_on(times: int) -> None:
    clock = TickingClock()
    at = await desk(LateStore(), clock=clock)
    customer = await offered(at)
    decided_at = clock.now
    clock.now += timedelta(days=3)
    await report(at, customer, *["accepted"] * times)

    assert (await held(at)).held_until == decided_at + timedelta(days=WORLD.held_days[2])
    assert (await held(at)).days_held(decided_at) == 50
    assert (await held(at)).days_held(decided_at + timedelta(days=3, hours=1)) == 47
    assert (await held(at)).days_held(decided_at + timedelta(days=50)) == 0


@pytest.mark.parametrize("words", [["declined"], ["churned"], ["declined", "accepted"], ["withheld", "accepted"]])
async def test_what_was_not_accepted_first_holds_nothing(words: list[str]) -> None:
    at = await desk()
    await report(at, await offered(at), *words)

    assert (await held(at)).held_until is None


async def test_where_nobody_was_contacted_nothing_holds() -> None:
    at = await desk(holdout_share=1.0)
    await decide([scored()], desk=at)
    await report(at, scored(), "accepted")

    assert (await held(at)).held_until is None


async def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    clock = TickingClock()
    at = await desk(policy=DearestPolicy(), clock=clock)
    first = await offered(at)
    until = clock.now + timedelta(days=60)
    clock.now += timedelta(days=15)
    second = await offered(at, scored(event_id="next", monthly_charges=None))
    await report(at, first, "accepted")
    await report(at, second, "accepted")

    assert (await held(at)).held_until == until
    assert [contact.level for contact in (await held(at)).contacts] == [3, 0]


async def test_what_was_expected_of_an_offer_is_no_longer_once_it_is_settled() -> None:
    at = await desk()
    customers = [await offered(at, scored(name)) for name in ("one", "other")]
    assert (await at.ledger.balance()).awaited == 2 * 600  # accepted with 0.6, and then 10 % of 100
    await report(at, customers[0], "accepted")
    await report(at, customers[1], "declined")

    assert await at.ledger.balance() == Shard(allotment=100_000, committed=1_000)


async def test_what_was_planned_before_expectations_were_kept_is_settled() -> None:
    at = await desk()
    customer = await offered(at)
    plan, _, shard = keys_of(customer, at.ledger)
    found = await at.store.read([plan, shard])
    yesterdays = {
        key: {name: value for name, value in (document or {}).items() if name != "awaited"}
        for key, document in found.items()
    }
    await at.store.update([plan, shard], lambda _: yesterdays)
    await report(at, customer, "accepted")

    assert await at.ledger.balance() == Shard(allotment=100_000, committed=1_000)


def test_a_customer_remembered_before_offers_held_is_understood() -> None:
    state = CustomerState.of({"contacts": [{"event_id": "e", "at": "2025-11-23T12:00:00Z"}], "opted_out": False})

    assert state.days_held(NOON) == 0
    assert state.contacts[0].level == 0


async def test_what_became_of_an_unknown_event_cannot_be_settled() -> None:
    at = await desk()

    with pytest.raises(Unprocessable, match="no decision for event 'event of customer-1'"):
        await report(at, scored(), "accepted")


async def test_nobody_settles_for_another_customer() -> None:
    at = await desk()
    customer = await offered(at)

    with pytest.raises(Unprocessable):
        await report(at, scored("thief", customer.event_id), "accepted")
    with pytest.raises(Unprocessable):
        await report(at, scored("thief", customer.event_id), "opted-out")

    assert await at.ledger.balance() == Shard(allotment=100_000, reserved=1_000, awaited=600)


async def test_one_bad_outcome_settles_none_of_its_batch() -> None:
    """The service then tries them one by one."""
    at = await desk()
    customer = await offered(at)
    outcomes = [outcome(customer, "accepted"), outcome(scored("nobody"), "accepted")]

    with pytest.raises(Unprocessable):
        await settle(outcomes, store=at.store, ledger=at.ledger)

    assert (await at.ledger.balance()).committed == 0

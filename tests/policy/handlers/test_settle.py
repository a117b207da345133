import json
from datetime import timedelta
from itertools import combinations, permutations
from typing import Any

import pytest

from services.policy.budget.ledger import Shard
from services.policy.context import DecisionKeys, PolicyContext
from services.policy.customer.state import CustomerState
from services.policy.handlers.decide import decide
from services.policy.handlers.settle import MAX_LEAD, settle, status_of
from services.policy.response.model import RESPONSE_MODEL
from shared.messages import Decision, Outcome, PlannedContact, ScoredCustomer
from shared.service import NotReadyError, UnprocessableError
from shared.store import CUSTOMERS, Documents, SQLiteStore
from tests.policy.builders import NOON, LateStore, MaxOfferPolicy, TickingClock, context, outcome, scored

WORDS = ("accepted", "declined", "churned", "retained", "delivered", "bounced", "opted-out", "replied", "withheld")


async def offered(at: PolicyContext, customer: ScoredCustomer | None = None) -> ScoredCustomer:
    """A customer who was promised 10 % of 100."""
    customer = customer or scored()
    [[contact]] = await decide([customer], context=at)
    assert isinstance(contact, PlannedContact)
    return customer


async def report(at: PolicyContext, customer: ScoredCustomer, *words: str) -> None:
    outcomes = [outcome(customer, word) for word in words]
    assert await settle(outcomes, context=at) == [[] for _ in words]


async def gate(at: PolicyContext, **facts: Any) -> tuple[str, ...]:
    [[message]] = await decide([scored(event_id="next", **facts)], context=at)
    assert isinstance(message, Decision | PlannedContact)
    return message.metadata.gate


async def test_what_is_accepted_is_spent() -> None:
    at = await context()
    await report(at, await offered(at), "accepted")

    assert await at.ledger.balance() == Shard(allotment=100_000, committed=1_000)


@pytest.mark.parametrize("word", ["declined", "churned", "withheld", "opted-out", "bounced"])
async def test_what_is_not_accepted_is_free_again(word: str) -> None:
    at = await context()
    await report(at, await offered(at), word)

    assert await at.ledger.balance() == Shard(allotment=100_000)


@pytest.mark.parametrize("word", ["delivered", "retained"])
async def test_what_decides_nothing_leaves_the_promise(word: str) -> None:
    at = await context()
    await report(at, await offered(at), word)

    assert await at.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)


@pytest.mark.parametrize("word", WORDS)
async def test_an_outcome_told_thrice_counts_once(word: str) -> None:
    at = await context(LateStore())
    customer, other = await offered(at), await offered(at, scored("other"))
    await report(at, customer, word)
    once = await at.ledger.balance()

    await report(at, customer, word)
    await report(at, customer, word, word)

    assert await at.ledger.balance() == once
    assert once.reserved == (2_000 if status_of({word}) == "reserved" else 1_000), (
        f"{other.customer_id} keeps what was promised"
    )


def kept(at: PolicyContext) -> Documents:
    """All that is kept, but for times of the clock."""
    assert isinstance(at.store, SQLiteStore)
    return {key: document for key, document in at.store.snapshot().items() if key[0] != "budget"}


@pytest.mark.parametrize("words", [*combinations(WORDS, 2), *combinations(WORDS, 3)])
async def test_in_whatever_order_and_however_often_outcomes_come_the_end_is_the_same(words: tuple[str, ...]) -> None:
    ends = []
    for order in permutations(words):
        at = await context(LateStore())
        await offered(at, other := scored("other"))
        customer = await offered(at)
        await report(at, customer, *order)
        for word in (*order, *order[::-1]):
            await report(at, customer, word)
        balance = await at.ledger.balance()
        assert balance.reserved in (1_000, 2_000), f"{other.customer_id} keeps what was promised"
        assert balance.committed == (1_000 if status_of(words) == "committed" else 0)
        ends.append(kept(at))

    assert all(end == ends[0] for end in ends)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"declined", "accepted"}, "committed"),
        ({"accepted", "opted-out"}, "committed"),
        ({"accepted", "churned"}, "committed"),
        ({"accepted", "expired"}, "committed"),
        ({"accepted", "withheld"}, "released"),
        ({"delivered", "replied"}, "reserved"),
        ({"delivered", "bounced"}, "released"),
    ],
)
def test_who_accepts_has_the_discount_unless_it_was_never_offered(words: set[str], status: str) -> None:
    assert status_of(words) == status


async def test_who_accepts_when_the_money_given_back_is_spent_is_kept_for_somebody_to_see() -> None:
    at = await context(budget=10)
    customer = await offered(at)
    await report(at, customer, "declined")
    await offered(at, scored("other"))  # for the same money

    with pytest.raises(
        UnprocessableError, match="the money for event 'event of customer-1', given back before, is spent"
    ):
        await report(at, customer, "accepted")
    assert await at.ledger.balance() == Shard(allotment=1_000, reserved=1_000, expected_cost=600)

    await report(at, scored("other"), "declined")
    await report(at, customer, "accepted")
    assert await at.ledger.balance() == Shard(allotment=1_000, committed=1_000)


async def test_who_accepts_late_is_paid_by_another_shard_where_theirs_is_dry() -> None:
    at = await context(budget=20, shards=2)
    customer = await offered(at)
    await report(at, customer, "declined")
    shard = at.ledger.shard_of(customer.customer_id)
    neighbour = next(f"customer-{n}" for n in range(2, 50) if at.ledger.shard_of(f"customer-{n}") == shard)
    await offered(at, scored(neighbour))

    await report(at, customer, "accepted")

    assert await at.ledger.balance() == Shard(allotment=2_000, reserved=1_000, expected_cost=600, committed=1_000)


async def test_where_nothing_was_reserved_nothing_is_settled() -> None:
    at = await context(budget=0)
    await report(at, await offered(at), "accepted")

    assert await at.ledger.balance() == Shard()


async def test_a_withheld_message_was_no_contact() -> None:
    at = await context()
    await report(at, await offered(at), "withheld")

    assert await gate(at) == ()


async def test_a_withheld_message_does_not_undo_other_contacts() -> None:
    at = await context()
    await offered(at)
    [[never]] = await decide([scored(event_id="in cooldown")], context=at)
    assert isinstance(never, Decision)
    await report(at, scored(event_id="in cooldown"), "withheld")

    assert await gate(at) == ("cooldown",)


@pytest.mark.parametrize("word", ["accepted", "declined", "churned"])
async def test_a_message_that_was_sent_stays_a_contact(word: str) -> None:
    at = await context()
    await report(at, await offered(at), word)

    assert "cooldown" in await gate(at)


async def test_opting_out_ends_contact_even_where_nobody_was_contacted() -> None:
    at = await context(holdout_share=1.0)
    await decide([scored()], context=at)
    await report(at, scored(), "opted-out")

    assert await gate(at) == ("opted-out", "holdout")


async def test_a_withheld_message_does_not_undo_an_opt_out() -> None:
    at = await context()
    customer = await offered(at)
    await report(at, customer, "opted-out", "withheld")

    assert await gate(at) == ("opted-out",)


async def offer_days_left(at: PolicyContext, customer: str = "customer-1") -> CustomerState:
    return CustomerState.from_document((await at.store.read([(CUSTOMERS, customer)]))[CUSTOMERS, customer])


@pytest.mark.parametrize("times", [1, 3])
async def test_an_accepted_offer_holds_for_its_levels_days_from_the_decision_on(times: int) -> None:
    clock = TickingClock()
    at = await context(LateStore(), clock=clock)
    customer = await offered(at)
    decided_at = clock.now
    clock.now += timedelta(days=3)
    await report(at, customer, *["accepted"] * times)

    assert (await offer_days_left(at)).offer_ends_at == decided_at + timedelta(days=RESPONSE_MODEL.effect_days[2])
    assert (await offer_days_left(at)).offer_days_left(decided_at) == 50
    assert (await offer_days_left(at)).offer_days_left(decided_at + timedelta(days=3, hours=1)) == 47
    assert (await offer_days_left(at)).offer_days_left(decided_at + timedelta(days=50)) == 0


@pytest.mark.parametrize("words", [["declined"], ["churned"], ["withheld", "accepted"], ["accepted", "withheld"]])
async def test_what_was_not_accepted_or_never_sent_holds_nothing(words: list[str]) -> None:
    at = await context()
    await report(at, await offered(at), *words)

    assert (await offer_days_left(at)).offer_ends_at is None


async def test_where_nobody_was_contacted_nothing_holds() -> None:
    at = await context(holdout_share=1.0)
    await decide([scored()], context=at)
    await report(at, scored(), "accepted")

    assert (await offer_days_left(at)).offer_ends_at is None


async def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    clock = TickingClock()
    at = await context(policy=MaxOfferPolicy(), clock=clock)
    first = await offered(at)
    until = clock.now + timedelta(days=60)
    clock.now += timedelta(days=15)
    second = await offered(at, scored(event_id="next", monthly_charges=None))
    await report(at, first, "accepted")
    await report(at, second, "accepted")

    assert (await offer_days_left(at)).offer_ends_at == until
    assert [contact.level for contact in (await offer_days_left(at)).contacts] == [3, 0]


async def test_what_was_expected_of_an_offer_is_no_longer_once_it_is_settled() -> None:
    at = await context()
    customers = [await offered(at, scored(name)) for name in ("one", "other")]
    assert (await at.ledger.balance()).expected_cost == 2 * 600  # accepted with 0.6, and then 10 % of 100
    await report(at, customers[0], "accepted")
    await report(at, customers[1], "declined")

    assert await at.ledger.balance() == Shard(allotment=100_000, committed=1_000)


async def test_what_was_planned_before_expectations_were_kept_is_settled() -> None:
    at = await context()
    customer = await offered(at)
    plan, _, _, shard = DecisionKeys.of(customer.event_id, customer.customer_id, at)
    found = await at.store.read([plan, shard])
    yesterdays = {
        key: {name: value for name, value in (document or {}).items() if name not in ("awaited", "outcomes", "until")}
        for key, document in found.items()
    }
    await at.store.update([plan, shard], lambda _: (yesterdays, None))
    await report(at, customer, "accepted")

    assert await at.ledger.balance() == Shard(allotment=100_000, committed=1_000)


def test_a_customer_remembered_before_offers_held_is_understood() -> None:
    state = CustomerState.from_document(
        {"contacts": [{"event_id": "e", "at": "2025-11-23T12:00:00Z"}], "opted_out": False}
    )

    assert state.offer_days_left(NOON) == 0
    assert state.contacts[0].level == 0


async def test_an_outcome_ahead_of_its_decision_comes_again_until_it_is_there() -> None:
    at = await context()
    with pytest.raises(NotReadyError, match="no decision for event 'event of customer-1' yet"):
        await report(at, scored(), "accepted")

    await report(at, await offered(at), "accepted")

    assert (await at.ledger.balance()).committed == 1_000


async def test_what_became_of_an_event_that_never_was_is_given_up_after_a_while() -> None:
    clock = TickingClock()
    at = await context(clock=clock)
    with pytest.raises(NotReadyError):
        await report(at, scored(), "accepted")
    clock.now += MAX_LEAD - timedelta(minutes=1)
    with pytest.raises(NotReadyError):
        await report(at, scored(), "accepted")
    clock.now += timedelta(minutes=1)

    with pytest.raises(UnprocessableError, match="no decision for event 'event of customer-1' of that customer"):
        await report(at, scored(), "accepted")


async def test_an_outcome_ahead_of_its_decision_holds_up_no_other() -> None:
    at = await context()
    customer = await offered(at)
    outcomes = [outcome(scored("nobody"), "accepted"), outcome(customer, "accepted")]

    with pytest.raises(NotReadyError):
        await settle(outcomes, context=at)

    assert (await at.ledger.balance()).committed == 1_000


async def test_nobody_settles_for_another_customer() -> None:
    at = await context()
    customer = await offered(at)

    with pytest.raises(UnprocessableError):
        await report(at, scored("thief", customer.event_id), "accepted")
    await report(at, scored("thief", customer.event_id), "opted-out")

    assert await at.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)
    assert await gate(at) == ("cooldown",)
    assert await suppressed(at, "thief"), "what they want for themselves holds"


async def suppressed(at: PolicyContext, customer_id: str = "customer-1") -> bool:
    key = at.pseudonyms.suppression_key(customer_id)
    return (await at.store.read([key]))[key] is not None


async def write(at: PolicyContext, text: str, **fields: object) -> None:
    """A customer writes, out of the blue unless `fields` say of which event."""
    given = {"customer_id": "customer-1", "outcome": "replied", "text": text, **fields}
    await settle([Outcome.parse(json.dumps(given).encode(), "message")], context=at)


async def test_who_writes_stop_out_of_the_blue_is_left_alone_though_nobody_knew_them() -> None:
    at = await context()
    await write(at, "Please don't text me again!")

    assert await gate(at) == ("opted-out",)


async def test_an_opt_out_needs_no_event() -> None:
    at = await context()
    await settle([Outcome.parse(b'{"customer_id": "customer-1", "outcome": "opted-out"}', "m")], context=at)

    assert await gate(at) == ("opted-out",)


@pytest.mark.parametrize("event", [{"event_id": "event of customer-1"}, {}])
async def test_who_writes_stop_gives_their_offers_money_back(event: dict[str, str]) -> None:
    at = await context()
    await offered(at)
    await write(at, "STOP", **event)

    assert await at.ledger.balance() == Shard(allotment=100_000)
    assert await suppressed(at)


@pytest.mark.parametrize("event", [{"event_id": "event of customer-1"}, {}])
async def test_who_writes_keep_accepts_the_last_offer(event: dict[str, str]) -> None:
    at = await context()
    await offered(at)
    await write(at, "Keep, please", **event)

    assert await at.ledger.balance() == Shard(allotment=100_000, committed=1_000)
    assert (await offer_days_left(at)).offer_ends_at is not None


@pytest.mark.parametrize("text", ["Who is this?", "I can't stop loving this", "don't keep it"])
async def test_what_is_neither_changes_nothing(text: str) -> None:
    at = await context()
    await offered(at)
    await write(at, text)

    assert await at.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)
    assert not await suppressed(at)


async def test_who_writes_keep_to_no_offer_accepts_none() -> None:
    at = await context()
    await write(at, "KEEP")

    assert await at.ledger.balance() == Shard(allotment=100_000)


@pytest.mark.parametrize(("days", "committed"), [(14, 1_000), (15.9, 1_000), (16.1, 0)])
async def test_keep_counts_as_long_as_the_offer_stands(days: float, committed: int) -> None:
    """And two days more. What is reported late counts by when it was written."""
    clock = TickingClock()
    at = await context(clock=clock)
    await offered(at)
    written_at = clock.now + timedelta(days=days)
    clock.now += timedelta(days=30)
    await write(at, "KEEP", occurred_at=written_at.isoformat())

    assert (await at.ledger.balance()).committed == committed


async def test_what_customers_write_is_not_stored() -> None:
    at = await context()
    await offered(at)
    await write(at, "KEEP it, my dear Angua")

    assert "Angua" not in str(kept(at))


async def test_one_bad_outcome_settles_none_of_its_batch() -> None:
    """The service then tries them one by one."""
    at = await context()
    customer = await offered(at)
    outcomes = [outcome(customer, "accepted"), outcome(scored("thief", customer.event_id), "accepted")]

    with pytest.raises(UnprocessableError):
        await settle(outcomes, context=at)

    assert (await at.ledger.balance()).committed == 0

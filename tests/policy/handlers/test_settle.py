import json
from datetime import timedelta
from itertools import combinations, permutations
from typing import Any

import pytest

from services.policy.budget.ledger import Shard
from services.policy.context import DecisionKeys, PolicyContext
from services.policy.customer.state import CustomerState
from services.policy.handlers.decide import decide
from services.policy.handlers.settle import MAX_WAIT_FOR_DECISION, settle, status_of
from services.policy.response.model import RESPONSE_MODEL
from shared.messages import Decision, Outcome, PlannedContact, ScoredCustomer
from shared.service import NotReadyError, UnprocessableError
from shared.store import CUSTOMERS, Documents, SQLiteStore
from tests.policy.builders import MaxOfferPolicy, RetryingStore, TickingClock, decided, outcome, policy_context, scored
from tests.support.clock import NOON

WORDS = ("accepted", "declined", "churned", "retained", "delivered", "bounced", "opted-out", "replied", "withheld")


async def offered(context: PolicyContext, customer: ScoredCustomer | None = None) -> ScoredCustomer:
    """A customer with an open offer of 10 % of 100."""
    customer = customer or scored()
    [message] = await decided([customer], context)
    assert isinstance(message, PlannedContact)
    return customer


async def report(context: PolicyContext, customer: ScoredCustomer, *words: str) -> None:
    outcomes = [outcome(customer, word) for word in words]
    assert await settle(outcomes, context=context) == [[] for _ in words]


async def gate(context: PolicyContext, **facts: Any) -> tuple[str, ...]:
    """What the gate says at the customer's next event."""
    [message] = await decided([scored(event_id="next", **facts)], context)
    return message.metadata.gate


async def test_an_accepted_offer_is_committed() -> None:
    context = await policy_context()
    await report(context, await offered(context), "accepted")

    assert await context.ledger.balance() == Shard(allotment=100_000, committed=1_000)


@pytest.mark.parametrize("word", ["declined", "churned", "withheld", "opted-out", "bounced"])
async def test_an_offer_that_is_not_accepted_is_released(word: str) -> None:
    context = await policy_context()
    await report(context, await offered(context), word)

    assert await context.ledger.balance() == Shard(allotment=100_000)


@pytest.mark.parametrize("word", ["delivered", "retained"])
async def test_other_outcomes_leave_the_offer_open(word: str) -> None:
    context = await policy_context()
    await report(context, await offered(context), word)

    assert await context.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)


@pytest.mark.parametrize("word", WORDS)
async def test_a_repeated_outcome_counts_once(word: str) -> None:
    context = await policy_context(RetryingStore())
    customer, _ = await offered(context), await offered(context, scored("other"))
    await report(context, customer, word)
    once = await context.ledger.balance()

    await report(context, customer, word)
    await report(context, customer, word, word)

    assert await context.ledger.balance() == once
    assert once.reserved == (2_000 if status_of({word}) == "reserved" else 1_000), "the other's offer stays open"


def stored(context: PolicyContext) -> Documents:
    """All documents but the budget's, which have times of the clock."""
    assert isinstance(context.store, SQLiteStore)
    return {key: document for key, document in context.store.snapshot().items() if key[0] != "budget"}


@pytest.mark.parametrize("words", [*combinations(WORDS, 2), *combinations(WORDS, 3)])
async def test_the_result_does_not_depend_on_the_order_or_number_of_outcomes(words: tuple[str, ...]) -> None:
    results = []
    for order in permutations(words):
        context = await policy_context(RetryingStore())
        await offered(context, scored("other"))
        customer = await offered(context)
        await report(context, customer, *order)
        for word in (*order, *order[::-1]):
            await report(context, customer, word)
        balance = await context.ledger.balance()
        assert balance.reserved in (1_000, 2_000), "the other's offer stays open"
        assert balance.committed == (1_000 if status_of(words) == "committed" else 0)
        results.append(stored(context))

    assert all(result == results[0] for result in results)


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
def test_an_acceptance_counts_unless_the_message_was_withheld(words: set[str], status: str) -> None:
    assert status_of(words) == status


async def test_a_late_acceptance_is_unprocessable_if_the_released_money_is_spent() -> None:
    context = await policy_context(budget=10)
    customer = await offered(context)
    await report(context, customer, "declined")
    await offered(context, scored("other"))  # for the same money

    with pytest.raises(
        UnprocessableError, match="the budget released for event 'event of customer-1' has since been spent"
    ):
        await report(context, customer, "accepted")
    assert await context.ledger.balance() == Shard(allotment=1_000, reserved=1_000, expected_cost=600)

    await report(context, scored("other"), "declined")
    await report(context, customer, "accepted")
    assert await context.ledger.balance() == Shard(allotment=1_000, committed=1_000)


async def test_a_late_acceptance_is_paid_by_another_shard_if_its_own_is_short() -> None:
    context = await policy_context(budget=20, shards=2)
    customer = await offered(context)
    await report(context, customer, "declined")
    shard = context.ledger.shard_of(customer.customer_id)
    neighbour = next(f"customer-{n}" for n in range(2, 50) if context.ledger.shard_of(f"customer-{n}") == shard)
    await offered(context, scored(neighbour))

    await report(context, customer, "accepted")

    assert await context.ledger.balance() == Shard(allotment=2_000, reserved=1_000, expected_cost=600, committed=1_000)


async def test_without_a_reservation_there_is_nothing_to_settle() -> None:
    context = await policy_context(budget=0)
    await report(context, await offered(context), "accepted")

    assert await context.ledger.balance() == Shard()


async def test_a_withheld_message_is_no_contact() -> None:
    context = await policy_context()
    await report(context, await offered(context), "withheld")

    assert await gate(context) == ()


async def test_a_withheld_message_does_not_undo_other_contacts() -> None:
    context = await policy_context()
    await offered(context)
    [message] = await decided([scored(event_id="in cooldown")], context)
    assert isinstance(message, Decision)
    await report(context, scored(event_id="in cooldown"), "withheld")

    assert await gate(context) == ("cooldown",)


@pytest.mark.parametrize("word", ["accepted", "declined", "churned"])
async def test_a_sent_message_stays_a_contact_whatever_its_outcome(word: str) -> None:
    context = await policy_context()
    await report(context, await offered(context), word)

    assert "cooldown" in await gate(context)


async def test_an_opt_out_counts_even_without_a_contact() -> None:
    context = await policy_context(holdout_share=1.0)
    await decide([scored()], context=context)
    await report(context, scored(), "opted-out")

    assert await gate(context) == ("opted-out", "holdout")


async def test_a_withheld_message_does_not_undo_an_opt_out() -> None:
    context = await policy_context()
    customer = await offered(context)
    await report(context, customer, "opted-out", "withheld")

    assert await gate(context) == ("opted-out",)


async def state_of(context: PolicyContext, customer: str = "customer-1") -> CustomerState:
    return CustomerState.from_document((await context.store.read([(CUSTOMERS, customer)]))[CUSTOMERS, customer])


@pytest.mark.parametrize("times", [1, 3])
async def test_an_accepted_offer_has_an_effect_for_the_days_of_its_level_from_the_contact_on(times: int) -> None:
    clock = TickingClock()
    context = await policy_context(RetryingStore(), clock=clock)
    customer = await offered(context)
    decided_at = clock.now
    clock.now += timedelta(days=3)
    await report(context, customer, *["accepted"] * times)

    assert (await state_of(context)).offer_effect_ends_at == decided_at + timedelta(days=RESPONSE_MODEL.effect_days[2])
    assert (await state_of(context)).offer_days_left(decided_at) == 50
    assert (await state_of(context)).offer_days_left(decided_at + timedelta(days=3, hours=1)) == 47
    assert (await state_of(context)).offer_days_left(decided_at + timedelta(days=50)) == 0


@pytest.mark.parametrize("words", [["declined"], ["churned"], ["withheld", "accepted"], ["accepted", "withheld"]])
async def test_an_offer_that_was_not_accepted_or_never_sent_has_no_effect(words: list[str]) -> None:
    context = await policy_context()
    await report(context, await offered(context), *words)

    assert (await state_of(context)).offer_effect_ends_at is None


async def test_without_a_contact_no_offer_has_an_effect() -> None:
    context = await policy_context(holdout_share=1.0)
    await decide([scored()], context=context)
    await report(context, scored(), "accepted")

    assert (await state_of(context)).offer_effect_ends_at is None


async def test_an_offer_with_a_shorter_effect_does_not_end_a_longer_one() -> None:
    clock = TickingClock()
    context = await policy_context(policy=MaxOfferPolicy(), clock=clock)
    first = await offered(context)
    until = clock.now + timedelta(days=60)
    clock.now += timedelta(days=15)
    second = await offered(context, scored(event_id="next", monthly_charges=None))
    await report(context, first, "accepted")
    await report(context, second, "accepted")

    assert (await state_of(context)).offer_effect_ends_at == until
    assert [contact.level for contact in (await state_of(context)).contacts] == [3, 0]


async def test_a_settled_offer_has_no_expected_cost() -> None:
    context = await policy_context()
    customers = [await offered(context, scored(name)) for name in ("one", "other")]
    assert (await context.ledger.balance()).expected_cost == 2 * 600  # accepted with 0.6, and then 10 % of 100
    await report(context, customers[0], "accepted")
    await report(context, customers[1], "declined")

    assert await context.ledger.balance() == Shard(allotment=100_000, committed=1_000)


async def test_a_plan_stored_by_an_older_version_is_settled() -> None:
    context = await policy_context()
    customer = await offered(context)
    plan, _, _, shard = DecisionKeys.of(customer.event_id, customer.customer_id, context)
    documents = await context.store.read([plan, shard])
    older = {
        key: {name: value for name, value in (document or {}).items() if name not in ("awaited", "outcomes", "until")}
        for key, document in documents.items()
    }
    await context.store.update([plan, shard], lambda _: (older, None))
    await report(context, customer, "accepted")

    assert await context.ledger.balance() == Shard(allotment=100_000, committed=1_000)


def test_a_customer_stored_by_an_older_version_is_read() -> None:
    state = CustomerState.from_document(
        {"contacts": [{"event_id": "e", "at": "2025-11-23T12:00:00Z"}], "opted_out": False}
    )

    assert state.offer_days_left(NOON) == 0
    assert state.contacts[0].level == 0


async def test_an_early_outcome_is_retried_until_its_decision_is_there() -> None:
    context = await policy_context()
    with pytest.raises(NotReadyError, match="no decision for event 'event of customer-1' yet"):
        await report(context, scored(), "accepted")

    await report(context, await offered(context), "accepted")

    assert (await context.ledger.balance()).committed == 1_000


async def test_an_outcome_of_an_unknown_event_is_unprocessable_after_an_hour() -> None:
    clock = TickingClock()
    context = await policy_context(clock=clock)
    with pytest.raises(NotReadyError):
        await report(context, scored(), "accepted")
    clock.now += MAX_WAIT_FOR_DECISION - timedelta(minutes=1)
    with pytest.raises(NotReadyError):
        await report(context, scored(), "accepted")
    clock.now += timedelta(minutes=1)

    with pytest.raises(UnprocessableError, match="no decision for event 'event of customer-1' of this customer"):
        await report(context, scored(), "accepted")


async def test_an_early_outcome_does_not_hold_up_others() -> None:
    context = await policy_context()
    customer = await offered(context)
    outcomes = [outcome(scored("nobody"), "accepted"), outcome(customer, "accepted")]

    with pytest.raises(NotReadyError):
        await settle(outcomes, context=context)

    assert (await context.ledger.balance()).committed == 1_000


async def test_an_outcome_does_not_settle_another_customers_decision() -> None:
    context = await policy_context()
    customer = await offered(context)

    with pytest.raises(UnprocessableError):
        await report(context, scored("thief", customer.event_id), "accepted")
    await report(context, scored("thief", customer.event_id), "opted-out")

    assert await context.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)
    assert await gate(context) == ("cooldown",)
    assert await suppressed(context, "thief"), "the opt-out itself counts"


async def suppressed(context: PolicyContext, customer_id: str = "customer-1") -> bool:
    key = context.pseudonyms.suppression_key(customer_id)
    return (await context.store.read([key]))[key] is not None


async def reply_with(context: PolicyContext, text: str, **fields: object) -> None:
    """A reply of a customer; about no event unless `fields` name one."""
    reply = {"customer_id": "customer-1", "outcome": "replied", "text": text, **fields}
    await settle([Outcome.parse(json.dumps(reply).encode(), "message")], context=context)


async def test_a_stop_from_an_unknown_customer_is_an_opt_out() -> None:
    context = await policy_context()
    await reply_with(context, "Please don't text me again!")

    assert await gate(context) == ("opted-out",)


async def test_an_opt_out_may_be_about_no_event() -> None:
    context = await policy_context()
    await settle([Outcome.parse(b'{"customer_id": "customer-1", "outcome": "opted-out"}', "m")], context=context)

    assert await gate(context) == ("opted-out",)


@pytest.mark.parametrize("event", [{"event_id": "event of customer-1"}, {}])
async def test_a_stop_releases_the_offer(event: dict[str, str]) -> None:
    context = await policy_context()
    await offered(context)
    await reply_with(context, "STOP", **event)

    assert await context.ledger.balance() == Shard(allotment=100_000)
    assert await suppressed(context)


@pytest.mark.parametrize("event", [{"event_id": "event of customer-1"}, {}])
async def test_a_keep_accepts_the_last_offer(event: dict[str, str]) -> None:
    context = await policy_context()
    await offered(context)
    await reply_with(context, "Keep, please", **event)

    assert await context.ledger.balance() == Shard(allotment=100_000, committed=1_000)
    assert (await state_of(context)).offer_effect_ends_at is not None


@pytest.mark.parametrize("text", ["Who is this?", "I can't stop loving this", "don't keep it"])
async def test_another_reply_changes_nothing(text: str) -> None:
    context = await policy_context()
    await offered(context)
    await reply_with(context, text)

    assert await context.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)
    assert not await suppressed(context)


async def test_a_keep_without_an_offer_accepts_nothing() -> None:
    context = await policy_context()
    await reply_with(context, "KEEP")

    assert await context.ledger.balance() == Shard(allotment=100_000)


@pytest.mark.parametrize(("days", "committed"), [(14, 1_000), (15.9, 1_000), (16.1, 0)])
async def test_a_keep_counts_until_the_end_of_the_offer_and_its_grace_period(days: float, committed: int) -> None:
    """A reply that is reported late counts by when it was written."""
    clock = TickingClock()
    context = await policy_context(clock=clock)
    await offered(context)
    written_at = clock.now + timedelta(days=days)
    clock.now += timedelta(days=30)
    await reply_with(context, "KEEP", occurred_at=written_at.isoformat())

    assert (await context.ledger.balance()).committed == committed


async def test_the_text_of_a_reply_is_not_stored() -> None:
    context = await policy_context()
    await offered(context)
    await reply_with(context, "KEEP it, my dear Angua")

    assert "Angua" not in str(stored(context))


async def test_an_unprocessable_outcome_settles_none_of_its_batch() -> None:
    """The service then tries them one by one."""
    context = await policy_context()
    customer = await offered(context)
    outcomes = [outcome(customer, "accepted"), outcome(scored("thief", customer.event_id), "accepted")]

    with pytest.raises(UnprocessableError):
        await settle(outcomes, context=context)

    assert (await context.ledger.balance()).committed == 0

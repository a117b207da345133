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
from tests.policy.builders import NOON, LateStore, MaxOfferPolicy, TickingClock, context, decided, outcome, scored

WORDS = ("accepted", "declined", "churned", "retained", "delivered", "bounced", "opted-out", "replied", "withheld")


async def offered(service: PolicyContext, customer: ScoredCustomer | None = None) -> ScoredCustomer:
    """A customer with an open offer of 10 % of 100."""
    customer = customer or scored()
    [message] = await decided([customer], service)
    assert isinstance(message, PlannedContact)
    return customer


async def report(service: PolicyContext, customer: ScoredCustomer, *words: str) -> None:
    outcomes = [outcome(customer, word) for word in words]
    assert await settle(outcomes, context=service) == [[] for _ in words]


async def gate(service: PolicyContext, **facts: Any) -> tuple[str, ...]:
    """What the gate says at the customer's next event."""
    [message] = await decided([scored(event_id="next", **facts)], service)
    return message.metadata.gate


async def test_an_accepted_offer_is_committed() -> None:
    service = await context()
    await report(service, await offered(service), "accepted")

    assert await service.ledger.balance() == Shard(allotment=100_000, committed=1_000)


@pytest.mark.parametrize("word", ["declined", "churned", "withheld", "opted-out", "bounced"])
async def test_an_offer_that_is_not_accepted_is_released(word: str) -> None:
    service = await context()
    await report(service, await offered(service), word)

    assert await service.ledger.balance() == Shard(allotment=100_000)


@pytest.mark.parametrize("word", ["delivered", "retained"])
async def test_other_outcomes_leave_the_offer_open(word: str) -> None:
    service = await context()
    await report(service, await offered(service), word)

    assert await service.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)


@pytest.mark.parametrize("word", WORDS)
async def test_a_repeated_outcome_counts_once(word: str) -> None:
    service = await context(LateStore())
    customer, _ = await offered(service), await offered(service, scored("other"))
    await report(service, customer, word)
    once = await service.ledger.balance()

    await report(service, customer, word)
    await report(service, customer, word, word)

    assert await service.ledger.balance() == once
    assert once.reserved == (2_000 if status_of({word}) == "reserved" else 1_000), "the other's offer stays open"


def stored(service: PolicyContext) -> Documents:
    """All documents but the budget's, which have times of the clock."""
    assert isinstance(service.store, SQLiteStore)
    return {key: document for key, document in service.store.snapshot().items() if key[0] != "budget"}


@pytest.mark.parametrize("words", [*combinations(WORDS, 2), *combinations(WORDS, 3)])
async def test_the_result_does_not_depend_on_the_order_or_number_of_outcomes(words: tuple[str, ...]) -> None:
    results = []
    for order in permutations(words):
        service = await context(LateStore())
        await offered(service, scored("other"))
        customer = await offered(service)
        await report(service, customer, *order)
        for word in (*order, *order[::-1]):
            await report(service, customer, word)
        balance = await service.ledger.balance()
        assert balance.reserved in (1_000, 2_000), "the other's offer stays open"
        assert balance.committed == (1_000 if status_of(words) == "committed" else 0)
        results.append(stored(service))

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
    service = await context(budget=10)
    customer = await offered(service)
    await report(service, customer, "declined")
    await offered(service, scored("other"))  # for the same money

    with pytest.raises(
        UnprocessableError, match="the budget released for event 'event of customer-1' has since been spent"
    ):
        await report(service, customer, "accepted")
    assert await service.ledger.balance() == Shard(allotment=1_000, reserved=1_000, expected_cost=600)

    await report(service, scored("other"), "declined")
    await report(service, customer, "accepted")
    assert await service.ledger.balance() == Shard(allotment=1_000, committed=1_000)


async def test_a_late_acceptance_is_paid_by_another_shard_if_its_own_is_short() -> None:
    service = await context(budget=20, shards=2)
    customer = await offered(service)
    await report(service, customer, "declined")
    shard = service.ledger.shard_of(customer.customer_id)
    neighbour = next(f"customer-{n}" for n in range(2, 50) if service.ledger.shard_of(f"customer-{n}") == shard)
    await offered(service, scored(neighbour))

    await report(service, customer, "accepted")

    assert await service.ledger.balance() == Shard(allotment=2_000, reserved=1_000, expected_cost=600, committed=1_000)


async def test_without_a_reservation_there_is_nothing_to_settle() -> None:
    service = await context(budget=0)
    await report(service, await offered(service), "accepted")

    assert await service.ledger.balance() == Shard()


async def test_a_withheld_message_is_no_contact() -> None:
    service = await context()
    await report(service, await offered(service), "withheld")

    assert await gate(service) == ()


async def test_a_withheld_message_does_not_undo_other_contacts() -> None:
    service = await context()
    await offered(service)
    [message] = await decided([scored(event_id="in cooldown")], service)
    assert isinstance(message, Decision)
    await report(service, scored(event_id="in cooldown"), "withheld")

    assert await gate(service) == ("cooldown",)


@pytest.mark.parametrize("word", ["accepted", "declined", "churned"])
async def test_a_sent_message_stays_a_contact_whatever_its_outcome(word: str) -> None:
    service = await context()
    await report(service, await offered(service), word)

    assert "cooldown" in await gate(service)


async def test_an_opt_out_counts_even_without_a_contact() -> None:
    service = await context(holdout_share=1.0)
    await decide([scored()], context=service)
    await report(service, scored(), "opted-out")

    assert await gate(service) == ("opted-out", "holdout")


async def test_a_withheld_message_does_not_undo_an_opt_out() -> None:
    service = await context()
    customer = await offered(service)
    await report(service, customer, "opted-out", "withheld")

    assert await gate(service) == ("opted-out",)


async def state_of(service: PolicyContext, customer: str = "customer-1") -> CustomerState:
    return CustomerState.from_document((await service.store.read([(CUSTOMERS, customer)]))[CUSTOMERS, customer])


@pytest.mark.parametrize("times", [1, 3])
async def test_an_accepted_offer_has_an_effect_for_the_days_of_its_level_from_the_contact_on(times: int) -> None:
    clock = TickingClock()
    service = await context(LateStore(), clock=clock)
    customer = await offered(service)
    decided_at = clock.now
    clock.now += timedelta(days=3)
    await report(service, customer, *["accepted"] * times)

    assert (await state_of(service)).offer_effect_ends_at == decided_at + timedelta(days=RESPONSE_MODEL.effect_days[2])
    assert (await state_of(service)).offer_days_left(decided_at) == 50
    assert (await state_of(service)).offer_days_left(decided_at + timedelta(days=3, hours=1)) == 47
    assert (await state_of(service)).offer_days_left(decided_at + timedelta(days=50)) == 0


@pytest.mark.parametrize("words", [["declined"], ["churned"], ["withheld", "accepted"], ["accepted", "withheld"]])
async def test_an_offer_that_was_not_accepted_or_never_sent_has_no_effect(words: list[str]) -> None:
    service = await context()
    await report(service, await offered(service), *words)

    assert (await state_of(service)).offer_effect_ends_at is None


async def test_without_a_contact_no_offer_has_an_effect() -> None:
    service = await context(holdout_share=1.0)
    await decide([scored()], context=service)
    await report(service, scored(), "accepted")

    assert (await state_of(service)).offer_effect_ends_at is None


async def test_an_offer_with_a_shorter_effect_does_not_end_a_longer_one() -> None:
    clock = TickingClock()
    service = await context(policy=MaxOfferPolicy(), clock=clock)
    first = await offered(service)
    until = clock.now + timedelta(days=60)
    clock.now += timedelta(days=15)
    second = await offered(service, scored(event_id="next", monthly_charges=None))
    await report(service, first, "accepted")
    await report(service, second, "accepted")

    assert (await state_of(service)).offer_effect_ends_at == until
    assert [contact.level for contact in (await state_of(service)).contacts] == [3, 0]


async def test_a_settled_offer_has_no_expected_cost() -> None:
    service = await context()
    customers = [await offered(service, scored(name)) for name in ("one", "other")]
    assert (await service.ledger.balance()).expected_cost == 2 * 600  # accepted with 0.6, and then 10 % of 100
    await report(service, customers[0], "accepted")
    await report(service, customers[1], "declined")

    assert await service.ledger.balance() == Shard(allotment=100_000, committed=1_000)


async def test_a_plan_stored_by_an_older_version_is_settled() -> None:
    service = await context()
    customer = await offered(service)
    plan, _, _, shard = DecisionKeys.of(customer.event_id, customer.customer_id, service)
    documents = await service.store.read([plan, shard])
    older = {
        key: {name: value for name, value in (document or {}).items() if name not in ("awaited", "outcomes", "until")}
        for key, document in documents.items()
    }
    await service.store.update([plan, shard], lambda _: (older, None))
    await report(service, customer, "accepted")

    assert await service.ledger.balance() == Shard(allotment=100_000, committed=1_000)


def test_a_customer_stored_by_an_older_version_is_read() -> None:
    state = CustomerState.from_document(
        {"contacts": [{"event_id": "e", "at": "2025-11-23T12:00:00Z"}], "opted_out": False}
    )

    assert state.offer_days_left(NOON) == 0
    assert state.contacts[0].level == 0


async def test_an_early_outcome_is_retried_until_its_decision_is_there() -> None:
    service = await context()
    with pytest.raises(NotReadyError, match="no decision for event 'event of customer-1' yet"):
        await report(service, scored(), "accepted")

    await report(service, await offered(service), "accepted")

    assert (await service.ledger.balance()).committed == 1_000


async def test_an_outcome_of_an_unknown_event_is_unprocessable_after_an_hour() -> None:
    clock = TickingClock()
    service = await context(clock=clock)
    with pytest.raises(NotReadyError):
        await report(service, scored(), "accepted")
    clock.now += MAX_WAIT_FOR_DECISION - timedelta(minutes=1)
    with pytest.raises(NotReadyError):
        await report(service, scored(), "accepted")
    clock.now += timedelta(minutes=1)

    with pytest.raises(UnprocessableError, match="no decision for event 'event of customer-1' of this customer"):
        await report(service, scored(), "accepted")


async def test_an_early_outcome_does_not_hold_up_others() -> None:
    service = await context()
    customer = await offered(service)
    outcomes = [outcome(scored("nobody"), "accepted"), outcome(customer, "accepted")]

    with pytest.raises(NotReadyError):
        await settle(outcomes, context=service)

    assert (await service.ledger.balance()).committed == 1_000


async def test_an_outcome_does_not_settle_another_customers_decision() -> None:
    service = await context()
    customer = await offered(service)

    with pytest.raises(UnprocessableError):
        await report(service, scored("thief", customer.event_id), "accepted")
    await report(service, scored("thief", customer.event_id), "opted-out")

    assert await service.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)
    assert await gate(service) == ("cooldown",)
    assert await suppressed(service, "thief"), "the opt-out itself counts"


async def suppressed(service: PolicyContext, customer_id: str = "customer-1") -> bool:
    key = service.pseudonyms.suppression_key(customer_id)
    return (await service.store.read([key]))[key] is not None


async def reply_with(service: PolicyContext, text: str, **fields: object) -> None:
    """A reply of a customer; about no event unless `fields` name one."""
    reply = {"customer_id": "customer-1", "outcome": "replied", "text": text, **fields}
    await settle([Outcome.parse(json.dumps(reply).encode(), "message")], context=service)


async def test_a_stop_from_an_unknown_customer_is_an_opt_out() -> None:
    service = await context()
    await reply_with(service, "Please don't text me again!")

    assert await gate(service) == ("opted-out",)


async def test_an_opt_out_may_be_about_no_event() -> None:
    service = await context()
    await settle([Outcome.parse(b'{"customer_id": "customer-1", "outcome": "opted-out"}', "m")], context=service)

    assert await gate(service) == ("opted-out",)


@pytest.mark.parametrize("event", [{"event_id": "event of customer-1"}, {}])
async def test_a_stop_releases_the_offer(event: dict[str, str]) -> None:
    service = await context()
    await offered(service)
    await reply_with(service, "STOP", **event)

    assert await service.ledger.balance() == Shard(allotment=100_000)
    assert await suppressed(service)


@pytest.mark.parametrize("event", [{"event_id": "event of customer-1"}, {}])
async def test_a_keep_accepts_the_last_offer(event: dict[str, str]) -> None:
    service = await context()
    await offered(service)
    await reply_with(service, "Keep, please", **event)

    assert await service.ledger.balance() == Shard(allotment=100_000, committed=1_000)
    assert (await state_of(service)).offer_effect_ends_at is not None


@pytest.mark.parametrize("text", ["Who is this?", "I can't stop loving this", "don't keep it"])
async def test_another_reply_changes_nothing(text: str) -> None:
    service = await context()
    await offered(service)
    await reply_with(service, text)

    assert await service.ledger.balance() == Shard(allotment=100_000, reserved=1_000, expected_cost=600)
    assert not await suppressed(service)


async def test_a_keep_without_an_offer_accepts_nothing() -> None:
    service = await context()
    await reply_with(service, "KEEP")

    assert await service.ledger.balance() == Shard(allotment=100_000)


@pytest.mark.parametrize(("days", "committed"), [(14, 1_000), (15.9, 1_000), (16.1, 0)])
async def test_a_keep_counts_until_the_end_of_the_offer_and_its_grace_period(days: float, committed: int) -> None:
    """A reply that is reported late counts by when it was written."""
    clock = TickingClock()
    service = await context(clock=clock)
    await offered(service)
    written_at = clock.now + timedelta(days=days)
    clock.now += timedelta(days=30)
    await reply_with(service, "KEEP", occurred_at=written_at.isoformat())

    assert (await service.ledger.balance()).committed == committed


async def test_the_text_of_a_reply_is_not_stored() -> None:
    service = await context()
    await offered(service)
    await reply_with(service, "KEEP it, my dear Angua")

    assert "Angua" not in str(stored(service))


async def test_an_unprocessable_outcome_settles_none_of_its_batch() -> None:
    """The service then tries them one by one."""
    service = await context()
    customer = await offered(service)
    outcomes = [outcome(customer, "accepted"), outcome(scored("thief", customer.event_id), "accepted")]

    with pytest.raises(UnprocessableError):
        await settle(outcomes, context=service)

    assert (await service.ledger.balance()).committed == 0

"""What customers say about being contacted, in any order; unclear replies; and bounces."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.policy.budget.ledger import Shard
from services.policy.context import PolicyContext
from services.policy.handlers.erase import erase
from services.policy.handlers.replies import MAX_TEXT_LENGTH
from services.policy.handlers.review import review
from services.policy.handlers.settle import settle, settle_reply
from services.policy.replies.reader import ReplyKind
from shared import telemetry
from shared.bus import LocalBus
from shared.messages import Outcome
from shared.service import NotReadyError
from shared.store import REPLIES, Document, SQLiteStore
from tests.policy.builders import (
    KeywordReader,
    MaxOfferPolicy,
    RetryingStore,
    TickingClock,
    decided,
    outcome,
    policy_context,
    scored,
)
from tests.support.clock import NOON


async def keyword_context(**settings: Any) -> PolicyContext:
    return (await policy_context(RetryingStore(), **settings))._replace(reader=KeywordReader())


def reply(text: str, message_id: str = "m", **fields: object) -> Outcome:
    """A reply of the customer; about no event, and without a time, unless `fields` have them."""
    fields = {"customer_id": "customer-1", "outcome": "replied", "text": text, **fields}
    return Outcome.parse(json.dumps(fields, default=datetime.isoformat).encode(), message_id)


async def gate(context: PolicyContext, event_id: str = "next", **facts: Any) -> tuple[str, ...]:
    """What the gate says at the customer's next event."""
    [message] = await decided([scored(event_id=event_id, **facts)], context)
    return message.metadata.gate


def waiting(context: PolicyContext) -> dict[str, Document]:
    """The replies that wait, by id."""
    assert isinstance(context.store, SQLiteStore)
    return context.store.all(REPLIES)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["STOP"], ("opted-out",)),
        (["STOP", "START"], ()),
        (["STOP", "START", "STOP"], ("opted-out",)),
        (["START"], ()),
        (["HM"], ("unread-reply",)),
        (["HM", "START"], ()),
        (["HM", "STOP"], ("opted-out",)),
        (["STOP", "HM"], ("opted-out", "unread-reply")),
        (["STOP", "HM", "START"], ()),
        (["Who is this?"], ()),
        (["STOP", "Who is this?"], ("opted-out",)),
    ],
)
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("event", [{}, {"event_id": "event of customer-1"}])
async def test_the_last_word_counts(
    texts: Sequence[str], expected: tuple[str, ...], batched: bool, event: dict[str, str]
) -> None:
    """Without times, replies count in the order in which they arrive, also within a batch."""
    context = await keyword_context(cooldown=timedelta(0))
    await decided([scored()], context)
    replies = [reply(text, f"m{n}", **event) for n, text in enumerate(texts)]
    for batch in [replies] if batched else [[one] for one in replies]:
        await settle(batch, context=context)

    assert await gate(context) == expected
    assert len(waiting(context)) == ("unread-reply" in expected)


@pytest.mark.parametrize("texts", list(permutations(["STOP", "START", "HM", "KEEP"], 3)))
@pytest.mark.parametrize("known", [True, False])
async def test_replies_give_the_same_result_in_any_order_and_number(texts: tuple[str, ...], known: bool) -> None:
    replies = [reply(text, occurred_at=NOON - timedelta(hours=5 - n)) for n, text in enumerate(texts)]
    results = []
    for order in permutations(replies):
        context = await keyword_context(cooldown=timedelta(0))
        if known:
            await decided([scored()], context)
        for one in (*order, *order[::-1]):
            await settle([one], context=context)
        documents = waiting(context)
        results.append((await gate(context), documents, await context.ledger.balance()))

    assert all(result == results[0] for result in results)


async def test_a_redelivered_stop_does_not_silence_again_and_a_new_one_does() -> None:
    clock = TickingClock()
    context = await keyword_context(clock=clock, cooldown=timedelta(0))
    stop = reply("STOP", "m1", event_id="e")
    await settle([stop], context=context)
    await settle([reply("START", "m2", event_id="e")], context=context)
    clock.now += timedelta(days=1)
    await settle([stop, stop], context=context)
    assert await gate(context) == ()

    await settle([reply("STOP", "m3", event_id="e")], context=context)
    assert await gate(context, "another") == ("opted-out",)


async def test_a_redelivered_start_does_not_undo_a_later_stop() -> None:
    context = await keyword_context()
    start = reply("START", "m1")
    await settle([start, reply("STOP", "m2")], context=context)
    await settle([start], context=context)

    assert await gate(context) == ("opted-out",)


async def test_a_start_before_the_opt_out_lifts_nothing() -> None:
    context = await keyword_context()
    await settle([reply("STOP", occurred_at=NOON - timedelta(days=1))], context=context)
    await settle([reply("START", occurred_at=NOON - timedelta(days=2))], context=context)

    assert await gate(context) == ("opted-out",)


@pytest.mark.parametrize("word", ["accepted", "declined", "delivered", "retained", "opted-out"])
async def test_only_the_customers_own_reply_lifts_an_opt_out(word: str) -> None:
    context = await keyword_context(cooldown=timedelta(0))
    await decided([scored()], context)
    await settle([reply("STOP")], context=context)
    await settle([outcome(scored(), word).model_copy(update={"text": "START"})], context=context)

    assert "opted-out" in await gate(context)


async def test_an_opt_out_reported_by_the_caller_is_lifted_by_the_customer() -> None:
    context = await keyword_context()
    await settle([reply("by telephone", "m1", outcome="opted-out")], context=context)
    assert await gate(context) == ("opted-out",)
    await settle([reply("START", "m2")], context=context)

    assert await gate(context, "another") == ()


async def test_an_event_with_an_opt_out_blocks_and_is_recorded_and_the_customer_can_lift_it() -> None:
    clock = TickingClock()
    context = await keyword_context(clock=clock)
    await settle([reply("START", "m1")], context=context)
    assert await gate(context, "event", opted_out=True) == ("opted-out",)
    assert await gate(context, "later") == ("opted-out",)
    await settle([reply("START", "m2")], context=context)
    assert await gate(context, "event", opted_out=True) == ("opted-out",), "the stored decision"

    assert await gate(context, "last") == ()


async def test_an_opt_out_is_kept_although_its_acceptance_cannot_be_paid() -> None:
    context = await keyword_context(budget=10)
    await decided([scored()], context)
    await settle([outcome(scored(), "declined")], context=context)
    await decided([scored("other")], context)
    accepted = outcome(scored(), "accepted").model_copy(update={"text": "STOP"})
    with pytest.raises(ValueError, match="late acceptance"):
        await settle([accepted], context=context)

    assert "opted-out" in await gate(context)


async def test_an_unclear_reply_waits_with_its_text_and_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    context = await keyword_context()
    await decided([scored()], context)
    counted = telemetry.counts["unread_replies"]
    unclear = reply("HM my name is Sam", "m1")
    await settle([unclear, unclear], context=context)
    await settle([unclear], context=context)

    [document] = waiting(context).values()
    assert document["text"] == "HM my name is Sam"
    assert document["customer_id"] == "customer-1"
    assert document["event_id"] == "event of customer-1"
    assert document["due"] == (NOON + timedelta(days=30)).timestamp()
    assert telemetry.counts["unread_replies"] == counted + 1
    assert "Sam" not in caplog.text + str([record.__dict__ for record in caplog.records])


async def test_an_unclear_reply_needs_no_decision() -> None:
    context = await keyword_context()
    await settle([reply("HM", event_id="never decided")], context=context)

    assert await gate(context) == ("unread-reply",)


async def test_only_the_beginning_of_a_long_reply_is_kept() -> None:
    context = await keyword_context()
    await settle([reply("HM " + "x" * 100_000)], context=context)

    [document] = waiting(context).values()
    assert len(document["text"]) == MAX_TEXT_LENGTH


@pytest.mark.parametrize("text", ["STOP", "START"])
async def test_clear_words_settle_the_unclear_ones_before_them_but_not_those_after(text: str) -> None:
    context = await keyword_context()
    await settle([reply("HM 1", occurred_at=NOON - timedelta(hours=3))], context=context)
    await settle([reply("HM 2", occurred_at=NOON - timedelta(hours=1))], context=context)
    await settle([reply(text, occurred_at=NOON - timedelta(hours=2))], context=context)

    assert [document["text"] for document in waiting(context).values()] == ["HM 2"]


@pytest.mark.parametrize(
    ("kind", "expected", "balance"),
    [
        ("stop", ("opted-out",), Shard(allotment=100_000)),
        ("resume", (), Shard(allotment=100_000, reserved=1_000, expected_cost=600)),
        ("other", (), Shard(allotment=100_000, reserved=1_000, expected_cost=600)),
        ("keep", ("offer-holds",), Shard(allotment=100_000, committed=1_000)),
    ],
)
async def test_a_reply_is_settled_as_if_the_customer_had_said_so(
    kind: ReplyKind, expected: tuple[str, ...], balance: Shard
) -> None:
    context = await keyword_context(cooldown=timedelta(0))
    await decided([scored()], context)
    unclear = reply("HM", "m1")
    await settle([unclear], context=context)
    [reply_id] = waiting(context)
    for _ in range(2):
        await settle_reply(reply_id, kind, context=context)
    await settle([unclear], context=context)

    assert waiting(context) == {}
    assert await context.ledger.balance() == balance
    assert await gate(context) == expected


async def test_settling_one_reply_leaves_others_waiting() -> None:
    context = await keyword_context()
    await settle([reply("HM 1", "m1"), reply("HM 2", "m2")], context=context)
    first, second = waiting(context)
    await settle_reply(second, "other", context=context)

    assert list(waiting(context)) == [first]
    assert await gate(context) == ("unread-reply",)


async def test_a_reply_whose_acceptance_fails_still_waits() -> None:
    context = await keyword_context()
    await settle([reply("HM", event_id="never decided")], context=context)
    [reply_id] = waiting(context)
    with pytest.raises(NotReadyError):
        await settle_reply(reply_id, "keep", context=context)

    assert list(waiting(context)) == [reply_id]


async def test_a_keep_settled_late_counts_by_when_it_was_written() -> None:
    clock = TickingClock()
    context = await keyword_context(clock=clock)
    await decided([scored()], context)
    await settle([reply("HM")], context=context)
    [reply_id] = waiting(context)
    clock.now += timedelta(days=25)
    await settle_reply(reply_id, "keep", context=context)

    assert (await context.ledger.balance()).committed == 1_000


async def test_an_unread_reply_counts_as_a_stop_when_it_is_due() -> None:
    clock = TickingClock()
    context = await keyword_context(clock=clock, cooldown=timedelta(0))
    await decided([scored()], context)
    await settle([reply("HM")], context=context)
    counted = telemetry.counts["unread_replies_expired"]
    clock.now += timedelta(days=29)
    assert (await review(context=context, bus=LocalBus()))["forgotten"] == 0
    assert await gate(context, "day 29") == ("unread-reply",)

    clock.now += timedelta(days=1)
    assert (await review(context=context, bus=LocalBus()))["forgotten"] == 1
    assert telemetry.counts["unread_replies_expired"] == counted + 1
    assert waiting(context) == {}
    assert await gate(context, "day 30") == ("opted-out",)
    await settle([reply("START", "m2")], context=context)
    assert await gate(context, "later") == ()


@pytest.mark.parametrize("settled", [True, False])
async def test_erasing_deletes_an_unread_reply_which_then_counts_as_a_stop(settled: bool) -> None:
    context = await keyword_context()
    await settle([reply("HM my name is Sam")], context=context)
    if settled:
        await settle([reply("START", "m2")], context=context)
    await erase("customer-1", context.store, context.ledger, context.pseudonyms)
    assert isinstance(context.store, SQLiteStore)

    assert waiting(context) == {}
    assert "Sam" not in str(context.store.snapshot())
    assert "customer-1" not in str(context.store.snapshot())
    assert await gate(context) == (() if settled else ("opted-out",))


async def contacted(context: PolicyContext, number: int) -> None:
    """Contacts e1, e2, … of the customer, a day apart."""
    clock = context.clock
    assert isinstance(clock, TickingClock)
    for n in range(1, number + 1):
        assert await gate(context, f"e{n}") == ()
        clock.now += timedelta(days=1)


def report(event_id: str, word: str) -> Outcome:
    return outcome(scored(event_id=event_id), word)


async def bouncing_context(**limits: Any) -> PolicyContext:
    limits = {"cooldown": timedelta(0), "fatigue_cap": 100, **limits}
    return await keyword_context(clock=TickingClock(), policy=MaxOfferPolicy(), **limits)


async def test_contact_pauses_after_three_bounces_in_a_row_and_is_counted_once() -> None:
    context = await bouncing_context()
    await contacted(context, 3)
    counted = telemetry.counts["bounced"]
    for event in ("e1", "e2", "e1", "e2"):
        await settle([report(event, "bounced")], context=context)
    assert await gate(context, "e4") == ()
    await settle([report("e3", "bounced")], context=context)
    await settle([report(event, "bounced") for event in ("e1", "e2", "e3")], context=context)

    assert await gate(context, "e5") == ("bounced",)
    assert telemetry.counts["bounced"] == counted + 1


@pytest.mark.parametrize(
    ("limit", "number", "expected"), [(0, 5, ()), (1, 1, ("bounced",)), (2, 1, ()), (5, 5, ("bounced",))]
)
async def test_the_number_of_bounces_is_a_setting(limit: int, number: int, expected: tuple[str, ...]) -> None:
    context = await bouncing_context(bounce_limit=limit)
    await contacted(context, number)
    await settle([report(f"e{n}", "bounced") for n in range(1, number + 1)], context=context)

    assert await gate(context) == expected


@pytest.mark.parametrize("word", ["delivered", "accepted", "declined", "replied"])
async def test_any_sign_of_life_in_between_starts_the_count_again(word: str) -> None:
    reports = [report("e1", "bounced"), report("e2", word), report("e3", "bounced"), report("e4", "bounced")]
    for order in permutations(reports):
        context = await bouncing_context()
        await contacted(context, 4)
        for one in (*order, *order[::-1]):
            await settle([one], context=context)

        assert "bounced" not in await gate(context)


@pytest.mark.parametrize(
    "life",
    [report("e3", "delivered"), reply("START", "m2"), reply("Hello?", "m3"), report("e2", "delivered")],
)
async def test_a_sign_of_life_ends_the_pause(life: Outcome) -> None:
    context = await bouncing_context()
    await contacted(context, 3)
    await settle([report(f"e{n}", "bounced") for n in (1, 2, 3)], context=context)
    assert await gate(context) == ("bounced",)
    if life.event_id == "e2":
        life = life.model_copy(update={"occurred_at": context.clock()})
    await settle([life], context=context)

    assert await gate(context, "later") == ()


async def test_bounces_and_signs_of_life_give_the_same_state_in_any_order() -> None:
    reports = [report("e1", "bounced"), report("e2", "bounced"), report("e2", "delivered"), report("e3", "bounced")]
    results = []
    for order in permutations(reports):
        context = await bouncing_context()
        await contacted(context, 3)
        for one in (*order, *order):
            await settle([one], context=context)
        assert isinstance(context.store, SQLiteStore)
        [customer] = context.store.all("customers").values()
        results.append((customer["bounces"], customer["last_sign_of_life"]))

    assert len(results[0][0]) == 1
    assert all(result == results[0] for result in results)

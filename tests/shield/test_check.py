from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.shield import app
from services.shield.handler import ShieldContext, check
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.messages import Action, Candidate, Decision, DraftedMessage, Message, Outcome
from shared.pseudonyms import Pseudonyms
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore, Store
from tests.shield.builders import GOOD, INVENTED, NOON, PUSHY, drafted

ZONES = ("America/New_York", "Pacific/Honolulu")


PSEUDONYMS = Pseudonyms(LOCAL_HASH_KEY)


def shield(store: Store, now: datetime = NOON) -> ShieldContext:
    return ShieldContext(store, PSEUDONYMS, ZONES, timedelta(days=30), lambda: now)


async def checked(draft: DraftedMessage, store: Store | None = None, now: datetime = NOON) -> list[Message]:
    [messages] = await check([draft], context=shield(store or SQLiteStore(), now))
    return list(messages)


async def decision(draft: DraftedMessage, store: Store | None = None, now: datetime = NOON) -> Decision:
    message = (await checked(draft, store, now))[0]
    assert isinstance(message, Decision)
    return message


async def opted_out(store: Store, customer_id: str = "customer-1") -> None:
    key = PSEUDONYMS.suppression_key(customer_id)
    await store.update([key], lambda _: {key: {"at": NOON.isoformat()}})


async def test_a_good_message_is_let_pass_as_it_was_decided() -> None:
    draft = drafted(GOOD, versions={"policy": "1"}, times={"drafted_at": NOON - timedelta(seconds=1)})

    [said] = await checked(draft)

    assert isinstance(said, Decision)
    assert said.event_id == "event-1"
    assert said.customer_id == "customer-1"
    assert said.message == GOOD
    assert said.deliver_after is None
    assert said.decision == draft.decision
    assert said.metadata == draft.metadata.model_copy(update={"writer": "model"})
    assert said.safety.passed
    assert said.safety.violations == ()
    assert said.versions == draft.versions
    assert said.times == {**draft.times, "checked_at": NOON}


async def test_the_first_that_passes_is_taken_and_better_ones_are_said_to_be_rejected() -> None:
    template = Candidate(text=GOOD.replace("Hi", "Hello"), writer="template")
    candidates = (*drafted(PUSHY, INVENTED, GOOD).candidates, template)

    said = await decision(drafted(candidates=candidates))

    assert said.message == GOOD
    assert said.metadata.writer == "model"
    assert said.metadata.rejected == (
        "model: banned phrase: last chance",
        "model: missing offer",
        "model: ungrounded percentage: 20%",
        "model: ungrounded number: 20",
    )
    assert said.safety.passed
    assert said.safety.violations == ()


async def test_the_best_of_two_good_ones_is_taken() -> None:
    assert (await decision(drafted(GOOD, GOOD.replace("Hi", "Hello")))).message == GOOD


async def test_where_none_passes_nobody_is_contacted_and_the_money_goes_back() -> None:
    draft = drafted(PUSHY, INVENTED)

    said, withheld = await checked(draft)

    assert isinstance(said, Decision)
    assert said.decision == Action(contact=False, estimated_retention_prob=1 - 0.8)
    assert said.message is None
    assert said.deliver_after is None
    assert not said.safety.passed
    assert said.safety.violations == (
        "model: banned phrase: last chance",
        "model: missing offer",
        "model: ungrounded percentage: 20%",
        "model: ungrounded number: 20",
    )
    assert said.metadata.reserved == 0
    assert said.metadata.expected_value == 0
    assert isinstance(withheld, Outcome)
    assert withheld.outcome == "withheld"
    assert (withheld.event_id, withheld.customer_id) == (draft.event_id, draft.customer_id)


async def test_who_opted_out_since_the_decision_is_not_written_to() -> None:
    store = SQLiteStore()
    await opted_out(store)

    said, withheld = await checked(drafted(GOOD), store)

    assert isinstance(said, Decision)
    assert not said.decision.contact
    assert said.message is None
    assert said.safety.violations == ("opted-out",)
    assert isinstance(withheld, Outcome)


async def test_the_opt_out_of_another_changes_nothing() -> None:
    store = SQLiteStore()
    await opted_out(store, "customer-2")

    assert (await decision(drafted(GOOD), store)).message == GOOD


@pytest.mark.parametrize("text", [GOOD, PUSHY])
async def test_a_repeat_says_the_same_word_for_word_whatever_the_time(text: str) -> None:
    store = SQLiteStore()
    first = await checked(drafted(text), store)
    await opted_out(store)

    again = await checked(drafted(text), store, NOON + timedelta(hours=12))

    assert again == first
    assert [m.model_dump_json() for m in again] == [m.model_dump_json() for m in first]


async def test_a_repeat_within_a_batch_says_the_same() -> None:
    drafts = [drafted(GOOD), drafted(PUSHY, event_id="event-2"), drafted(GOOD)]

    one, other, third = await check(drafts, context=shield(SQLiteStore()))

    assert one == third
    assert [message.event_id for message in other] == ["event-2", "event-2"]


async def test_a_message_is_held_over_the_quiet_hours_of_its_customer() -> None:
    night = datetime(2025, 11, 23, 22, 30, tzinfo=UTC)

    said = await decision(drafted(GOOD), now=night)

    assert said.message == GOOD
    assert said.deliver_after == datetime(2025, 11, 24, 8, tzinfo=UTC)
    assert said.decision.contact


@pytest.mark.parametrize("zone", [None, "Mars/Olympus", ""])
async def test_who_may_live_anywhere_is_written_to_when_it_is_day_everywhere(zone: str | None) -> None:
    before = telemetry.counts["unknown_time_zone"]
    early_in_honolulu = datetime(2025, 11, 23, 16, tzinfo=UTC)

    said = await decision(drafted(GOOD, time_zone=zone), now=early_in_honolulu)

    assert said.deliver_after == datetime(2025, 11, 23, 18, tzinfo=UTC)
    assert telemetry.counts["unknown_time_zone"] == before + 1


async def test_a_known_zone_is_not_counted_as_unknown() -> None:
    before = telemetry.counts["unknown_time_zone"]

    await decision(drafted(GOOD))

    assert telemetry.counts["unknown_time_zone"] == before


async def test_what_is_withheld_is_counted() -> None:
    before = telemetry.counts["withheld"]

    await decision(drafted(PUSHY))

    assert telemetry.counts["withheld"] == before + 1


async def test_the_shield_refuses_zones_that_share_no_hour_when_it_starts() -> None:
    zones = ("UTC", "Asia/Tokyo", "America/Los_Angeles")

    with pytest.raises(ValueError, match="no hour in common"):
        await app.build(Settings(time_zones=zones), LocalBus(), SQLiteStore(), lambda: NOON)


async def test_the_shield_answers_what_arrives() -> None:
    bus, heard = LocalBus(), list[Envelope]()

    async def hear(_: str, envelopes: Sequence[Envelope]) -> list[None]:
        heard.extend(envelopes)
        return [None] * len(envelopes)

    bus.subscribe("decisions.test", hear)
    bus.subscribe("outcomes.test", hear)
    shield = await app.build(Settings(), bus, SQLiteStore(), lambda: NOON)
    envelope = Envelope("drafted-messages", drafted(PUSHY).model_dump_json().encode())

    assert await shield.receive("drafted-messages.shield", [envelope]) == [None]
    await bus.drain()

    assert sorted(e.topic for e in heard) == ["decisions", "outcomes"]

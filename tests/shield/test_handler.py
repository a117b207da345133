from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.shield import app
from services.shield.handler import DecisionMessages, ShieldContext, check
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.consent import Consent, Statement
from shared.messages import Action, Candidate, Decision, DraftedMessage
from shared.pseudonyms import Pseudonyms
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore, Store
from tests.shield.builders import PRESSURING, VALID, WRONG_OFFER, drafted
from tests.support.clock import NOON

TIME_ZONES = ("America/New_York", "Pacific/Honolulu")
PSEUDONYMS = Pseudonyms(LOCAL_HASH_KEY)
VIOLATIONS = (
    "model: banned phrase: last chance",
    "model: missing offer",
    "model: ungrounded percentage: 20%",
    "model: ungrounded number: 20",
)
"""Of the candidates PRESSURING and WRONG_OFFER."""


def context_at(now: datetime, store: Store) -> ShieldContext:
    return ShieldContext(store, PSEUDONYMS, TIME_ZONES, timedelta(days=30), lambda: now)


async def checked(draft: DraftedMessage, store: Store | None = None, now: datetime = NOON) -> DecisionMessages:
    [messages] = await check([draft], context=context_at(now, store or SQLiteStore()))
    return messages


async def decided(draft: DraftedMessage, store: Store | None = None, now: datetime = NOON) -> Decision:
    decision, *_ = await checked(draft, store, now)
    return decision


async def opt_out(store: Store, customer_id: str = "customer-1") -> None:
    key = PSEUDONYMS.suppression_key(customer_id)
    await store.update([key], lambda _: ({key: {"at": NOON.isoformat()}}, None))


async def test_a_valid_message_is_approved_with_the_decision_unchanged() -> None:
    draft = drafted(VALID, versions={"policy": "1"}, times={"drafted_at": NOON - timedelta(seconds=1)})

    decision, *outcomes = await checked(draft)

    assert outcomes == []
    assert decision.event_id == "event-1"
    assert decision.customer_id == "customer-1"
    assert decision.message == VALID
    assert decision.deliver_after is None
    assert decision.decision == draft.decision
    assert decision.metadata == draft.metadata.model_copy(update={"writer": "model"})
    assert decision.safety.passed
    assert decision.safety.violations == ()
    assert decision.versions == draft.versions
    assert decision.times == {**draft.times, "checked_at": NOON}


async def test_the_first_valid_candidate_is_sent_and_the_violations_of_better_ones_are_recorded() -> None:
    template = Candidate(text=VALID.replace("Hi", "Hello"), writer="template")
    candidates = (*drafted(PRESSURING, WRONG_OFFER, VALID).candidates, template)

    decision = await decided(drafted(candidates=candidates))

    assert decision.message == VALID
    assert decision.metadata.writer == "model"
    assert decision.metadata.rejected == VIOLATIONS
    assert decision.safety.passed
    assert decision.safety.violations == ()


async def test_of_two_valid_candidates_the_better_one_is_sent() -> None:
    assert (await decided(drafted(VALID, VALID.replace("Hi", "Hello")))).message == VALID


async def test_without_a_valid_candidate_the_message_is_withheld_and_the_reserved_budget_is_freed() -> None:
    draft = drafted(PRESSURING, WRONG_OFFER)

    decision, *outcomes = await checked(draft)
    [outcome] = outcomes

    assert decision.decision == Action(contact=False, estimated_retention_prob=1 - 0.8)
    assert decision.message is None
    assert decision.deliver_after is None
    assert not decision.safety.passed
    assert decision.safety.violations == VIOLATIONS
    assert decision.metadata.reserved == 0
    assert decision.metadata.expected_value == 0
    assert outcome.outcome == "withheld"
    assert (outcome.event_id, outcome.customer_id) == (draft.event_id, draft.customer_id)


async def test_a_message_to_a_customer_who_opted_out_after_the_plan_is_withheld() -> None:
    store = SQLiteStore()
    await opt_out(store)

    decision, *outcomes = await checked(drafted(VALID), store)
    [outcome] = outcomes

    assert not decision.decision.contact
    assert decision.message is None
    assert decision.safety.violations == ("opted-out",)
    assert outcome.outcome == "withheld"


@pytest.mark.parametrize(
    ("statements", "violations"),
    [
        (["unclear"], ("unread-reply",)),
        (["stop", "unclear"], ("opted-out", "unread-reply")),
        (["stop", "resume"], ()),
        (["unclear", "resume"], ()),
    ],
)
async def test_the_last_word_of_the_customer_counts(statements: list[Statement], violations: tuple[str, ...]) -> None:
    store, key, consent = SQLiteStore(), PSEUDONYMS.suppression_key("customer-1"), Consent()
    for number, statement in enumerate(statements):
        consent = consent.with_statement(statement, str(number), None, NOON)
    await store.update([key], lambda _: ({key: consent.to_document()}, None))

    decision = await decided(drafted(VALID), store)

    assert decision.safety.violations == violations
    assert decision.message == (None if violations else VALID)


async def test_the_opt_out_of_another_customer_has_no_effect() -> None:
    store = SQLiteStore()
    await opt_out(store, "customer-2")

    assert (await decided(drafted(VALID), store)).message == VALID


@pytest.mark.parametrize("text", [VALID, PRESSURING])
async def test_a_redelivered_draft_gets_the_same_bytes_whatever_happened_since(text: str) -> None:
    store = SQLiteStore()
    first = await checked(drafted(text), store)
    await opt_out(store)

    second = await checked(drafted(text), store, NOON + timedelta(hours=12))

    assert second == first
    assert [message.model_dump_json() for message in second] == [message.model_dump_json() for message in first]


async def test_a_duplicate_within_a_batch_gets_the_same_messages() -> None:
    drafts = [drafted(VALID), drafted(PRESSURING, event_id="event-2"), drafted(VALID)]

    first, other, duplicate = await check(drafts, context=context_at(NOON, SQLiteStore()))

    assert first == duplicate
    assert [message.event_id for message in other] == ["event-2", "event-2"]


async def test_a_message_is_delayed_over_the_quiet_hours_of_the_customers_time_zone() -> None:
    decision = await decided(drafted(VALID), now=datetime(2025, 11, 23, 22, 30, tzinfo=UTC))

    assert decision.message == VALID
    assert decision.deliver_after == datetime(2025, 11, 24, 8, tzinfo=UTC)
    assert decision.decision.contact


@pytest.mark.parametrize("time_zone", [None, "Mars/Olympus", ""])
async def test_without_a_known_time_zone_quiet_hours_hold_in_all_zones_of_the_settings(time_zone: str | None) -> None:
    before = telemetry.counts["unknown_time_zone"]
    six_in_honolulu = datetime(2025, 11, 23, 16, tzinfo=UTC)

    decision = await decided(drafted(VALID, time_zone=time_zone), now=six_in_honolulu)

    assert decision.deliver_after == datetime(2025, 11, 23, 18, tzinfo=UTC)
    assert telemetry.counts["unknown_time_zone"] == before + 1


async def test_a_known_time_zone_is_not_counted_as_unknown() -> None:
    before = telemetry.counts["unknown_time_zone"]

    await decided(drafted(VALID))

    assert telemetry.counts["unknown_time_zone"] == before


async def test_a_withheld_message_is_counted() -> None:
    before = telemetry.counts["withheld"]

    await decided(drafted(PRESSURING))

    assert telemetry.counts["withheld"] == before + 1


async def test_the_shield_does_not_start_with_time_zones_without_a_common_waking_hour() -> None:
    time_zones = ("UTC", "Asia/Tokyo", "America/Los_Angeles")

    with pytest.raises(ValueError, match="no hour in common"):
        await app.build(Settings(time_zones=time_zones), LocalBus(), SQLiteStore(), lambda: NOON)


async def test_the_service_publishes_the_decision_and_the_outcome_of_a_draft() -> None:
    bus, received = LocalBus(), list[Envelope]()

    async def receive(_: str, envelopes: Sequence[Envelope]) -> list[None]:
        received.extend(envelopes)
        return [None] * len(envelopes)

    bus.subscribe("decisions.test", receive)
    bus.subscribe("outcomes.test", receive)
    service = await app.build(Settings(), bus, SQLiteStore(), lambda: NOON)
    envelope = Envelope("drafted-messages", drafted(PRESSURING).model_dump_json().encode())

    assert await service.receive("drafted-messages.shield", [envelope]) == [None]
    await bus.drain()

    assert sorted(envelope.topic for envelope in received) == ["decisions", "outcomes"]

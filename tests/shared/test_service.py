import asyncio
from collections.abc import Sequence
from gzip import decompress as gunzip

import pytest
from pydantic import ValidationError

from shared import telemetry
from shared.bus import Envelope, original_message
from shared.errors import OverloadedError
from shared.messages import CustomerEvent, Decision, Message, Outcome, ScoredCustomer
from shared.service import MAX_MESSAGE_BYTES, Queue, Service, UnprocessableError, error_summary

EVENTS = "customer-events.scorer"


class RecordingBus:
    """A bus that records published messages, or fails when told to."""

    def __init__(self) -> None:
        self.published: list[Envelope] = []
        self.failing = False

    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        if self.failing:
            raise OSError("no bus today")
        self.published += envelopes
        return ["id"] * len(envelopes)

    async def check(self) -> None:
        pass


async def score(events: Sequence[CustomerEvent]) -> list[list[Message]]:
    """A handler that scores everybody alike, and fails for two names."""
    if any(event.name == "Impossible" for event in events):
        raise UnprocessableError("nobody is called that")
    if any(event.name == "Later" for event in events):
        raise OSError("not now")
    return [[ScoredCustomer.caused_by(event, churn_risk=0.5, accept_probs=(0.1,) * 4)] for event in events]


@pytest.fixture
def bus() -> RecordingBus:
    return RecordingBus()


@pytest.fixture
def service(bus: RecordingBus) -> Service:
    return Service("scorer", bus, {CustomerEvent: score})


def event(data: str | bytes, message_id: str = "1") -> Envelope:
    data = data if isinstance(data, bytes) else data.encode()
    return Envelope("customer-events", data, {"source": "crm"}, message_id)


async def test_the_messages_that_follow_are_published_before_the_event_is_acknowledged(
    service: Service, bus: RecordingBus
) -> None:
    assert await service.receive(EVENTS, [event('{"customer_id": "c", "event_id": "e"}')]) == [None]
    [scored] = bus.published
    assert scored.topic == "scored-customers"
    assert scored.attributes == {"event_id": "e", "customer_id": "c"}
    assert ScoredCustomer.parse(scored.data, "").event_id == "e"


async def test_a_redelivered_event_publishes_the_same_message_again(service: Service, bus: RecordingBus) -> None:
    for _ in range(2):
        await service.receive(EVENTS, [event('{"customer_id": "c"}', message_id="m")])
    assert bus.published[0] == bus.published[1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not JSON", "expected"),
        (b"\xff\xfe", "expected"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b"{}", "customer_id: required"),
        (b'{"customer_id": ""}', "customer_id"),
        (b'{"customer_id": true}', "customer_id: no text; send text of 1 to 128 characters, or a whole number"),
        (b'{"customer_id": 7.5}', "customer_id: no text"),
        (b'{"customer_id": "c", "tenure": -1}', "tenure: below 0; send a whole number from 0 to 100,000"),
        (b'{"customer_id": "c", "tenure": "twelve"}', "tenure: no number; send a whole number from 0 to 100,000"),
        (b'{"customer_id": "c", "tenure": 1.5}', "tenure"),
        (b'{"customer_id": "c", "monthly_charges": Infinity}', "monthly_charges: above 1,000,000,000; send a number"),
        (b'{"customer_id": "c", "monthly_charges": "5,340"}', "a comma before three digits may mean thousands or"),
        (b'{"customer_id": "c", "monthly_charges": 1e999}', "monthly_charges"),
        (b'{"customer_id": "c", "churn_risk": 1.2}', "churn_risk"),
        (b'{"customer_id": "c", "name": "a\\u0000b"}', "name: has control characters; send text without them"),
        (b'{"customer_id": "c", "name": "' + b"a" * 10_000 + b'"}', "name: 10,000 characters; send at most 200"),
        (b'{"customer_id": "c", "name": {"first": "Sam"}}', "name"),
        (b'{"customer_id": "c", "event_id": [7]}', "event_id: no text"),
        (b'{"customer_id": "c", "occurred_at": "yesterday"}', "occurred_at: no time; send ISO 8601 with a time zone"),
        (b'{"customer_id": "c", "occurred_at": "2026-11-27 01:00:00"}', "occurred_at: without a time zone; send ISO"),
        (b'{"tenure": "long", "name": [], "customer_id": ""}', "tenure: no number"),
        (b'{"tenure": "long", "name": [], "customer_id": ""}', "customer_id: empty; send text of 1 to 128 characters"),
        (b"[" * 100_000, "recursion"),
        (b'{"customer_id": "c", "x": "' + b"a" * 10_000_000 + b'"}', "10,000,029 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_an_invalid_message_becomes_a_dead_letter_with_its_reason(
    service: Service, bus: RecordingBus, data: bytes, reason: str
) -> None:
    assert await service.receive(EVENTS, [event(data)]) == [None]
    [letter] = bus.published
    assert letter.topic == "customer-events.scorer.dead"
    assert (gunzip(letter.data) if letter.attributes.get("encoding") == "gzip" else letter.data) == data
    assert reason in letter.attributes["reason"]
    assert letter.attributes["source"] == "crm"


@pytest.mark.parametrize(
    "data",
    [
        '{"customer_id": "c", "opted_out": true, "tenure": "x"}',
        '{"customer_id": "c", "opted_out": true, "name": "Impossible"}',
        '{"customer_id": "c", "opted_out": "Y", "x": "' + "a" * MAX_MESSAGE_BYTES + '"}',
        '{"customer_id": "c", "opted_out": true',
    ],
    ids=lambda data: data[:70],
)
async def test_an_opt_out_in_a_dead_letter_is_published_first(service: Service, bus: RecordingBus, data: str) -> None:
    for _ in range(2):
        assert await service.receive(EVENTS, [event(data)]) == [None]
    assert [e.topic for e in bus.published] == ["outcomes", "customer-events.scorer.dead"] * 2
    first, again = (Outcome.parse(e.data, "") for e in bus.published[::2])
    assert (first.customer_id, first.outcome) == ("c", "opted-out")
    assert bus.published[0] == bus.published[2], "a redelivered message says the same again"
    replayed = original_message(bus.published[1])._replace(id="another")
    await service.receive(EVENTS, [replayed])
    assert bus.published[4].data == bus.published[0].data, "so does one that is replayed"
    assert first == again


async def test_an_opt_out_in_an_event_that_fails_for_now_is_published_at_once(
    service: Service, bus: RecordingBus
) -> None:
    [refusal] = await service.receive(EVENTS, [event('{"customer_id": "c", "opted_out": true, "name": "Later"}')])
    assert isinstance(refusal, OSError)
    assert [e.topic for e in bus.published] == ["outcomes"]


async def test_an_event_that_is_handled_is_not_searched_for_an_opt_out(service: Service, bus: RecordingBus) -> None:
    await service.receive(EVENTS, [event('{"customer_id": "c", "opted_out": true}')])
    assert [e.topic for e in bus.published] == ["scored-customers"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"times": 7}, "times: no JSON object; send an object"),
        ({"decision": []}, "decision: no JSON object; send an object"),
        ({"metadata": {"accept_probs": 7}}, "metadata.accept_probs: "),
        ({"message": 7}, "message: no text; send text"),
        ({"deliver_after": "soon"}, "deliver_after: no time; send ISO 8601 with a time zone"),
        ({"safety": {"passed": True, "violations": {}}}, "safety.violations: "),
        ({"event_id": None}, "event_id: no text; send text of 1 to 128 characters"),
    ],
)
def test_every_error_is_told(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Decision.model_validate({"customer_id": "c", **fields})
    assert reason in error_summary(raised.value)
    assert "id: required" in error_summary(raised.value)


async def test_the_reason_of_a_dead_letter_never_contains_the_value(service: Service, bus: RecordingBus) -> None:
    await service.receive(EVENTS, [event('{"customer_id": "c", "tenure": "Sam Smith, 12 Elm Street"}')])
    assert "Elm" not in str(bus.published[0].attributes)


async def test_an_invalid_message_in_a_batch_does_not_stop_the_valid_ones(service: Service, bus: RecordingBus) -> None:
    valid = [event(f'{{"customer_id": "c{n}"}}', message_id=str(n)) for n in range(3)]
    assert await service.receive(EVENTS, [valid[0], event("invalid"), valid[1], valid[2]]) == [None] * 4
    assert sorted(e.topic for e in bus.published) == ["customer-events.scorer.dead", *["scored-customers"] * 3]


async def test_only_the_message_that_the_handler_fails_on_is_retried(service: Service, bus: RecordingBus) -> None:
    names = ["Sam", "Later", "Impossible", "Ada"]
    results = await service.receive(
        EVENTS, [event(f'{{"customer_id": "c", "name": "{name}"}}', name) for name in names]
    )
    assert [type(result) for result in results] == [type(None), OSError, type(None), type(None)]
    assert [e.topic for e in bus.published] == ["scored-customers", "customer-events.scorer.dead", "scored-customers"]
    assert bus.published[1].attributes["reason"] == "nobody is called that"


async def test_a_message_is_not_acknowledged_when_publishing_fails(service: Service, bus: RecordingBus) -> None:
    bus.failing = True
    results = await service.receive(EVENTS, [event('{"customer_id": "c"}'), event("invalid")])
    assert [type(result) for result in results] == [OSError, OSError]


async def test_dead_letters_are_counted(service: Service) -> None:
    before = telemetry.counts["dead_letters"]
    await service.receive(EVENTS, [event("invalid")])
    assert telemetry.counts["dead_letters"] == before + 1


async def test_a_message_of_the_largest_size_is_accepted(service: Service, bus: RecordingBus) -> None:
    start = b'{"customer_id": "c", "x": "'
    await service.receive(EVENTS, [event(start + b"a" * (MAX_MESSAGE_BYTES - len(start) - 2) + b'"}')])
    assert bus.published[0].topic == "scored-customers"


def test_a_service_must_handle_exactly_the_topics_it_subscribes_to(bus: RecordingBus) -> None:
    with pytest.raises(ValueError, match="subscribes to"):
        Service("scorer", bus, {Outcome: score})
    with pytest.raises(ValueError, match="subscribes to"):
        Service("policy", bus, {ScoredCustomer: score})


async def test_messages_that_arrive_while_others_are_handled_form_the_next_batch() -> None:
    """Each gets its own result."""
    batch_sizes: list[int] = []

    async def slow(events: Sequence[CustomerEvent]) -> list[list[Message]]:
        batch_sizes.append(len(events))
        await asyncio.sleep(0.01)
        return await score(events)

    queue = Queue(Service("scorer", RecordingBus(), {CustomerEvent: slow}), batch_size=4)
    names = ["Sam", "Ada", "Later", "Bob", "Eve", "Zoë"]
    first = asyncio.create_task(queue.receive(EVENTS, event('{"customer_id": "c"}')))
    await asyncio.sleep(0.001)
    rest = [queue.receive(EVENTS, event(f'{{"customer_id": "c", "name": "{name}"}}', name)) for name in names]
    results = await asyncio.gather(first, *rest)
    assert [type(result) for result in results] == [type(None)] * 3 + [OSError] + [type(None)] * 3
    assert batch_sizes[:2] == [1, 4]
    assert batch_sizes[-1] == 2
    assert await queue.receive(EVENTS, event("invalid")) is None


async def test_a_sender_that_stops_waiting_does_not_block_others() -> None:
    queue = Queue(Service("scorer", RecordingBus(), {CustomerEvent: score}))
    cancelled = asyncio.create_task(queue.receive(EVENTS, event('{"customer_id": "c"}')))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await queue.receive(EVENTS, event('{"customer_id": "d"}')) is None


async def test_a_full_queue_refuses_messages_at_once_until_it_has_room() -> None:
    released = asyncio.Event()

    async def blocked(events: Sequence[CustomerEvent]) -> list[list[Message]]:
        await released.wait()
        return await score(events)

    queue = Queue(Service("scorer", RecordingBus(), {CustomerEvent: blocked}), max_pending=3)
    waiting = [asyncio.create_task(queue.receive(EVENTS, event('{"customer_id": "c"}', str(n)))) for n in range(3)]
    await asyncio.sleep(0)
    assert isinstance(await queue.receive(EVENTS, event("{}", "one too many")), OverloadedError)
    released.set()
    assert await asyncio.gather(*waiting) == [None] * 3
    assert await queue.receive(EVENTS, event('{"customer_id": "c"}')) is None

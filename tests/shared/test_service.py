import asyncio
from collections.abc import Sequence
from gzip import decompress as gunzip

import pytest

from shared import telemetry
from shared.bus import Envelope
from shared.messages import CustomerEvent, Message, Outcome, ScoredCustomer
from shared.service import MAX_BYTES, OverloadedError, Queue, Service, UnprocessableError

EVENTS = "customer-events.scorer"


class Recorder:
    """A bus that keeps what is published, unless told to refuse."""

    def __init__(self) -> None:
        self.published: list[Envelope] = []
        self.refusing = False

    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        if self.refusing:
            raise OSError("no bus today")
        self.published += envelopes
        return ["id"] * len(envelopes)

    async def check(self) -> None:
        pass


async def double(events: Sequence[CustomerEvent]) -> list[list[Message]]:
    """A handler that scores everybody alike, and knows a few who cannot be."""
    if any(e.name == "Impossible" for e in events):
        raise UnprocessableError("nobody is called that")
    if any(e.name == "Later" for e in events):
        raise OSError("not now")
    return [[ScoredCustomer.caused_by(e, churn_risk=0.5, accept_probs=(0.1,) * 4)] for e in events]


@pytest.fixture
def bus() -> Recorder:
    return Recorder()


@pytest.fixture
def service(bus: Recorder) -> Service:
    return Service("scorer", bus, {CustomerEvent: double})


def event(data: str | bytes, name: str = "1") -> Envelope:
    return Envelope("customer-events", data if isinstance(data, bytes) else data.encode(), {"source": "crm"}, name)


async def test_what_follows_is_published_before_the_message_is_acknowledged(service: Service, bus: Recorder) -> None:
    assert await service.receive(EVENTS, [event('{"customer_id": "c", "event_id": "e"}')]) == [None]
    [scored] = bus.published
    assert scored.topic == "scored-customers"
    assert scored.attributes == {"event_id": "e", "customer_id": "c"}
    assert ScoredCustomer.parse(scored.data, "").event_id == "e"


async def test_a_redelivery_repeats_itself(service: Service, bus: Recorder) -> None:
    for _ in range(2):
        await service.receive(EVENTS, [event('{"customer_id": "c"}', name="m")])
    assert bus.published[0] == bus.published[1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not JSON", "expected"),
        (b"\xff\xfe", "expected"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b"{}", "customer_id: Field required"),
        (b'{"customer_id": ""}', "customer_id"),
        (b'{"customer_id": 7}', "customer_id: Input should be a valid string"),
        (b'{"customer_id": "c", "tenure": -1}', "tenure: Input should be greater than or equal to 0"),
        (b'{"customer_id": "c", "tenure": "twelve"}', "tenure: Input should be a valid number"),
        (b'{"customer_id": "c", "tenure": 1.5}', "tenure"),
        (b'{"customer_id": "c", "monthly_charges": NaN}', "expected value"),
        (b'{"customer_id": "c", "monthly_charges": 1e999}', "monthly_charges"),
        (b'{"customer_id": "c", "churn_risk": 1.2}', "churn_risk"),
        (b'{"customer_id": "c", "name": "a\\u0000b"}', "name: String should match"),
        (b'{"customer_id": "c", "name": "' + b"a" * 10_000 + b'"}', "name: String should have at most 200"),
        (b'{"customer_id": "c", "name": {"first": "Sam"}}', "name"),
        (b'{"customer_id": "c", "event_id": 7}', "event_id"),
        (b'{"customer_id": "c", "occurred_at": "yesterday"}', "occurred_at"),
        (b"[" * 100_000, "recursion"),
        (b'{"customer_id": "c", "x": "' + b"a" * 10_000_000 + b'"}', "10,000,029 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_can_never_be_handled_is_kept_with_its_reason(
    service: Service, bus: Recorder, data: bytes, reason: str
) -> None:
    assert await service.receive(EVENTS, [event(data)]) == [None]
    [letter] = bus.published
    assert letter.topic == "customer-events.scorer.dead"
    assert (gunzip(letter.data) if letter.attributes.get("encoding") == "gzip" else letter.data) == data
    assert reason in letter.attributes["reason"]
    assert letter.attributes["source"] == "crm"


async def test_a_reason_never_tells_what_the_value_was(service: Service, bus: Recorder) -> None:
    await service.receive(EVENTS, [event('{"customer_id": "c", "tenure": "Sam Smith, 12 Elm Street"}')])
    assert "Elm" not in str(bus.published[0].attributes)


async def test_a_bad_message_among_good_ones_stops_none_of_them(service: Service, bus: Recorder) -> None:
    good = [event(f'{{"customer_id": "c{n}"}}', name=str(n)) for n in range(3)]
    assert await service.receive(EVENTS, [good[0], event("bad"), good[1], good[2]]) == [None] * 4
    assert sorted(e.topic for e in bus.published) == ["customer-events.scorer.dead", *["scored-customers"] * 3]


async def test_a_handler_that_fails_for_one_asks_for_that_one_again(service: Service, bus: Recorder) -> None:
    names = ["Sam", "Later", "Impossible", "Ada"]
    answers = await service.receive(EVENTS, [event(f'{{"customer_id": "c", "name": "{n}"}}', n) for n in names])
    assert [type(a) for a in answers] == [type(None), OSError, type(None), type(None)]
    assert [e.topic for e in bus.published] == ["scored-customers", "customer-events.scorer.dead", "scored-customers"]
    assert bus.published[1].attributes["reason"] == "nobody is called that"


async def test_what_could_not_be_published_is_not_acknowledged(service: Service, bus: Recorder) -> None:
    bus.refusing = True
    answers = await service.receive(EVENTS, [event('{"customer_id": "c"}'), event("bad")])
    assert [type(a) for a in answers] == [OSError, OSError]


async def test_dead_letters_are_counted(service: Service) -> None:
    before = telemetry.counts["dead_letters"]
    await service.receive(EVENTS, [event("bad")])
    assert telemetry.counts["dead_letters"] == before + 1


async def test_the_largest_message_is_still_taken(service: Service, bus: Recorder) -> None:
    start = b'{"customer_id": "c", "x": "'
    await service.receive(EVENTS, [event(start + b"a" * (MAX_BYTES - len(start) - 2) + b'"}')])
    assert bus.published[0].topic == "scored-customers"


def test_a_service_must_handle_just_what_it_listens_to(bus: Recorder) -> None:
    with pytest.raises(ValueError, match="listens to"):
        Service("scorer", bus, {Outcome: double})
    with pytest.raises(ValueError, match="listens to"):
        Service("policy", bus, {ScoredCustomer: double})


async def test_messages_that_arrive_meanwhile_are_handled_together_and_answered_each() -> None:
    """The first is handled alone; those that came meanwhile go together; who failed is told, and only who failed."""
    together: list[int] = []

    async def slow(events: Sequence[CustomerEvent]) -> list[list[Message]]:
        together.append(len(events))
        await asyncio.sleep(0.01)
        return await double(events)

    queue = Queue(Service("scorer", Recorder(), {CustomerEvent: slow}), together=4)
    names = ["Sam", "Ada", "Later", "Bob", "Eve", "Zoë"]
    first = asyncio.create_task(queue.receive(EVENTS, event('{"customer_id": "c"}')))
    await asyncio.sleep(0.001)
    rest = [queue.receive(EVENTS, event(f'{{"customer_id": "c", "name": "{n}"}}', n)) for n in names]
    answers = await asyncio.gather(first, *rest)
    assert [type(a) for a in answers] == [type(None)] * 3 + [OSError] + [type(None)] * 3
    assert together[:2] == [1, 4]
    assert together[-1] == 2
    assert await queue.receive(EVENTS, event("bad")) is None


async def test_who_does_not_wait_for_the_answer_stops_nobody() -> None:
    queue = Queue(Service("scorer", Recorder(), {CustomerEvent: double}))
    gone = asyncio.create_task(queue.receive(EVENTS, event('{"customer_id": "c"}')))
    await asyncio.sleep(0)
    gone.cancel()
    assert await queue.receive(EVENTS, event('{"customer_id": "d"}')) is None


async def test_what_is_too_much_to_keep_waiting_is_refused_at_once_and_taken_later() -> None:
    open_ = asyncio.Event()

    async def held(events: Sequence[CustomerEvent]) -> list[list[Message]]:
        await open_.wait()
        return await double(events)

    queue = Queue(Service("scorer", Recorder(), {CustomerEvent: held}), limit=3)
    waiting = [asyncio.create_task(queue.receive(EVENTS, event('{"customer_id": "c"}', str(n)))) for n in range(3)]
    await asyncio.sleep(0)
    assert isinstance(await queue.receive(EVENTS, event("{}", "one too many")), OverloadedError)
    open_.set()
    assert await asyncio.gather(*waiting) == [None] * 3
    assert await queue.receive(EVENTS, event('{"customer_id": "c"}')) is None

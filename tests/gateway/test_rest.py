"""The REST front, through the web app itself, on the whole system in one process."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from services import local
from services.gateway.app import create
from shared import telemetry, web
from shared.bus import Bus
from shared.service import Queue
from shared.settings import Settings
from shared.store import Store
from tests.support.customers import SAM

PUBLISH = "/v1/projects/retention-local/topics/{}:publish"


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    async with serving(local.connect) as client:
        yield client


@asynccontextmanager
async def serving(connect) -> AsyncIterator[httpx.AsyncClient]:
    app = create(local.gateway, connect)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30) as client:
            yield client


def message(event: object) -> dict[str, object]:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return {"data": base64.b64encode(data).decode()}


async def test_retain_answers_with_the_decision(client: httpx.AsyncClient) -> None:
    answer = await client.post("/retain", json=SAM)
    assert answer.status_code == 200
    decision = answer.json()
    assert decision["decision"].keys() == {
        "contact",
        "offer_level",
        "offer_percentage",
        "delay_days",
        "estimated_retention_prob",
    }
    assert decision["safety"] == {"passed": True, "violations": []}
    assert decision["metadata"].keys() >= {"churn_risk", "accept_prob", "expected_value", "propensity"}
    assert "Sam" in decision["message"]
    again = await client.get(f"/decisions/{decision['event_id']}")
    assert again.json() == decision


async def test_retain_takes_facts_without_an_id_and_a_risk_the_caller_knows(client: httpx.AsyncClient) -> None:
    facts = {"tenure": 17, "plan": "Pro", "churn_risk": 0.65, "name": "Sam"}
    decision = (await client.post("/retain", json={"customer_facts": facts})).json()
    assert decision["metadata"]["churn_risk"] == 0.65
    assert decision["metadata"]["churn_risk_source"] == "caller"
    assert decision["metadata"]["assumed"] == ["monthly_charges"]
    assert decision["customer_id"].startswith("anonymous-")


async def test_an_event_sent_twice_has_one_decision(client: httpx.AsyncClient) -> None:
    first, second = [(await client.post("/retain", json={**SAM, "event_id": "e"})).json() for _ in range(2)]
    assert first == second


async def test_an_event_id_of_another_customer_shows_nothing_of_them(client: httpx.AsyncClient) -> None:
    await client.post("/retain", json={**SAM, "event_id": "e"})
    answer = await client.post("/retain", json={"customer_id": "other", "event_id": "e"})
    assert answer.status_code == 409
    assert "Sam" not in answer.text


async def test_retain_says_where_to_ask_when_the_decision_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nowhere:
        async def publish(self, envelopes):
            return [""] * len(envelopes)

        async def check(self):
            raise OSError("nobody there")

    @asynccontextmanager
    async def deaf(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
        async with local.connect(settings) as (_, store):
            yield Nowhere(), store

    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    monkeypatch.setenv("RETENTION_ANSWER_SECONDS", "0.05")
    app = create(connect=deaf)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as client:
        answer = await client.post("/retain", json={**SAM, "event_id": "e/../ 1"})
        assert answer.status_code == 202
        assert answer.headers["location"] == answer.json()["decision"] == "/decisions/e%2F..%2F%201"
        missing = await client.get(answer.headers["location"])
        assert missing.status_code == 404
        assert "'e/../ 1'" in missing.json()["detail"]
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "nobody there" in ready.json()["bus"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"not JSON", 422, "expected"),
        (b"[]", 422, "JSON object"),
        (b"{}", 422, "customer_id: Field required"),
        (b'{"customer_id": "c", "tenure": -1}', 422, "tenure: Input should be greater"),
        (b'{"customer_id": "c", "tenure": NaN}', 422, "expected value"),
        (b'{"customer_id": "c", "name": "' + b"a" * 10_000 + b'"}', 422, "name: String should have at most 200"),
        (b'{"customer_id": "c", "name": "a\\u0007b"}', 422, "name: String should match"),
        (b'{"customer_facts": "Sam"}', 422, "customer_facts"),
        (b'{"customer_facts": {"tenure": "long"}}', 422, "tenure: Input should be a valid number"),
        (b"[" * 50_000, 422, "recursion"),
        (b'{"customer_id": "c", "x": "' + b"a" * 10_000_000 + b'"}', 413, "longer than 262,144 bytes"),
        (b'{"customer_id": "\xff"}', 422, "unicode"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_retain_refuses_what_is_wrong_and_says_why(
    client: httpx.AsyncClient, body: bytes, code: int, words: str
) -> None:
    answer = await client.post("/retain", content=body)
    assert answer.status_code == code
    assert words in answer.json()["detail"]


async def test_events_are_published_as_to_pubsub_itself(client: httpx.AsyncClient) -> None:
    events = [{**SAM, "customer_id": f"c{n}", "event_id": f"e{n}"} for n in range(5)]
    answer = await client.post(PUBLISH.format("customer-events"), json={"messages": [message(e) for e in events]})
    assert answer.status_code == 200
    assert len(set(answer.json()["messageIds"])) == 5
    for event in events:
        assert (await client.post("/retain", json=event)).json()["customer_id"] == event["customer_id"]


@pytest.mark.parametrize(
    ("topic", "body", "code", "words"),
    [
        ("no-such-topic", {"messages": [message(SAM)]}, 404, "no topic 'no-such-topic'"),
        ("decisions", {"messages": [message(SAM)]}, 403, "the services' own"),
        ("customer-events", {"messages": []}, 400, "messages"),
        ("customer-events", {}, 400, "messages: Field required"),
        ("customer-events", {"messages": [{"data": "%%%"}]}, 400, "not base64"),
        ("customer-events", {"messages": [{"data": "é"}]}, 400, "not base64"),
        ("customer-events", {"messages": [message(b"a" * 300_000)]}, 400, "at most 262,144 bytes"),
    ],
)
async def test_a_publish_that_is_wrong_is_refused_as_pubsub_does(
    client: httpx.AsyncClient, topic: str, body: object, code: int, words: str
) -> None:
    answer = await client.post(PUBLISH.format(topic), json=body)
    assert answer.status_code == code
    assert answer.json()["error"]["code"] == code
    assert words in answer.json()["error"]["message"]


async def test_another_project_is_not_this_one(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/projects/other/topics/customer-events:publish", json={"messages": [message(SAM)]})
    assert answer.status_code == 404
    assert "'retention-local'" in answer.json()["error"]["message"]


async def test_poison_that_is_published_is_kept(client: httpx.AsyncClient) -> None:
    answer = await client.post(PUBLISH.format("customer-events"), json={"messages": [message(b"poison")]})
    await client.post("/retain", json=SAM)  # a decision later, the poison has been seen
    app = client._transport.app
    [name] = answer.json()["messageIds"]
    rows = app.state.store._db.execute("SELECT body FROM documents WHERE collection = 'dead-letters'").fetchall()
    [letter] = [json.loads(row[0]) for row in rows]
    assert base64.b64decode(letter["data"]) == b"poison"
    assert letter["attributes"]["message_id"] == name
    assert "expected" in letter["attributes"]["reason"]


async def test_health_and_readiness(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json()["status"] == "ok"
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"service": "gateway", "models": "ok", "bus": "ok", "store": "ok"}


async def test_an_unknown_decision_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/decisions/nobody")).status_code == 404


async def test_a_push_is_taken_and_a_wrong_one_is_refused(client: httpx.AsyncClient) -> None:
    decision = (await client.post("/retain", json={**SAM, "event_id": "pushed"})).json()

    def push(data: object, subscription: str = "projects/p/subscriptions/decisions.gateway") -> dict[str, object]:
        return {"message": {**message(data), "messageId": "1", "publishTime": "now"}, "subscription": subscription}

    assert (await client.post("/", json=push(decision))).status_code == 204
    assert (await client.post("/", json=push(b"poison"))).status_code == 204  # acknowledged, and in the dead letters
    assert (await client.post("/", json=push(decision, "projects/p/subscriptions/other"))).status_code == 404
    assert (await client.post("/", content=b"no envelope")).status_code == 400
    assert (await client.post("/", content=b"a" * 16_000_000)).status_code == 413
    assert (
        await client.post("/", json={"message": {"data": "%"}, "subscription": "decisions.gateway"})
    ).status_code == 400


async def test_a_customer_is_forgotten_and_asked_again_there_is_nothing(client: httpx.AsyncClient) -> None:
    for customer in (SAM, {**SAM, "customer_id": "other/1", "event_id": "other"}):
        assert (await client.post("/retain", json={"event_id": "e", **customer})).status_code == 200
    first = await client.delete("/customers/C12345")
    second = await client.delete("/customers/C12345")
    assert first.json() == {"status": "erased", "documents": 4}
    assert second.json() == {"status": "nothing is stored of this customer"}
    assert (await client.get("/decisions/e")).status_code == 404
    assert (await client.get("/decisions/other")).status_code == 200
    assert (await client.delete("/customers/other%2F1")).json()["status"] == "erased"


async def test_who_opted_out_and_was_forgotten_is_not_contacted(client: httpx.AsyncClient) -> None:
    await client.post("/retain", json={**SAM, "event_id": "e"})
    stop = {"customer_id": "C12345", "outcome": "replied", "text": "Please stop texting me"}
    await client.post(PUBLISH.format("outcomes"), json={"messages": [message(stop)]})
    await client.delete("/customers/C12345")
    decision = (await client.post("/retain", json={**SAM, "event_id": "later"})).json()
    assert decision["metadata"]["gate"] == ["opted-out"]


async def test_what_of_a_customer_could_not_be_read_is_forgotten_too(client: httpx.AsyncClient) -> None:
    poison = {"customer_id": "poison", "tenure": -1}
    await client.post(PUBLISH.format("customer-events"), json={"messages": [message(poison)]})
    for _ in range(50):
        answer = (await client.delete("/customers/poison")).json()
        if answer["status"] == "erased":
            break
        await asyncio.sleep(0.02)
    assert answer == {"status": "erased", "documents": 1}


@pytest.mark.parametrize(("customer_id", "code"), [("a" * 129, 422), ("a%07b", 200), ("%00", 200)])
async def test_what_is_no_customers_id_has_left_nothing(client: httpx.AsyncClient, customer_id: str, code: int) -> None:
    assert (await client.delete(f"/customers/{customer_id}")).status_code == code


async def test_a_decision_is_told_no_longer_than_it_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whether or not it was removed in time."""
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    monkeypatch.setenv("RETENTION_KEEP_DAYS", str(2 / 86_400))
    async with serving(local.connect) as client:
        assert (await client.post("/retain", json={**SAM, "event_id": "e"})).status_code == 200
        assert (await client.get("/decisions/e")).status_code == 200
        await asyncio.sleep(2)
        assert (await client.get("/decisions/e")).status_code == 404


async def test_a_push_that_would_have_too_many_wait_is_asked_to_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    monkeypatch.setattr(web, "Queue", partial(Queue, limit=0))
    push = {"message": message(b"any"), "subscription": "projects/p/subscriptions/decisions.gateway"}
    async with serving(local.connect) as client:
        before = telemetry.counts["shed"]
        assert (await client.post("/", json=push)).status_code == 429
        assert telemetry.counts["shed"] == before + 1

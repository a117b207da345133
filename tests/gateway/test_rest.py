"""The REST interface, on the whole system in one process."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from services import local
from services.gateway.app import create
from shared import telemetry, web
from shared.bus import Bus, Envelope
from shared.service import Queue
from shared.settings import Settings
from shared.store import DEAD_LETTERS, Store
from tests.support.customers import SAM

PUBLISH = "/v1/projects/retention-local/topics/{}:publish"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    return create(local.gateway, local.connect)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app) as client:
        yield client


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30) as client,
    ):
        yield client


def message(event: object) -> dict[str, object]:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return {"data": base64.b64encode(data).decode()}


async def test_retain_returns_the_decision(client: httpx.AsyncClient) -> None:
    response = await client.post("/retain", json=SAM)
    assert response.status_code == 200
    decision = response.json()
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
    assert (await client.get(f"/decisions/{decision['event_id']}")).json() == decision


async def test_retain_accepts_facts_without_a_customer_id_and_a_known_risk(client: httpx.AsyncClient) -> None:
    facts = {"tenure": 17, "plan": "Pro", "churn_risk": 0.65, "name": "Sam"}
    decision = (await client.post("/retain", json={"customer_facts": facts})).json()
    assert decision["metadata"]["churn_risk"] == 0.65
    assert decision["metadata"]["churn_risk_source"] == "caller"
    assert decision["metadata"]["assumed"] == ["monthly_charges"]
    assert decision["customer_id"].startswith("anonymous-")


async def test_an_event_sent_twice_gets_the_same_decision(client: httpx.AsyncClient) -> None:
    first, second = [(await client.post("/retain", json={**SAM, "event_id": "e"})).json() for _ in range(2)]
    assert first == second


async def test_the_event_id_of_another_customer_is_refused_without_showing_their_decision(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/retain", json={**SAM, "event_id": "e"})
    response = await client.post("/retain", json={"customer_id": "other", "event_id": "e"})
    assert response.status_code == 409
    assert "Sam" not in response.text


async def test_retain_returns_the_address_of_a_decision_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LosingBus:
        async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
            return [""] * len(envelopes)

        async def check(self) -> None:
            raise OSError("no bus today")

    @asynccontextmanager
    async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
        async with local.connect(settings) as (_, store):
            yield LosingBus(), store

    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    monkeypatch.setenv("RETENTION_ANSWER_SECONDS", "0.05")
    async with serving(create(connect=connect)) as client:
        response = await client.post("/retain", json={**SAM, "event_id": "e/../ 1"})
        assert response.status_code == 202
        assert response.headers["location"] == response.json()["decision"] == "/decisions/e%2F..%2F%201"
        missing = await client.get(response.headers["location"])
        assert missing.status_code == 404
        assert "'e/../ 1'" in missing.json()["detail"]
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "no bus today" in ready.json()["bus"]


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (b"not JSON", 422, "expected"),
        (b"[]", 422, "JSON object"),
        (b"{}", 422, "customer_id: required"),
        (b'{"customer_id": "c", "tenure": -1}', 422, "tenure: below 0; send a whole number from 0 to 100,000"),
        (b'{"customer_id": "c", "tenure": -Infinity}', 422, "tenure: below 0"),
        (b'{"customer_id": "c", "name": "' + b"a" * 10_000 + b'"}', 422, "name: 10,000 characters; send at most 200"),
        (b'{"customer_id": "c", "name": "a\\u0007b"}', 422, "name: has control characters"),
        (b'{"customer_facts": "Sam"}', 422, "customer_facts"),
        (b'{"customer_facts": {"tenure": "long"}}', 422, "tenure: no number"),
        (b"[" * 50_000, 422, "recursion"),
        (b'{"customer_id": "c", "x": "' + b"a" * 10_000_000 + b'"}', 413, "longer than 262,144 bytes"),
        (b'{"customer_id": "\xff"}', 422, "unicode"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_retain_refuses_an_invalid_event_and_says_why(
    client: httpx.AsyncClient, body: bytes, code: int, detail: str
) -> None:
    response = await client.post("/retain", content=body)
    assert response.status_code == code
    assert detail in response.json()["detail"]


STOPPED: dict[str, object] = {**SAM, "opted_out": True}


async def gate_of(client: httpx.AsyncClient, customer_id: object = SAM["customer_id"]) -> list[str]:
    """The reasons not to contact a customer about a new event."""
    response = await client.post("/retain", json={**SAM, "customer_id": customer_id})
    gate: list[str] = response.json()["metadata"]["gate"]
    return gate


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (json.dumps({**STOPPED, "tenure": "x"}).encode(), 422),
        (json.dumps({**STOPPED, "occurred_at": "2026-11-27 01:00:00"}).encode(), 422),
        (json.dumps({**STOPPED, "event_id": "a" * 129}).encode(), 422),
        (json.dumps({"customer_id": "C12345", "customer_facts": {"opted_out": "Y", "tenure": -1}}).encode(), 422),
        (json.dumps([STOPPED]).encode(), 422),
        (json.dumps(STOPPED).encode()[:-1], 422),
        (json.dumps({**STOPPED, "x": "a" * 300_000}).encode(), 413),
    ],
    ids=lambda value: str(value)[-40:],
)
async def test_an_opt_out_in_an_event_that_retain_refuses_is_kept(
    client: httpx.AsyncClient, body: bytes, code: int
) -> None:
    assert (await client.post("/retain", content=body)).status_code == code
    await client.post("/retain", json={**SAM, "customer_id": "other"})  # handled after the opt-out
    assert await gate_of(client) == ["opted-out"]


async def test_an_opt_out_with_the_event_id_of_another_customer_is_kept(client: httpx.AsyncClient) -> None:
    await client.post("/retain", json={**SAM, "customer_id": "other", "event_id": "e"})
    assert (await client.post("/retain", json={**STOPPED, "event_id": "e"})).status_code == 409
    await client.post("/retain", json={**SAM, "customer_id": "third"})  # handled after the opt-out
    assert await gate_of(client) == ["opted-out"]


async def test_an_opt_out_with_an_event_id_that_is_decided_is_kept(client: httpx.AsyncClient) -> None:
    first = await client.post("/retain", json={**SAM, "event_id": "e"})
    assert (await client.post("/retain", json={**STOPPED, "event_id": "e"})).json() == first.json()
    await client.post("/retain", json={**SAM, "customer_id": "other"})  # handled after the opt-out
    assert "opted-out" in await gate_of(client)


@pytest.mark.parametrize("topic", ["customer-events", "outcomes"])
@pytest.mark.parametrize(
    "messages",
    [
        [message({**STOPPED, "tenure": "x", "outcome": "unsubscribed", "occurred_at": "soon"})],
        [{"data": "%%%"}, message(STOPPED)],
        [{**message(STOPPED), "attributes": {"retry": 1}}],
        [message({**STOPPED, "x": "a" * 300_000})],
        [message(json.dumps({**STOPPED, "outcome": "opted-out"}).encode()[:-1])],
        [message([STOPPED])],
        [{"data": STOPPED}],
        {"data": message(STOPPED)["data"]},
    ],
    ids=lambda messages: str(messages)[-40:],
)
async def test_an_opt_out_in_what_is_published_is_kept(client: httpx.AsyncClient, topic: str, messages: object) -> None:
    await client.post(PUBLISH.format(topic), json={"messages": messages})
    await client.post("/retain", json={**SAM, "customer_id": "other"})  # handled after the opt-out
    assert await gate_of(client) == ["opted-out"]


@pytest.mark.parametrize("customer_id", ["7", 7, 7.0, " 7 ", "7\u00a0", "\ufeff7"])
async def test_an_id_is_the_same_in_every_spelling(client: httpx.AsyncClient, customer_id: object) -> None:
    stop = {"customer_id": customer_id, "outcome": "opted-out"}
    await client.post(PUBLISH.format("outcomes"), json={"messages": [message(stop)]})
    await client.post("/retain", json={**SAM, "customer_id": "other"})
    decision = (await client.post("/retain", json={**SAM, "customer_id": 7, "event_id": customer_id})).json()
    assert decision["metadata"]["gate"] == ["opted-out"]
    assert (await client.get(f"/decisions/{quote(str(customer_id).removesuffix('.0'))}")).json() == decision
    assert (await client.delete("/customers/%207%C2%A0")).json()["status"] == "erased"


@pytest.mark.parametrize("path", ["/decisions/{}", "/customers/{}"])
@pytest.mark.parametrize(
    ("event_id", "detail"), [("%20", "empty; send text of 1 to"), ("a" * 129, "129 characters; send 1")]
)
async def test_an_id_that_none_can_have_is_refused_in_plain_words(
    client: httpx.AsyncClient, path: str, event_id: str, detail: str
) -> None:
    method = "GET" if "decisions" in path else "DELETE"
    response = await client.request(method, path.format(event_id))
    assert response.status_code == 422
    assert detail in response.json()["detail"]


@pytest.mark.parametrize("name", ["???", "~~~", "ÿÿÿ", "a", "ab"])
async def test_base64_is_read_as_protobuf_reads_it(client: httpx.AsyncClient, name: str) -> None:
    event = json.dumps({**SAM, "event_id": name, "name": name}, ensure_ascii=False).encode()
    standard, url_safe = base64.b64encode(event).decode(), base64.urlsafe_b64encode(event).decode()
    for data in (standard, url_safe, standard.rstrip("="), url_safe.rstrip("="), base64.encodebytes(event).decode()):
        for extra in ({}, {"message_id": "1"}, {"messageId": "1", "attributes": None}):
            response = await client.post(
                PUBLISH.format("customer-events"), json={"messages": [{"data": data, **extra}]}
            )
            assert response.status_code == 200, response.text
    assert (await client.post("/retain", json={**SAM, "event_id": name, "name": name})).status_code == 200
    push = {"message": {"data": url_safe.rstrip("="), "message_id": "1"}, "subscription": "decisions.gateway"}
    assert (await client.post("/", json=push)).status_code == 204


async def test_a_message_needs_data_or_attributes(client: httpx.AsyncClient) -> None:
    path = PUBLISH.format("customer-events")
    for empty in ({}, {"data": None}, {"data": "", "attributes": {}}):
        response = await client.post(path, json={"messages": [empty]})
        assert response.status_code == 400
        assert "neither data nor attributes" in response.json()["error"]["message"]
    assert (await client.post(path, json={"messages": [{"attributes": {"a": "b"}}]})).status_code == 200


async def test_events_are_published_as_in_pubsubs_rest_interface(client: httpx.AsyncClient) -> None:
    events = [{**SAM, "customer_id": f"c{n}", "event_id": f"e{n}"} for n in range(5)]
    messages = [message(event) for event in events]
    response = await client.post(PUBLISH.format("customer-events"), json={"messages": messages})
    assert response.status_code == 200
    assert len(set(response.json()["messageIds"])) == 5
    for event in events:
        assert (await client.post("/retain", json=event)).json()["customer_id"] == event["customer_id"]


@pytest.mark.parametrize(
    ("topic", "body", "code", "detail"),
    [
        ("no-such-topic", {"messages": [message(SAM)]}, 404, "no topic 'no-such-topic'"),
        ("decisions", {"messages": [message(SAM)]}, 403, "Only services publish to 'decisions'"),
        ("customer-events", {"messages": []}, 400, "messages"),
        ("customer-events", {}, 400, "messages: required"),
        ("customer-events", {"messages": [{"data": "%%%"}]}, 400, "not base64"),
        ("customer-events", {"messages": [{"data": "é"}]}, 400, "not base64"),
        ("customer-events", {"messages": [message(b"a" * 300_000)]}, 400, "at most 262,144 bytes"),
    ],
)
async def test_an_invalid_publish_request_is_refused_with_an_error_in_pubsubs_form(
    client: httpx.AsyncClient, topic: str, body: object, code: int, detail: str
) -> None:
    response = await client.post(PUBLISH.format(topic), json=body)
    assert response.status_code == code
    assert response.json()["error"]["code"] == code
    assert detail in response.json()["error"]["message"]


async def test_publishing_to_another_project_is_refused(client: httpx.AsyncClient) -> None:
    path = "/v1/projects/other/topics/customer-events:publish"
    response = await client.post(path, json={"messages": [message(SAM)]})
    assert response.status_code == 404
    assert "'retention-local'" in response.json()["error"]["message"]


async def test_an_invalid_message_that_is_published_becomes_a_dead_letter(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    response = await client.post(PUBLISH.format("customer-events"), json={"messages": [message(b"poison")]})
    await client.post("/retain", json=SAM)  # once this is decided, the message before it has been handled
    [message_id] = response.json()["messageIds"]
    [letter] = app.state.store.all(DEAD_LETTERS).values()
    assert base64.b64decode(letter["data"]) == b"poison"
    assert letter["attributes"]["message_id"] == message_id
    assert "expected" in letter["attributes"]["reason"]


def test_every_path_of_the_interface_is_described(app: FastAPI) -> None:
    operations = [operation for path in app.openapi()["paths"].values() for operation in path.values()]
    assert len(operations) == 6
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert all(parameter["description"] for parameter in operation.get("parameters", ()))


async def test_health_and_readiness(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json()["status"] == "ok"
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"service": "gateway", "models": "ok", "bus": "ok", "store": "ok"}


async def test_a_decision_that_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/decisions/nobody")).status_code == 404


async def test_a_push_is_accepted_unless_the_request_itself_is_invalid(client: httpx.AsyncClient) -> None:
    decision = (await client.post("/retain", json={**SAM, "event_id": "pushed"})).json()

    def push(data: object, subscription: str = "projects/p/subscriptions/decisions.gateway") -> dict[str, object]:
        return {"message": {**message(data), "messageId": "1", "publishTime": "now"}, "subscription": subscription}

    assert (await client.post("/", json=push(decision))).status_code == 204
    assert (await client.post("/", json=push(b"poison"))).status_code == 204  # acknowledged, as a dead letter
    assert (await client.post("/", json=push(decision, "projects/p/subscriptions/other"))).status_code == 404
    assert (await client.post("/", content=b"not JSON")).status_code == 400
    assert (await client.post("/", content=b"a" * 16_000_000)).status_code == 413
    assert (
        await client.post("/", json={"message": {"data": "%"}, "subscription": "decisions.gateway"})
    ).status_code == 400


async def test_a_customer_is_erased_and_the_second_time_nothing_is_stored(client: httpx.AsyncClient) -> None:
    for customer in (SAM, {**SAM, "customer_id": "other/1", "event_id": "other"}):
        assert (await client.post("/retain", json={"event_id": "e", **customer})).status_code == 200
    first = await client.delete("/customers/C12345")
    second = await client.delete("/customers/C12345")
    assert first.json() == {"status": "erased", "documents": 4}
    assert second.json() == {"status": "nothing is stored of this customer"}
    assert (await client.get("/decisions/e")).status_code == 404
    assert (await client.get("/decisions/other")).status_code == 200
    assert (await client.delete("/customers/other%2F1")).json()["status"] == "erased"


async def test_an_erased_customer_who_opted_out_is_still_not_contacted(client: httpx.AsyncClient) -> None:
    await client.post("/retain", json={**SAM, "event_id": "e"})
    stop = {"customer_id": "C12345", "outcome": "replied", "text": "Please stop texting me"}
    await client.post(PUBLISH.format("outcomes"), json={"messages": [message(stop)]})
    await client.delete("/customers/C12345")
    decision = (await client.post("/retain", json={**SAM, "event_id": "later"})).json()
    assert decision["metadata"]["gate"] == ["opted-out"]


async def test_dead_letters_about_a_customer_are_erased_too(client: httpx.AsyncClient) -> None:
    poison = {"customer_id": "poison", "tenure": -1}
    await client.post(PUBLISH.format("customer-events"), json={"messages": [message(poison)]})
    for _ in range(50):
        result = (await client.delete("/customers/poison")).json()
        if result["status"] == "erased":
            break
        await asyncio.sleep(0.02)
    assert result == {"status": "erased", "documents": 1}


@pytest.mark.parametrize(("customer_id", "code"), [("a" * 129, 422), ("a%07b", 422), ("%00", 422)])
async def test_erasing_a_customer_id_that_no_event_can_have(
    client: httpx.AsyncClient, customer_id: str, code: int
) -> None:
    assert (await client.delete(f"/customers/{customer_id}")).status_code == code


@pytest.mark.slow
async def test_a_decision_is_not_found_once_it_is_due_to_be_deleted(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it has not been deleted yet."""
    monkeypatch.setenv("RETENTION_KEEP_DAYS", str(2 / 86_400))
    async with serving(app) as client:
        assert (await client.post("/retain", json={**SAM, "event_id": "e"})).status_code == 200
        assert (await client.get("/decisions/e")).status_code == 200
        await asyncio.sleep(2)
        assert (await client.get("/decisions/e")).status_code == 404


async def test_a_push_to_a_full_queue_is_refused_for_now(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "Queue", partial(Queue, max_pending=0))
    push = {"message": message(b"any"), "subscription": "projects/p/subscriptions/decisions.gateway"}
    async with serving(app) as client:
        before = telemetry.counts["shed"]
        assert (await client.post("/", json=push)).status_code == 429
        assert telemetry.counts["shed"] == before + 1

"""Malformed requests: each is answered, never with an unexpected server error, and accepted messages are not lost."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from services.gateway.app import build as gateway
from services.messenger.app import build as messenger
from services.policy.app import build as policy
from services.scorer.app import build as scorer
from services.shield.app import build as shield
from shared import web
from shared.bus import Bus, LocalBus
from shared.messages import Outcome
from shared.settings import Settings
from shared.store import SQLiteStore, Store
from shared.topology import INPUT_TOPICS, SUBSCRIPTIONS, Subscription
from tests.fuzz.mutants import EXAMPLES, FUZZ_SETTINGS, messages, pubsub_requests
from tests.support.emulators import free_port
from tests.support.processes import process, wait_until_ready

pytestmark = pytest.mark.slow

BUILDS: dict[str, web.Build] = {
    "scorer": scorer,
    "policy": policy,
    "messenger": messenger,
    "shield": shield,
    "gateway": gateway,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole system in a process of its own; afterwards it must still be ready, and have retried nothing."""
    folder, port = tmp_path_factory.mktemp("fuzz"), free_port()
    environment = {
        "RETENTION_STATE": str(folder / "state.sqlite"),
        "RETENTION_PORT": str(port),
        "RETENTION_RATE": "1e9",
    }
    url = f"http://127.0.0.1:{port}"
    with process([sys.executable, "-m", "services"], folder / "log", {**os.environ, **environment}):
        wait_until_ready(f"{url}/readyz", folder / "log")
        yield url
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert "retries" not in httpx.get(f"{url}/healthz").json()["counts"]


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=10) as client:
        yield client


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.slow
def test_any_request_to_the_documented_paths_is_answered(url: str, session: requests.Session) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    results = list(schema.get_all_operations())
    for result in results:
        assert isinstance(result, Ok)
        valid, invalid = (result.ok().as_strategy(generation_mode=mode) for mode in GenerationMode)

        @settings(FUZZ_SETTINGS, max_examples=EXAMPLES // len(results))
        @given(valid | invalid)
        def check(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=[not_a_server_error], session=session, timeout=10)

        check()


def test_any_event_sent_to_retain_is_decided_or_refused(client: httpx.Client) -> None:
    @FUZZ_SETTINGS
    @given(messages("customer-events"))
    def check(event: bytes) -> None:
        response = client.post("/retain", content=event)
        assert response.status_code in (200, 409, 422), response.text  # 409: the golden event id, of another customer
        if response.status_code == 200:
            event_id = quote(response.json()["event_id"], safe="").replace(".", "%2E")
            assert client.get(f"/decisions/{event_id}").content == response.content

    check()


@pytest.mark.parametrize("topic", INPUT_TOPICS)
def test_any_publish_request_is_accepted_or_refused(client: httpx.Client, topic: str) -> None:
    @FUZZ_SETTINGS
    @given(pubsub_requests(messages(topic), messages=list))
    def check(body: bytes) -> None:
        response = client.post(f"/v1/projects/retention-local/topics/{topic}:publish", content=body)
        assert response.status_code in (200, 400), response.text
        assert ("messageIds" if response.status_code == 200 else "error") in response.json()

    check()


@asynccontextmanager
async def without_subscribers(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    """A bus without subscribers, and an empty store."""
    store = SQLiteStore()
    yield LocalBus(), store
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=lambda s: s.name)
def test_any_push_is_accepted_or_refused(subscription: Subscription) -> None:
    app = web.create_app(BUILDS[subscription.service], without_subscribers)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
    pushes = pubsub_requests(messages(subscription.topic), message=dict, subscription=subscription.name)
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())

        # An outcome may arrive before its decision, and is then retried.
        expected = (204, 400, 404, *([503] if subscription.topic == Outcome.topic else []))

        @FUZZ_SETTINGS
        @given(pushes)
        def check(push: bytes) -> None:
            assert runner.run(client.post("/", content=push)).status_code in expected

        check()
        runner.run(lifespan.__aexit__(None, None, None))

"""Whatever comes over HTTP: it is answered, never with a failure of ours, and what was taken is not lost."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

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
from shared.topology import INPUT_TOPICS, SUBSCRIPTIONS
from tests.fuzz.mutants import DOOR, EXAMPLES, enveloped, messages
from tests.support.emulators import free_port
from tests.support.processes import process, wait

BUILDS: dict[str, web.Build] = {
    "scorer": scorer,
    "policy": policy,
    "messenger": messenger,
    "shield": shield,
    "gateway": gateway,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole system in a process of its own. Afterwards it is still well, and gave up on nothing."""
    folder, port = tmp_path_factory.mktemp("fuzz"), free_port()
    state = {"RETENTION_STATE": str(folder / "state.sqlite"), "RETENTION_PORT": str(port), "RETENTION_RATE": "1e9"}
    url = f"http://127.0.0.1:{port}"
    with process([sys.executable, "-m", "services"], folder / "log", {**os.environ, **state}):
        wait(f"{url}/readyz", folder / "log")
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


def test_whatever_fits_the_interface_or_does_not_is_answered(url: str, session: requests.Session) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        fitting, other = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

        @settings(DOOR, max_examples=EXAMPLES // len(operations))
        @given(fitting | other)
        def tried(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=[not_a_server_error], session=session, timeout=10)

        tried()


def test_whatever_is_asked_is_decided_or_refused(client: httpx.Client) -> None:
    @DOOR
    @given(messages("customer-events"))
    def tried(event: bytes) -> None:
        answer = client.post("/retain", content=event)
        assert answer.status_code in (200, 409, 422), answer.text  # 409: the golden id, and another customer
        if answer.status_code == 200:
            place = quote(answer.json()["event_id"], safe="").replace(".", "%2E")
            assert client.get(f"/decisions/{place}").content == answer.content

    tried()


@pytest.mark.parametrize("topic", INPUT_TOPICS)
def test_whatever_is_published_is_taken_or_refused(client: httpx.Client, topic: str) -> None:
    @DOOR
    @given(enveloped(messages(topic), messages=list))
    def tried(body: bytes) -> None:
        answer = client.post(f"/v1/projects/retention-local/topics/{topic}:publish", content=body)
        assert answer.status_code in (200, 400), answer.text
        assert ("messageIds" if answer.status_code == 200 else "error") in answer.json()

    tried()


@asynccontextmanager
async def alone(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    """A bus where nobody listens."""
    store = SQLiteStore()
    yield LocalBus(), store
    store.close()


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=lambda s: s.name)
def test_whatever_is_pushed_is_taken_or_refused(subscription) -> None:
    app = web.create_app(BUILDS[subscription.service], alone)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
    pushes = enveloped(messages(subscription.topic), message=dict, subscription=subscription.name)
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())

        # An outcome may be ahead of its decision, and is then asked for again.
        may = (204, 400, 404, *([503] if subscription.topic == Outcome.topic else []))

        @DOOR
        @given(pushes)
        def tried(push: bytes) -> None:
            assert runner.run(client.post("/", content=push)).status_code in may

        tried()
        runner.run(lifespan.__aexit__(None, None, None))

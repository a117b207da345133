"""A full disk, a stop in the middle of it, and two servers on one state: nothing that was accepted is lost."""

import asyncio
import base64
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services import local
from services.gateway.app import create
from shared.errors import UnavailableError
from shared.inbox import INBOX
from shared.store import DEAD_LETTERS, SQLiteStore
from tests.support.emulators import free_port
from tests.support.processes import process, wait_until_ready
from tests.wire.test_wire import GOLDEN

PUBLISH = "/v1/projects/retention-local/topics/{}:publish"
EVENTS = 300
INVALID_EVERY = 10


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))
    monkeypatch.setenv("RETENTION_WRITER", "template")
    monkeypatch.setenv("RETENTION_RATE", "1000000")
    monkeypatch.setenv("RETENTION_ANSWER_SECONDS", "0.2")
    return tmp_path / "state.sqlite"


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    app = create(local.gateway, local.connect)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=60) as client,
    ):
        yield app, client


def event(n: int) -> dict[str, Any]:
    return {
        "customer_id": f"c{n}",
        "event_id": f"e{n}",
        "tenure": -1 if n % INVALID_EVERY == 0 else 5,
        "x": "x" * 2_000,
    }


def request(*events: Mapping[str, object]) -> dict[str, object]:
    return {"messages": [{"data": base64.b64encode(json.dumps(event).encode()).decode()} for event in events]}


def accounted_for(state: Path) -> set[int]:
    """The events that have a decision or a dead letter."""
    store = SQLiteStore(state)
    assert store.all(INBOX) == {}, "nothing is left to be done"
    letters = [json.loads(base64.b64decode(letter["data"])) for letter in store.all(DEAD_LETTERS).values()]
    names = [*store.all("decisions"), *(letter["event_id"] for letter in letters)]
    store.close()
    return {int(name[1:]) for name in names if name.startswith("e")}


async def recovered(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


async def handled(store: SQLiteStore) -> None:
    async with asyncio.timeout(60):
        while store.all(INBOX):
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [False, True], ids=["serving on", "stopped in the outage"])
async def test_what_was_accepted_on_a_disk_that_fills_up_gets_its_decision_or_dead_letter(
    state: Path, stop: bool
) -> None:
    accepted = set[int]()
    async with serving() as (app, client):
        store: SQLiteStore = app.state.store
        store._db.execute("PRAGMA max_page_count = 150")
        for n in range(EVENTS):
            response = await client.post(PUBLISH.format("customer-events"), json=request(event(n)))
            if response.status_code == 200:
                accepted.add(n)
            else:
                assert response.status_code == 503
                assert response.json()["error"]["status"] == "UNAVAILABLE"
                assert "the disk is full" in response.json()["error"]["message"]
        assert 10 < len(accepted) < EVENTS
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "the disk is full" in ready.json()["store"]
        assert (await client.get("/healthz")).status_code == 200
        if not stop:
            store._db.execute("PRAGMA max_page_count = 1000000")
            await recovered(client)
            assert (await client.post("/retain", json=event(EVENTS + 1))).status_code in (200, 202)
            await handled(store)
    if stop:
        async with serving() as (app, client):
            await handled(app.state.store)
    assert accounted_for(state) - {EVENTS + 1} == accepted


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/retain", event(2)),
        ("POST", PUBLISH.format("customer-events"), request(event(2), event(3))),
        ("POST", PUBLISH.format("outcomes"), request({"customer_id": "c1", "outcome": "opted-out"})),
        ("DELETE", "/customers/c1", None),
    ],
)
async def test_every_door_refuses_what_cannot_be_kept(state: Path, method: str, path: str, body: object) -> None:
    async with serving() as (app, client):
        assert (await client.post("/retain", json=event(1))).status_code in (200, 202)
        await handled(app.state.store)
        app.state.store._db.execute("PRAGMA query_only = 1")
        response = await client.request(method, path, json=body)
        assert response.status_code == 503
        assert "the state cannot be used" in response.text
        assert (await client.get("/decisions/e1")).status_code == 200, "what was decided can still be read"
        app.state.store._db.execute("PRAGMA query_only = 0")
        assert (await client.request(method, path, json=body)).status_code in (200, 202)


async def test_a_push_that_cannot_be_stored_is_not_acknowledged(state: Path) -> None:
    """So Pub/Sub keeps it and pushes it again."""
    async with serving() as (app, client):
        decision = (GOLDEN / "decisions.json").read_bytes()
        message = {"data": base64.b64encode(decision).decode(), "messageId": "1"}
        push = {"message": message, "subscription": "projects/p/subscriptions/decisions.gateway"}
        app.state.store._db.execute("PRAGMA query_only = 1")
        assert (await client.post("/", json=push)).status_code == 503
        app.state.store._db.execute("PRAGMA query_only = 0")
        assert (await client.post("/", json=push)).status_code == 204


async def test_other_requests_are_answered_while_another_process_holds_the_lock(state: Path) -> None:
    async with serving() as (app, client):
        other = sqlite3.connect(state, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        publishing = asyncio.create_task(client.post(PUBLISH.format("customer-events"), json=request(event(1))))
        for _ in range(20):
            start = time.monotonic()
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/decisions/e1")).status_code == 404
            assert time.monotonic() - start < 0.5
            await asyncio.sleep(0.02)
        assert not publishing.done()
        other.execute("COMMIT")
        other.close()
        assert (await publishing).status_code == 200
        await handled(app.state.store)
    assert accounted_for(state) == {1}


async def test_retain_says_pending_and_not_refused_where_the_outage_begins_after_it_was_accepted(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as (app, client):
        store: SQLiteStore = app.state.store
        update_all = store.update_all

        async def only_the_inbox(updates: Any) -> Any:
            if all(key[0] == INBOX for keys, _ in updates for key in keys):
                return await update_all(updates)
            raise UnavailableError("the disk is full")

        with monkeypatch.context() as outage:
            outage.setattr(store, "update_all", only_the_inbox)
            response = await client.post("/retain", json=event(1))
            assert response.status_code == 202
        async with asyncio.timeout(30):
            while (await client.get(response.headers["location"])).status_code != 200:
                await asyncio.sleep(0.05)


async def test_too_many_waiting_messages_are_refused_until_some_are_handled(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.inbox.Inbox.__init__.__defaults__", (3, 10**6))
    async with serving() as (app, client):
        answers = await asyncio.gather(
            *(client.post(PUBLISH.format("customer-events"), json=request(event(n), event(n + 1))) for n in range(20))
        )
        codes = {answer.status_code for answer in answers}
        assert codes == {200, 429}
        await handled(app.state.store)
        assert (await client.post(PUBLISH.format("customer-events"), json=request(event(99)))).status_code == 200


@contextmanager
def server(state: Path, log: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = str(free_port())
    environment = {**os.environ, "RETENTION_STATE": str(state), "RETENTION_PORT": port, **settings}
    with process([sys.executable, "-m", "services"], log, environment) as running:
        wait_until_ready(f"http://127.0.0.1:{port}/readyz", log)
        yield running, f"http://127.0.0.1:{port}"


@pytest.mark.slow
def test_a_process_that_may_not_write_more_refuses_and_a_killed_one_loses_nothing(state: Path, tmp_path: Path) -> None:
    """The limit on the size of files makes writes fail as a full disk does."""
    accepted = set[int]()
    with server(state, tmp_path / "log") as (running, url), httpx.Client(base_url=url, timeout=60) as client:
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        for n in range(EVENTS):
            response = client.post(PUBLISH.format("customer-events"), json=request(event(n)))
            assert response.status_code in (200, 503), response.text
            if response.status_code == 200:
                accepted.add(n)
        assert len(accepted) < EVENTS
        assert client.get("/readyz").status_code == 503
        running.kill()
    with server(state, tmp_path / "log") as (running, url):
        deadline = time.monotonic() + 60
        store = SQLiteStore(state)
        while store.all(INBOX) and time.monotonic() < deadline:
            time.sleep(0.1)
        store.close()
    assert accounted_for(state) == accepted


@pytest.mark.slow
def test_a_second_server_on_a_state_says_so_and_stops_and_a_killed_one_blocks_nobody(
    state: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(state)
    with server(state, tmp_path / "log") as (running, url):
        for path in (state, link, tmp_path / "." / "state.sqlite"):
            second = subprocess.run(
                [sys.executable, "-m", "services"],
                env={**os.environ, "RETENTION_STATE": str(path), "RETENTION_PORT": str(free_port())},
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert second.returncode != 0
            assert "another server is running on" in second.stderr
            assert "Traceback" not in second.stderr
        assert httpx.get(f"{url}/readyz").status_code == 200
        running.kill()
        running.wait()
    with server(state, tmp_path / "log"):
        pass

"""Who may use the gateway, and how often. Whoever is let in asks for a decision that is not there."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from services.gateway import authentication
from services.gateway.app import create
from services.gateway.authentication import Rate
from shared.bus import Bus, LocalBus
from shared.settings import Settings
from shared.store import SQLiteStore, Store
from tests.support.tokens import Signer, key_server

GOOGLE = Signer("google")
KEYS = ("a-key-of-twenty-lette", "another-key-of-ours-ü")


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
    store = SQLiteStore()
    yield LocalBus(), store
    store.close()


@asynccontextmanager
async def gateway() -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    app = create(connect=connect)
    async with app.router.lifespan_context(app):

        def client(address: str = "10.0.0.1") -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
            return httpx.AsyncClient(transport=transport, base_url="http://gateway")

        yield client


async def ask(client: httpx.AsyncClient, **headers: str) -> int:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return (await client.get("/decisions/e", headers=raw)).status_code


async def test_without_keys_anybody_may_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway() as client:
        assert await ask(client()) == 404
    assert "no API key is set" in capsys.readouterr().err


async def test_an_api_key_opens_the_gateway(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}", "{KEYS[1]}"]')
    async with gateway() as client:
        assert [await ask(client(), x_api_key=key) for key in KEYS] == [404, 404]
        for wrong in ("", "wrong", KEYS[0][:-1], KEYS[0] + "e", "é" * 21):
            assert await ask(client(), x_api_key=wrong) == 401
        assert await ask(client()) == 401
        assert await ask(client(), authorization=f"Bearer {KEYS[0]}") == 401
    assert "no API key is set" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/retain"), ("GET", "/decisions/e"), ("POST", "/v1/projects/retention-local/topics/outcomes:publish")],
)
async def test_every_door_of_the_gateway_is_closed(monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}"]')
    async with gateway() as client:
        assert (await client().request(method, path)).status_code == 401
        assert (await client().get("/healthz")).status_code == 200


async def test_an_identity_token_of_a_caller_opens_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    with key_server(GOOGLE) as keys:
        monkeypatch.setenv("RETENTION_CERTS_URL", keys.url)
        monkeypatch.setenv("RETENTION_CALLERS", '["crm@example.org"]')
        monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}"]')
        async with gateway() as client:
            for email, code in (("crm@example.org", 404), ("other@example.org", 403)):
                assert await ask(client(), authorization=f"Bearer {GOOGLE.token(email=email)}") == code
            assert await ask(client(), authorization=f"Bearer {GOOGLE.token(aud='other')}") == 401
            assert await ask(client()) == 401
            assert await ask(client(), x_api_key=KEYS[0]) == 404


async def test_who_comes_too_often_is_told_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_RATE", "0.5")
    async with gateway() as client:
        assert await ask(client("10.0.0.1")) == 404
        answer = await client("10.0.0.1").get("/decisions/e")
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "2"
        assert await ask(client("10.0.0.2")) == 404, "somebody else"


async def test_each_key_has_a_rate_of_its_own_from_wherever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}", "{KEYS[1]}"]')
    monkeypatch.setenv("RETENTION_RATE", "1")
    async with gateway() as client:
        assert await ask(client("10.0.0.1"), x_api_key=KEYS[0]) == 404
        assert await ask(client("10.0.0.2"), x_api_key=KEYS[0]) == 429
        assert await ask(client("10.0.0.1"), x_api_key=KEYS[1]) == 404


async def test_a_short_key_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", '["short"]')
    with pytest.raises(ValueError, match="api_keys"):
        create(connect=connect)


def test_the_rate_is_kept_over_any_time() -> None:
    times = iter([n / 1000 for n in range(5000)])
    rate = Rate(10, lambda: next(times))
    assert sum(rate.wait("c") == 0 for _ in range(5000)) == 10 + 49


def test_after_the_wait_that_was_told_there_is_a_token() -> None:
    times = iter([0.0, 0.0, 4.0])
    rate = Rate(0.25, lambda: next(times))
    assert [rate.wait("c") for _ in range(3)] == [0, 4, 0]


def test_only_so_many_callers_are_remembered_and_those_who_came_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "CALLERS", 2)
    rate = Rate(1, lambda: 0.0)
    waits = [rate.wait(caller) for caller in ("a", "b", "a", "c", "a", "b")]
    assert waits == [0, 0, 1, 0, 1, 0]


def test_a_long_pause_saves_up_no_more_than_a_second_of_requests() -> None:
    times = iter([0.0, *[1000.0] * 10])
    rate = Rate(5, lambda: next(times))
    assert sum(rate.wait("c") == 0 for _ in range(11)) == 1 + 5

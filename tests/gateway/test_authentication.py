"""Who may use the gateway. A caller who is accepted gets 404, because the decision they ask for does not exist."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from services.gateway.app import create
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


async def status(client: httpx.AsyncClient, **headers: str) -> int:
    """Status of a request for a decision, with these headers."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return (await client.get("/decisions/e", headers=raw)).status_code


async def test_without_keys_anybody_can_use_the_gateway_and_a_warning_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with gateway() as client:
        assert await status(client()) == 404
    assert "no API key is set" in capsys.readouterr().err


async def test_a_caller_with_an_api_key_is_accepted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}", "{KEYS[1]}"]')
    async with gateway() as client:
        assert [await status(client(), x_api_key=key) for key in KEYS] == [404, 404]
        for wrong in ("", "wrong", KEYS[0][:-1], KEYS[0] + "e", "é" * 21):
            assert await status(client(), x_api_key=wrong) == 401
        assert await status(client()) == 401
        assert await status(client(), authorization=f"Bearer {KEYS[0]}") == 401
    assert "no API key is set" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/retain"), ("GET", "/decisions/e"), ("POST", "/v1/projects/retention-local/topics/outcomes:publish")],
)
async def test_every_path_requires_a_key_but_the_health_check(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}"]')
    async with gateway() as client:
        assert (await client().request(method, path)).status_code == 401
        assert (await client().get("/healthz")).status_code == 200


async def test_a_caller_with_an_identity_token_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with key_server(GOOGLE) as keys:
        monkeypatch.setenv("RETENTION_CERTS_URL", keys.url)
        monkeypatch.setenv("RETENTION_CALLERS", '["crm@example.org"]')
        monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}"]')
        async with gateway() as client:
            for email, code in (("crm@example.org", 404), ("other@example.org", 403)):
                assert await status(client(), authorization=f"Bearer {GOOGLE.token(email=email)}") == code
            assert await status(client(), authorization=f"Bearer {GOOGLE.token(aud='other')}") == 401
            assert await status(client()) == 401
            assert await status(client(), x_api_key=KEYS[0]) == 404


async def test_a_caller_above_the_rate_is_told_when_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_RATE", "0.5")
    async with gateway() as client:
        assert await status(client("10.0.0.1")) == 404
        response = await client("10.0.0.1").get("/decisions/e")
        assert response.status_code == 429
        assert response.headers["Retry-After"] == "2"
        assert await status(client("10.0.0.2")) == 404, "another caller"


async def test_each_key_has_its_own_rate_whatever_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", f'["{KEYS[0]}", "{KEYS[1]}"]')
    monkeypatch.setenv("RETENTION_RATE", "1")
    async with gateway() as client:
        assert await status(client("10.0.0.1"), x_api_key=KEYS[0]) == 404
        assert await status(client("10.0.0.2"), x_api_key=KEYS[0]) == 429
        assert await status(client("10.0.0.1"), x_api_key=KEYS[1]) == 404


async def test_an_api_key_that_is_too_short_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETENTION_API_KEYS", '["short"]')
    with pytest.raises(SystemExit):
        create(connect=connect)
    assert "RETENTION_API_KEYS" in capsys.readouterr().err

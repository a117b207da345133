"""Pushes with real tokens, signed by a key that a server on this machine publishes."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from math import inf

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import gcp, web
from shared.bus import Bus, LocalBus
from shared.messages import Decision, Message
from shared.service import Service
from shared.settings import Settings
from shared.store import SQLiteStore, Store
from tests.support.tokens import ACCOUNT, Keys, Signer, key_server

GOOGLE, FORGER = Signer("google"), Signer("google")
PUSH = {
    "message": {"data": base64.b64encode(b"poison").decode(), "messageId": "1"},
    "subscription": "decisions.gateway",
}


@pytest.fixture
def keys() -> Iterator[Keys]:
    with key_server(GOOGLE) as keys:
        yield keys


@pytest.fixture
async def service(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("RETENTION_PUSH_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("RETENTION_CERTS_URL", keys.url)
    async with serving() as client:
        yield client


@asynccontextmanager
async def serving() -> AsyncIterator[httpx.AsyncClient]:
    """A service that takes any decision and does nothing with it."""

    async def ignore(decisions: list[Decision]) -> list[list[Message]]:
        return [[] for _ in decisions]

    async def build(settings: Settings, bus: Bus, store: Store) -> Service:
        return Service("gateway", bus, {Decision: ignore})

    @asynccontextmanager
    async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
        store = SQLiteStore()
        yield LocalBus(), store
        store.close()

    app = web.create_app(build, connect)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://s") as client:
        yield client


async def push(client: httpx.AsyncClient, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return (await client.post("/", json=PUSH, headers=headers)).status_code


def segment(claims: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def unsigned() -> str:
    claims = GOOGLE.token().split(".")[1]
    return f"{segment({'alg': 'none', 'kid': 'google'})}.{claims}."


def changed() -> str:
    header, _, signature = GOOGLE.token(email="nobody@example.org").split(".")
    return f"{header}.{GOOGLE.token().split('.')[1]}.{signature}"


async def test_a_push_with_a_valid_token_is_taken(service: httpx.AsyncClient) -> None:
    assert await push(service, GOOGLE.token()) == 204


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(None, 401, id="missing"),
        pytest.param("", 401, id="empty"),
        pytest.param("not.a.token", 401, id="no token"),
        pytest.param(f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.e30", 401, id="too deep"),
        pytest.param(f"{segment({'alg': 'RS256', 'kid': ['google']})}.e30.e30", 401, id="a list of keys"),
        pytest.param(FORGER.token(), 401, id="forged under the name of Google's key"),
        pytest.param(Signer("another").token(), 401, id="signed by a key that is not Google's"),
        pytest.param(unsigned(), 401, id="not signed"),
        pytest.param(changed(), 401, id="changed"),
        pytest.param(GOOGLE.token(exp=int(time.time()) - 1), 401, id="expired"),
        pytest.param(GOOGLE.token(exp=None), 401, id="never expiring"),
        pytest.param(GOOGLE.token(iat=int(time.time()) + 600), 401, id="of tomorrow"),
        pytest.param(GOOGLE.token(aud="somebody else"), 401, id="for another audience"),
        pytest.param(GOOGLE.token(aud=None), 401, id="for no audience"),
        pytest.param(GOOGLE.token(iss="https://example.org"), 401, id="of another issuer"),
        pytest.param(GOOGLE.token(email="other@retention.iam.gserviceaccount.com"), 403, id="of another account"),
        pytest.param(GOOGLE.token(email=None), 403, id="of no account"),
        pytest.param(GOOGLE.token(email_verified=False), 403, id="not verified"),
        pytest.param(GOOGLE.token(email_verified=None), 403, id="not said to be verified"),
        pytest.param(GOOGLE.token(email_verified="true"), 403, id="verified in words"),
    ],
)
async def test_any_other_push_is_refused(service: httpx.AsyncClient, token: str | None, code: int) -> None:
    assert await push(service, token) == code


async def test_another_scheme_is_no_token(service: httpx.AsyncClient) -> None:
    answer = await service.post("/", json=PUSH, headers={"Authorization": f"Basic {GOOGLE.token()}"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_where_no_account_is_set_the_open_door_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as client:
        assert await push(client, None) == 204
    assert "no push account is set" in capsys.readouterr().err


async def test_keys_are_fetched_once_for_many_pushes_forged_ones_too(service: httpx.AsyncClient, keys: Keys) -> None:
    unknown = Signer("another").token()
    codes = await asyncio.gather(*(push(service, token) for token in [GOOGLE.token(), unknown] * 20))
    assert sorted(codes) == [204] * 20 + [401] * 20
    assert keys.asked == 1


async def test_a_new_key_of_googles_is_soon_known_and_an_old_one_gone(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = gcp.Tokens(keys.url)
    await tokens.claims(GOOGLE.token(), "retention")
    new = Signer("new")
    keys.signers = [new]
    with pytest.raises(ValueError, match="new"):
        await tokens.claims(new.token(), "retention")
    monkeypatch.setattr(gcp, "NEW", 0)
    assert (await tokens.claims(new.token(), "retention"))["email"] == ACCOUNT
    with pytest.raises(ValueError, match="google"):
        await tokens.claims(GOOGLE.token(), "retention")


async def test_keys_are_fetched_again_when_they_are_old(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp, "FRESH", 0)
    tokens = gcp.Tokens(keys.url)
    for _ in range(2):
        await tokens.claims(GOOGLE.token(), "retention")
    assert keys.asked == 2


async def test_where_the_keys_cannot_be_had_pubsub_is_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_PUSH_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("RETENTION_CERTS_URL", "http://127.0.0.1:9")
    async with serving() as client:
        assert await push(client, GOOGLE.token()) == 503


KEYS = gcp.Tokens("")
KEYS._certs, KEYS._fetched = {"google": GOOGLE.certificate}, inf  # and never again
JSON = st.recursive(st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s))
PARTS = st.text() | st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode()) | JSON.map(segment)


@given(st.lists(PARTS, max_size=4).map(".".join))
async def test_whatever_stands_in_place_of_a_token_is_just_not_one(token: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        await KEYS.claims(token, "retention")

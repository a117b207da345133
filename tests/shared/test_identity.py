"""Authentication of pushes by real tokens, signed with a key that a server on this machine publishes."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import web
from shared.bus import Bus, LocalBus
from shared.gcp import tokens
from shared.messages import Decision, Message
from shared.service import Service
from shared.settings import Settings
from shared.store import SQLiteStore, Store
from tests.support.tokens import ACCOUNT, PublishedKeys, Signer, key_server

GOOGLE, FORGER = Signer("google"), Signer("google")
PUSH = {
    "message": {"data": base64.b64encode(b"poison").decode(), "messageId": "1"},
    "subscription": "decisions.gateway",
}


@pytest.fixture
def keys() -> Iterator[PublishedKeys]:
    with key_server(GOOGLE) as keys:
        yield keys


@pytest.fixture
async def service(keys: PublishedKeys, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("RETENTION_PUSH_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("RETENTION_CERTS_URL", keys.url)
    async with serving() as client:
        yield client


@asynccontextmanager
async def serving() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that accepts decisions and does nothing with them."""

    async def ignore(decisions: Sequence[Decision]) -> list[list[Message]]:
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


def encode(claims: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def unsigned_token() -> str:
    claims = GOOGLE.token().split(".")[1]
    return f"{encode({'alg': 'none', 'kid': 'google'})}.{claims}."


def altered_token() -> str:
    header, _, signature = GOOGLE.token(email="nobody@example.org").split(".")
    return f"{header}.{GOOGLE.token().split('.')[1]}.{signature}"


async def test_a_push_with_a_valid_token_is_accepted(service: httpx.AsyncClient) -> None:
    assert await push(service, GOOGLE.token()) == 204


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(None, 401, id="missing"),
        pytest.param("", 401, id="empty"),
        pytest.param("not.a.token", 401, id="not a token"),
        pytest.param(f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.e30", 401, id="deeply nested"),
        pytest.param(f"{encode({'alg': 'RS256', 'kid': ['google']})}.e30.e30", 401, id="key id is a list"),
        pytest.param(FORGER.token(), 401, id="forged with the id of Google's key"),
        pytest.param(Signer("another").token(), 401, id="signed with another key"),
        pytest.param(unsigned_token(), 401, id="unsigned"),
        pytest.param(altered_token(), 401, id="altered after signing"),
        pytest.param(GOOGLE.token(exp=int(time.time()) - 1), 401, id="expired"),
        pytest.param(GOOGLE.token(exp=None), 401, id="without expiry"),
        pytest.param(
            GOOGLE.token(iat=int(time.time()) + 7200, exp=int(time.time()) + 10_800), 401, id="issued in the future"
        ),
        pytest.param(GOOGLE.token(aud="somebody else"), 401, id="for another audience"),
        pytest.param(GOOGLE.token(aud=None), 401, id="for no audience"),
        pytest.param(GOOGLE.token(iss="https://example.org"), 401, id="from another issuer"),
        pytest.param(GOOGLE.token(email="other@retention.iam.gserviceaccount.com"), 403, id="for another account"),
        pytest.param(GOOGLE.token(email=None), 403, id="for no account"),
        pytest.param(GOOGLE.token(email_verified=False), 403, id="email not verified"),
        pytest.param(GOOGLE.token(email_verified=None), 403, id="no statement about verification"),
        pytest.param(GOOGLE.token(email_verified="true"), 403, id="verification as text"),
    ],
)
async def test_a_push_with_an_invalid_token_is_refused(
    service: httpx.AsyncClient, token: str | None, code: int
) -> None:
    assert await push(service, token) == code


async def test_another_authentication_scheme_is_refused(service: httpx.AsyncClient) -> None:
    response = await service.post("/", json=PUSH, headers={"Authorization": f"Basic {GOOGLE.token()}"})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_without_a_push_account_anybody_can_push_and_a_warning_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with serving() as client:
        assert await push(client, None) == 204
    assert "no push account is set" in capsys.readouterr().err


async def test_keys_are_fetched_once_for_many_pushes_even_forged_ones(
    service: httpx.AsyncClient, keys: PublishedKeys
) -> None:
    forged = Signer("another").token()
    codes = await asyncio.gather(*(push(service, token) for token in [GOOGLE.token(), forged] * 20))
    assert sorted(codes) == [204] * 20 + [401] * 20
    assert keys.requests == 1


async def test_a_new_key_of_google_is_soon_accepted_and_an_old_one_refused(
    keys: PublishedKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = tokens.GoogleTokenVerifier(keys.url)
    await verifier.claims(GOOGLE.token(), "retention")
    new = Signer("new")
    keys.signers = [new]
    with pytest.raises(ValueError, match="new"):
        await verifier.claims(new.token(), "retention")
    monkeypatch.setattr(tokens, "KEYS_MIN_AGE_SECONDS", 0)
    assert (await verifier.claims(new.token(), "retention"))["email"] == ACCOUNT
    with pytest.raises(ValueError, match="google"):
        await verifier.claims(GOOGLE.token(), "retention")


async def test_keys_are_fetched_again_when_they_are_old(keys: PublishedKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "KEYS_MAX_AGE_SECONDS", 0)
    verifier = tokens.GoogleTokenVerifier(keys.url)
    for _ in range(2):
        await verifier.claims(GOOGLE.token(), "retention")
    assert keys.requests == 2


async def test_a_push_is_refused_for_now_when_the_keys_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_PUSH_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("RETENTION_CERTS_URL", "http://127.0.0.1:9")
    async with serving() as client:
        assert await push(client, GOOGLE.token()) == 503


VERIFIER = tokens.GoogleTokenVerifier("", lambda url: {"google": GOOGLE.certificate})
JSON = st.recursive(st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s))
PARTS = st.text() | st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode()) | JSON.map(encode)


@pytest.mark.slow
@given(st.lists(PARTS, max_size=4).map(".".join))
async def test_arbitrary_text_as_a_token_is_refused_without_any_other_error(token: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        await VERIFIER.claims(token, "retention")

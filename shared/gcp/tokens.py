"""Verification of Google's identity tokens."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from google.auth import jwt
from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request

ISSUERS = ("accounts.google.com", "https://accounts.google.com")
FETCH_TIMEOUT_SECONDS = 5.0
KEYS_MAX_AGE_SECONDS, KEYS_MIN_AGE_SECONDS = 3600.0, 60.0
"""Age of Google's keys from which they are fetched again: in any case, and for a token that names an unknown key."""

Certificates = Mapping[str, str]
"""Certificates in PEM format, by key id."""


def fetch_certificates(url: str) -> Certificates:
    """Google's certificates at `url`. Raises ConnectionError where they cannot be fetched or read."""
    try:
        response = Request()(url, timeout=FETCH_TIMEOUT_SECONDS)
        return dict(json.loads(response.data))
    except (TransportError, ValueError) as error:
        raise ConnectionError(f"Google's keys cannot be fetched from {url}: {error}") from error


class GoogleTokenVerifier:
    """Verifies Google's identity tokens. Keys are fetched rarely, however many tokens are forged."""

    def __init__(self, certs_url: str, fetch: Callable[[str], Certificates] = fetch_certificates) -> None:
        self._url, self._fetch = certs_url, fetch
        self._certificates: Certificates = {}
        self._fetched_at = -inf
        self._fetching = asyncio.Lock()

    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        try:
            key_id = jwt.decode_header(token).get("kid")
            claims: Mapping[str, Any] = jwt.decode(token, await self._keys(key_id), audience=audience)
        except (TypeError, RecursionError) as error:  # which Google's client raises for some malformed tokens
            raise ValueError(f"not a token: {error!r}") from error
        if claims.get("iss") not in ISSUERS:
            raise ValueError("not issued by Google")
        return claims

    async def _keys(self, key_id: object) -> Certificates:
        """The certificates, fetched again when old. An unknown `key_id` may be forged, so it seldom causes a fetch."""
        async with self._fetching:
            age = time.monotonic() - self._fetched_at
            if age > KEYS_MAX_AGE_SECONDS or (age > KEYS_MIN_AGE_SECONDS and key_id not in self._certificates):
                self._certificates = await asyncio.to_thread(self._fetch, self._url)
                self._fetched_at = time.monotonic()
        return self._certificates

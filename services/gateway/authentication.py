"""Who may use the gateway, and how often."""

import time
from collections.abc import Callable
from hmac import compare_digest
from math import ceil
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyHeader

from shared import identity
from shared.settings import Settings

CALLERS = 10_000
"""Of whom it is remembered how often they came; beyond that, who came longest ago is forgotten."""

Key = Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]


class Authenticator:
    """Opens to an API key or an identity token; to anybody where neither is set."""

    def __init__(self, settings: Settings) -> None:
        self._keys = [key.get_secret_value().encode() for key in settings.api_keys]
        self._accounts = (
            identity.token_authenticator(settings, settings.callers_audience, settings.callers)
            if settings.callers
            else None
        )
        self._rate = Rate(settings.rate)

    async def authenticate(self, request: Request, key: Key, bearer: identity.Bearer) -> None:
        """Raises 401 or 403 where the caller may not, and 429 where they come too often."""
        if wait := self._rate.wait(await self._caller(request, key, bearer)):
            raise HTTPException(429, "too many requests", {"Retry-After": str(ceil(wait))})

    async def _caller(self, request: Request, key: str | None, bearer: identity.Bearer) -> str:
        if key is not None and self._keys:
            sent = key.encode("latin-1")  # as it travelled
            same = [compare_digest(sent, known) for known in self._keys]  # all of them, each in constant time
            if not any(same):
                raise HTTPException(401, "X-API-Key: no such key")
            return f"key {same.index(True)}"
        if self._accounts:
            return await self._accounts.authenticate(bearer)
        if self._keys:
            raise HTTPException(401, "needed: X-API-Key, with an API key")
        return request.client.host if request.client else ""


class Rate:
    """A bucket of tokens a caller: `rate` flow in a second, and as many are there after a pause."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, caller: str) -> float:
        """Take a token: 0; or the seconds until there is one."""
        now, full = self._clock(), max(1.0, self._rate)
        tokens, since = self._buckets.pop(caller, (full, now))
        tokens = min(full, tokens + (now - since) * self._rate)
        taken = tokens >= 1
        self._buckets[caller] = tokens - taken, now
        if len(self._buckets) > CALLERS:
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if taken else (1 - tokens) / self._rate

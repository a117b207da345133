"""Authentication of the gateway's callers."""

from hmac import compare_digest
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyHeader

from shared import identity
from shared.settings import Settings

APIKey = Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]
"""The API key that the caller sent, or None."""


class Authenticator:
    """Accepts callers with an API key or an identity token of the settings; anybody, where neither is set."""

    def __init__(self, settings: Settings) -> None:
        self._keys = [key.get_secret_value().encode() for key in settings.api_keys]
        self._tokens = (
            identity.token_authenticator(settings, settings.callers_audience, settings.callers)
            if settings.callers
            else None
        )

    async def authenticate(self, request: Request, key: APIKey, bearer: identity.Bearer) -> str:
        """A name for the caller: their key's number, their account or their address.

        Raises HTTPException: 401 or 403 where they are not allowed, 503 where their token cannot be verified.
        """
        if key is not None and self._keys:
            sent = key.encode("latin-1")  # the bytes of the header
            matches = [compare_digest(sent, known) for known in self._keys]  # all of them, each in constant time
            if not any(matches):
                raise HTTPException(401, "X-API-Key: unknown key. Send a key of RETENTION_API_KEYS.")
            return f"key {matches.index(True)}"
        if self._tokens:
            return await self._tokens.authenticate(bearer)
        if self._keys:
            raise HTTPException(401, "X-API-Key: missing. Send a key of RETENTION_API_KEYS.")
        return request.client.host if request.client else ""

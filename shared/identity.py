"""Who speaks: the account of a Google-signed identity token. Knows nothing of how tokens are made or verified."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Protocol

from fastapi import HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.settings import Settings

Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]
"""What stands behind `Authorization: Bearer`, if anything does."""


class Tokens(Protocol):
    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        """What the token says. ValueError unless Google signed it for `audience` and it holds now.

        OSError where that cannot be known.
        """


class TokenAuthenticator:
    """Lets in whoever shows a token, made for `audience`, of one of `accounts`."""

    def __init__(self, tokens: Tokens, audience: str, accounts: Collection[str]) -> None:
        self._tokens, self._audience, self._accounts = tokens, audience, accounts

    async def authenticate(self, bearer: HTTPAuthorizationCredentials | None) -> str:
        """The account; or 401 without a valid token, 403 where it is another account's, 503 where nobody can tell."""
        try:
            claims = await self._tokens.claims(bearer.credentials if bearer else "", self._audience)
        except ValueError as error:
            expected = f"Authorization: Bearer, with an identity token that Google signed for {self._audience!r}"
            raise HTTPException(
                401, f"needed: {expected}, and that holds now", {"WWW-Authenticate": "Bearer"}
            ) from error
        except OSError as error:
            raise HTTPException(503, "Google's keys cannot be had just now") from error
        if claims.get("email_verified") is not True or claims.get("email") not in self._accounts:
            raise HTTPException(403, "the token is of an account that may not")
        return str(claims["email"])


def token_authenticator(settings: Settings, audience: str, accounts: Collection[str]) -> TokenAuthenticator:
    from shared import gcp

    return TokenAuthenticator(gcp.Tokens(settings.certs_url), audience, accounts)

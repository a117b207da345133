"""Authentication of callers by Google-signed identity tokens. Independent of how tokens are verified."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Protocol

from fastapi import HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.settings import Settings

Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]
"""The token of the header `Authorization: Bearer`, or None."""


class TokenVerifier(Protocol):
    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        """The claims of a token. Raises ValueError unless Google signed it for `audience` and it is valid now.

        Raises OSError where the keys to verify it cannot be fetched.
        """


class TokenAuthenticator:
    """Accepts tokens that are made for `audience` and belong to one of `accounts`."""

    def __init__(self, verifier: TokenVerifier, audience: str, accounts: Collection[str]) -> None:
        self._verifier, self._audience, self._accounts = verifier, audience, accounts

    async def authenticate(self, bearer: HTTPAuthorizationCredentials | None) -> str:
        """The caller's account.

        Raises HTTPException: 401 without a valid token, 403 for another account, 503 where it cannot be verified.
        """
        try:
            claims = await self._verifier.claims(bearer.credentials if bearer else "", self._audience)
        except ValueError as error:
            raise HTTPException(
                401,
                "Authorization: missing or invalid token. Send 'Bearer' and an identity token that Google signed for "
                f"the audience {self._audience!r} and that has not expired.",
                {"WWW-Authenticate": "Bearer"},
            ) from error
        except OSError as error:
            raise HTTPException(
                503, "Authorization: the token cannot be verified, because Google's keys are unavailable. Try again."
            ) from error
        if claims.get("email_verified") is not True or claims.get("email") not in self._accounts:
            raise HTTPException(
                403, "Authorization: the token's account is not allowed. Use an account that the settings list."
            )
        return str(claims["email"])


def token_authenticator(settings: Settings, audience: str, accounts: Collection[str]) -> TokenAuthenticator:
    from shared.gcp.tokens import GoogleTokenVerifier

    return TokenAuthenticator(GoogleTokenVerifier(settings.certs_url), audience, accounts)

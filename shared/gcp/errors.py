"""Google's errors in the words of the ports."""

from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from shared.errors import ConfigurationError, UnavailableError

OUTAGES = (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, GoogleAuthError, TimeoutError)
"""Errors that no message or document is to blame for."""


@contextmanager
def translated(service: str, *also: type[Exception]) -> Iterator[None]:
    """Raises `UnavailableError` for an outage of `service`, and for the errors `also` named.

    Raises `ConfigurationError` where there are no credentials.
    """
    try:
        yield
    except DefaultCredentialsError as error:
        raise ConfigurationError(
            f"{service} needs Google's credentials, and there are none: run gcloud auth application-default login, or "
            "set the host of an emulator"
        ) from error
    except (*OUTAGES, *also) as error:
        reason = str(error).partition("\n")[0][:200] or "no answer in time"
        raise UnavailableError(f"{service} is unavailable: {reason}") from error

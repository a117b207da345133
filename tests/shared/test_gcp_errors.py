import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from shared.errors import ConfigurationError, UnavailableError
from shared.gcp.errors import translated


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.ServiceUnavailable("no route"), "Firestore is unavailable: 503 no route"),
        (exceptions.DeadlineExceeded("too late"), "too late"),
        (exceptions.ResourceExhausted("quota"), "quota"),
        (exceptions.InternalServerError("oops\nand its details"), "500 oops"),
        (exceptions.RetryError("gave up", None), "gave up"),
        (RefreshError("expired"), "expired"),
        (TimeoutError(), "no answer in time"),
        (exceptions.NotFound("no such topic"), "no such topic"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_outage_is_no_messages_fault(error: Exception, words: str) -> None:
    with pytest.raises(UnavailableError, match=words) as unavailable, translated("Firestore", exceptions.NotFound):
        raise error
    assert "\n" not in str(unavailable.value)


def test_missing_credentials_are_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigurationError, match="gcloud auth application-default login"), translated("Pub/Sub"):
        raise DefaultCredentialsError("none")


@pytest.mark.parametrize("error", [exceptions.FailedPrecondition("changed"), exceptions.InvalidArgument("too long")])
def test_what_a_document_or_message_is_to_blame_for_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), translated("Firestore"):
        raise error

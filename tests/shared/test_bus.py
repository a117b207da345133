"""Dead letters."""

import pytest

from shared.bus import GZIP_ABOVE_BYTES, MAX_ATTRIBUTES, Envelope, dead_letter, original_message

SUBSCRIPTION = "things.subscriber"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"x" * (GZIP_ABOVE_BYTES + 1)],
    ids=["empty", "one byte", "large enough to be compressed"],
)
@pytest.mark.parametrize("attributes", [{}, {"source": "crm"}])
def test_a_dead_letter_contains_its_original_message(data: bytes, attributes: dict[str, str]) -> None:
    letter = dead_letter(Envelope("things", data, attributes, "m1"), SUBSCRIPTION, "the reason")
    assert letter.attributes["reason"] == "the reason"
    assert len(letter.data) <= GZIP_ABOVE_BYTES
    assert original_message(letter) == Envelope("things", data, {**attributes, "replay_of": "m1"})


def test_a_message_that_fails_again_is_still_identified_by_its_first_id() -> None:
    first = original_message(dead_letter(Envelope("things", b"x", {}, "m1"), SUBSCRIPTION, "the reason"))
    second = original_message(dead_letter(first._replace(id="m2"), SUBSCRIPTION, "the reason"))
    assert second == first


def test_an_encoding_attribute_of_the_publisher_does_not_cause_decompression() -> None:
    message = Envelope("things", b"x", {"encoding": "gzip"}, "m1")
    assert original_message(dead_letter(message, SUBSCRIPTION, "the reason")).data == b"x"


def test_a_dead_letter_has_no_more_attributes_than_pubsub_allows() -> None:
    message = Envelope("things", b"x", {str(n): "" for n in range(MAX_ATTRIBUTES)}, "m1")
    letter = dead_letter(message, SUBSCRIPTION, "the reason")
    assert len(letter.attributes) == MAX_ATTRIBUTES
    assert letter.attributes["reason"] == "the reason"

import pytest

from shared.bus import GZIP_ABOVE_BYTES, Envelope, dead_letter, original_message


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"x" * (GZIP_ABOVE_BYTES + 1)], ids=["nothing", "a byte", "more than is sent unpacked"]
)
@pytest.mark.parametrize("theirs", [{}, {"source": "crm"}])
def test_a_dead_letter_brings_back_its_message(data: bytes, theirs: dict[str, str]) -> None:
    message = Envelope("customer-events", data, theirs, "m1")
    letter = dead_letter(message, "customer-events.scorer", "why")
    assert letter.attributes["reason"] == "why"
    assert len(letter.data) <= GZIP_ABOVE_BYTES
    assert original_message(letter) == Envelope("customer-events", data, {**theirs, "replay_of": "m1"})


def test_what_fails_again_is_still_known_by_its_first_id() -> None:
    first = original_message(dead_letter(Envelope("things", b"x", {}, "m1"), "things.ear", "why"))
    second = original_message(dead_letter(first._replace(id="m2"), "things.ear", "still"))
    assert second == first


def test_what_the_publisher_calls_packed_is_not_unpacked() -> None:
    message = Envelope("things", b"x", {"encoding": "gzip"}, "m1")
    assert original_message(dead_letter(message, "things.ear", "why")).data == b"x"


def test_a_message_with_as_many_attributes_as_pubsub_takes_still_becomes_a_letter() -> None:
    letter = dead_letter(Envelope("things", b"x", {str(n): "" for n in range(100)}, "m1"), "things.ear", "why")
    assert len(letter.attributes) == 100
    assert letter.attributes["reason"] == "why"

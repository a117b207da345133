from uuid import UUID

import pytest

from shared.messages import MESSAGE_TYPES, CustomerEvent, Message, Outcome, PlannedContact, ScoredCustomer


def parse(text: str, message_id: str = "1") -> CustomerEvent:
    return CustomerEvent.parse(text.encode(), message_id)


def scored(event: CustomerEvent) -> ScoredCustomer:
    return ScoredCustomer.caused_by(event, churn_risk=0.5, accept_probs=(0.1, 0.2, 0.3, 0.4))


def test_an_event_without_an_id_is_known_by_the_message_that_brought_it() -> None:
    assert parse('{"customer_id": "c"}', "7").event_id == parse('{"customer_id": "c"}', "7").event_id
    assert parse('{"customer_id": "c"}', "7").event_id != parse('{"customer_id": "c"}', "8").event_id


def test_a_publishers_event_id_is_kept_whatever_message_brings_it() -> None:
    first, second = (parse('{"customer_id": "c", "event_id": "e-1"}', m) for m in "12")
    assert first == second
    assert first.event_id == "e-1"


def test_what_follows_has_an_id_of_its_own_that_is_always_the_same() -> None:
    event = parse('{"customer_id": "c", "event_id": "e"}')
    assert scored(event).id == scored(event).id != event.id
    assert scored(event).event_id == "e"


def test_what_follows_carries_on_what_both_kinds_have() -> None:
    event = parse('{"customer_id": "c", "name": "Sam", "time_zone": "Asia/Tokyo", "contract": "One year"}')
    assert scored(event).name == "Sam"
    assert scored(event).time_zone == "Asia/Tokyo"


def test_unknown_fields_are_ignored() -> None:
    assert parse('{"customer_id": "c", "shoe_size": 44}') == parse('{"customer_id": "c"}')


@pytest.mark.parametrize("blank", ['""', '"  "', "null"])
def test_a_blank_fact_is_a_missing_fact(blank: str) -> None:
    assert parse(f'{{"customer_id": "c", "total_charges": {blank}}}').total_charges is None


@pytest.mark.parametrize(
    ("given", "meant"), [("true", "Yes"), ("1", "Yes"), ("0", "No"), ("false", "No"), ('"Yes"', "Yes")]
)
def test_yes_and_no_come_in_several_forms(given: str, meant: str) -> None:
    assert parse(f'{{"customer_id": "c", "senior_citizen": {given}}}').senior_citizen == meant


def test_the_same_outcome_is_the_same_message_whoever_brings_it() -> None:
    text = b'{"customer_id": "c", "event_id": "e", "outcome": "accepted"}'
    assert Outcome.parse(text, "1") == Outcome.parse(text, "2")
    assert isinstance(Outcome.parse(text, "1").id, UUID)
    with pytest.raises(ValueError, match="JSON object"):
        Outcome.parse(b"7", "1")


def test_every_kind_has_a_topic_of_its_own() -> None:
    kinds = {k for k in (*Message.__subclasses__(), *PlannedContact.__subclasses__())}
    assert set(MESSAGE_TYPES.values()) == kinds

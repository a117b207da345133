from uuid import UUID

import pytest

from shared.messages import (
    MESSAGE_TYPES,
    Action,
    Brief,
    Candidate,
    CustomerEvent,
    FrozenModel,
    Message,
    Metadata,
    Outcome,
    PlannedContact,
    Reason,
    Safety,
    ScoredCustomer,
)


def parse(text: str, message_id: str = "1") -> CustomerEvent:
    return CustomerEvent.parse(text.encode(), message_id)


def scored(event: CustomerEvent) -> ScoredCustomer:
    return ScoredCustomer.caused_by(event, churn_risk=0.5, accept_probs=(0.1, 0.2, 0.3, 0.4))


def test_an_event_without_an_id_is_identified_by_the_message_id() -> None:
    assert parse('{"customer_id": "c"}', "7").event_id == parse('{"customer_id": "c"}', "7").event_id
    assert parse('{"customer_id": "c"}', "7").event_id != parse('{"customer_id": "c"}', "8").event_id


def test_an_event_id_given_by_the_publisher_is_kept_whatever_the_message_id() -> None:
    first, second = (parse('{"customer_id": "c", "event_id": "e-1"}', message_id) for message_id in "12")
    assert first == second
    assert first.event_id == "e-1"


def test_a_message_caused_by_another_has_a_different_and_reproducible_id() -> None:
    event = parse('{"customer_id": "c", "event_id": "e"}')
    assert scored(event).id == scored(event).id != event.id
    assert scored(event).event_id == "e"


def test_a_message_caused_by_another_copies_the_fields_both_types_have() -> None:
    event = parse('{"customer_id": "c", "name": "Sam", "time_zone": "Asia/Tokyo", "contract": "One year"}')
    assert scored(event).name == "Sam"
    assert scored(event).time_zone == "Asia/Tokyo"


def test_unknown_fields_are_ignored() -> None:
    assert parse('{"customer_id": "c", "shoe_size": 44}') == parse('{"customer_id": "c"}')


@pytest.mark.parametrize("blank", ['""', '"  "', "null"])
def test_a_blank_fact_is_an_unknown_fact(blank: str) -> None:
    assert parse(f'{{"customer_id": "c", "total_charges": {blank}}}').total_charges is None


@pytest.mark.parametrize(
    ("value", "expected"), [("true", "Yes"), ("1", "Yes"), ("0", "No"), ("false", "No"), ('"Yes"', "Yes")]
)
def test_a_yes_no_fact_takes_booleans_and_numbers(value: str, expected: str) -> None:
    assert parse(f'{{"customer_id": "c", "senior_citizen": {value}}}').senior_citizen == expected


def test_the_same_outcome_is_the_same_message_whatever_the_message_id() -> None:
    text = b'{"customer_id": "c", "event_id": "e", "outcome": "accepted"}'
    assert Outcome.parse(text, "1") == Outcome.parse(text, "2")
    assert isinstance(Outcome.parse(text, "1").id, UUID)
    with pytest.raises(ValueError, match="JSON object"):
        Outcome.parse(b"7", "1")


def test_every_field_is_described() -> None:
    models: list[type[FrozenModel]] = [*MESSAGE_TYPES.values(), Reason, Action, Metadata, Brief, Candidate, Safety]
    fields = [(model.__name__, name, field) for model in models for name, field in model.model_fields.items()]
    assert [(model, name) for model, name, field in fields if not field.description] == []


def test_every_message_type_has_a_topic_of_its_own() -> None:
    assert set(MESSAGE_TYPES.values()) == {*Message.__subclasses__(), *PlannedContact.__subclasses__()}

import json
from uuid import UUID

import pytest

from shared.messages import (
    MESSAGE_TYPES,
    Action,
    Brief,
    Candidate,
    CustomerEvent,
    CustomerFacts,
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


@pytest.mark.parametrize(
    "blank", ['""', '"  "', "null", "NaN", '"NaN"', '"n/a"', '"NULL"', '"None"', '"-"', '" Unknown "']
)
def test_a_blank_fact_is_an_unknown_fact(blank: str) -> None:
    facts = ", ".join(f'"{fact}": {blank}' for fact in CustomerFacts.model_fields)
    event = parse(f'{{"customer_id": "c", "event_id": {blank}, "occurred_at": {blank}, {facts}}}', "7")
    assert event == parse('{"customer_id": "c"}', "7")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, "Yes") for value in ("true", "1", "1.0", '"1"', '"Yes"', '"yes"', '"Y"', '"TRUE"', '" y "', '"on"')),
        *((value, "No") for value in ("false", "0", "0.0", '"0"', '"No"', '"NO"', '"n"', '"False"', '"off"')),
        ('"No internet service"', "No internet service"),
    ],
)
def test_a_yes_no_fact_takes_booleans_and_numbers(value: str, expected: str) -> None:
    assert parse(f'{{"customer_id": "c", "senior_citizen": {value}}}').senior_citizen == expected


@pytest.mark.parametrize("text", ["12", " 12 ", "12.0", "12,0", "1.2e1", "１２"])
def test_a_number_in_text_is_read_as_that_number(text: str) -> None:
    facts = {"tenure": text, "monthly_charges": text, "churn_risk": f"{text}%"}
    event = CustomerEvent.parse(json.dumps({"customer_id": "c", **facts}).encode(), "1")
    assert (event.tenure, event.monthly_charges, event.churn_risk) == (12, 12, 0.12)


@pytest.mark.parametrize(
    "value", [True, 1, 1.0, "true", "Y", "yes", "on", "1", "OPTED_OUT", "opted out", "unsubscribed"]
)
def test_an_opt_out_is_read_in_every_spelling_and_place(value: object) -> None:
    for fields in ({"opted_out": value}, {"optedOut": value}, {"customer_facts": {"opted_out": value}}):
        assert parse(json.dumps({"customer_id": "c", **fields})).opted_out is True
    both = {"opted_out": value, "customer_facts": {"opted_out": False, "tenure": 1}}
    assert parse(json.dumps({"customer_id": "c", **both})).opted_out is True


OPT_OUT_NAMES = (
    "email_opt_out opt_out_sms marketingOptOut HasOptedOutOfEmail is_opted_out isUnsubscribed dnc DO_NOT_CALL"
    " doNotEmail do_not_disturb dont_contact suppressed unsubscribed_from_newsletter optOutAll"
)


@pytest.mark.parametrize("name", OPT_OUT_NAMES.split())
def test_an_opt_out_is_read_under_the_names_of_other_systems(name: str) -> None:
    for fields in ({name: "Y"}, {"customer_facts": {name: True}}):
        assert parse(json.dumps({"customer_id": "c", **fields})).opted_out is True
    assert not parse(json.dumps({"customer_id": "c", name: False})).opted_out


@pytest.mark.parametrize(
    "name", ["opted_out_at", "not_opted_out", "opt_in", "paperless_billing", "opt_out_reason", "text"]
)
def test_another_field_is_no_opt_out(name: str) -> None:
    assert not parse(json.dumps({"customer_id": "c", name: "Yes"})).opted_out


@pytest.mark.parametrize("field", ["churn_risk", "tenure", "monthly_charges"])
def test_a_truth_value_is_no_number(field: str) -> None:
    for value in (True, False):
        with pytest.raises(ValueError, match=f"^{field}: no number"):
            parse(json.dumps({"customer_id": "c", field: value}))


@pytest.mark.parametrize("outcome", ["opted-out", "unsubscribed", "replied"])
def test_an_outcome_among_the_events_is_refused_if_an_opt_out_would_be_lost(outcome: str) -> None:
    with pytest.raises(ValueError, match="publish it to outcomes"):
        parse(json.dumps({"customer_id": "c", "outcome": outcome, "text": "STOP"}))
    assert parse('{"customer_id": "c", "outcome": "call dropped"}').customer_id == "c"


@pytest.mark.parametrize("spelling", ["12", 12, 12.0, " 12 ", "12\u00a0", "\ufeff12", "\u200b12\n"])
def test_an_id_has_one_form(spelling: object) -> None:
    customer_id = json.dumps(spelling)
    event = parse(f'{{"customer_id": {customer_id}, "event_id": {customer_id}}}')
    assert event == parse('{"customer_id": "12", "event_id": "12"}')
    outcome = f'{{"customer_id": {customer_id}, "event_id": {customer_id}, "outcome": "accepted"}}'
    assert Outcome.parse(outcome.encode(), "") == Outcome.parse(
        b'{"customer_id":"12","event_id":"12","outcome":"accepted"}', ""
    )


def test_the_ids_of_messages_stay_the_same() -> None:
    event = parse('{"customer_id": "C12345", "event_id": "e-1"}')
    assert str(event.id) == "b87facc6-840a-50ea-a24a-569e9a45ea57"
    assert str(scored(event).id) == "63b5e448-d3ba-5bf0-a1e4-a0d2856fb01d"
    assert parse('{"customer_id": "c"}', "7").event_id == "f38836ca-f49a-519e-8513-edfa87410347"
    outcome = b'{"customer_id": "c", "event_id": "e-1", "outcome": "accepted"}'
    assert str(Outcome.parse(outcome, "7").id) == "10bab680-f847-5ad5-92cc-4b88c932f4e1"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_message_in_another_unicode_encoding_is_read(encoding: str) -> None:
    assert CustomerEvent.parse('{"customer_id": "Zoë"}'.encode(encoding), "1").customer_id == "Zoë"


@pytest.mark.parametrize("word", ["Accepted", "ACCEPTED", " accepted "])
def test_an_outcome_is_read_in_any_case(word: str) -> None:
    text = json.dumps({"customer_id": "c", "event_id": "e", "outcome": word}).encode()
    assert Outcome.parse(text, "") == Outcome.parse(b'{"customer_id": "c", "event_id": "e", "outcome": "accepted"}', "")


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

"""An opt-out that can be read is kept, whatever else is wrong with its message."""

import json
import time
from base64 import b64encode, urlsafe_b64encode

import pytest

from shared.opt_outs import read_customer_id, read_opt_outs

STOP = ("A", "opted-out", None)
REPLY = ("A", "replied", "STOP")
EVENT: dict[str, object] = {"customer_id": "A", "opted_out": True}
OUTCOME: dict[str, object] = {"customer_id": "A", "outcome": "replied", "text": "STOP"}


def said(message: object) -> list[tuple[str, str, str | None]]:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return [(outcome.customer_id, outcome.outcome, outcome.text) for outcome in read_opt_outs(data, "1")]


@pytest.mark.parametrize(
    "fields",
    [
        {"tenure": "x"},
        {"monthly_charges": "5,340"},
        {"event_id": "a" * 129},
        {"event_id": "a\x00b"},
        {"event_id": ["e"]},
        {"occurred_at": "2026-11-27 01:00:00"},
        {"occurred_at": "yesterday"},
        {"occurred_at": 1e300},
        {"name": {"first": "Sam"}},
        {"plan": "a" * 300_000},
        {"tenure": float("nan"), "total_charges": float("-inf")},
        {"customer_facts": "Sam"},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_whatever_another_field_holds(fields: dict[str, object]) -> None:
    assert said({**fields, **EVENT}) == [STOP]
    assert said({**fields, **OUTCOME}) == [REPLY]
    assert said({**fields, "customer_id": "A", "outcome": "opted-out"}) == [STOP]


@pytest.mark.parametrize(
    "value", [True, 1, 1.0, "true", "TRUE", "Y", "yes", "on", "1", " Yes ", "OPTED_OUT", "unsubscribed"]
)
def test_in_every_spelling_of_true(value: object) -> None:
    assert said({"customer_id": "A", "opted_out": value}) == [STOP]


@pytest.mark.parametrize("value", [False, 0, "false", "N", "no", "0", None, "", "n/a", float("nan"), [], {}])
def test_what_is_not_true_is_no_opt_out(value: object) -> None:
    assert said({"customer_id": "A", "opted_out": value, "tenure": -1}) == []


def test_an_opted_out_that_is_no_truth_value_is_a_reply_to_read() -> None:
    assert said({"customer_id": "A", "opted_out": "please, no more"}) == [("A", "replied", "please, no more")]


@pytest.mark.parametrize(
    "outcome",
    [
        *("opted-out", "OPTED_OUT", "Opted out", "optedOut", "opt-out", "unsubscribed", "Unsubscribe", "STOP", "unsub"),
        *("sms_opted_out", "group_unsubscribe", "Do Not Call", "dnc", "complained", "Complaint", "spamreport", "spam"),
    ],
)
def test_an_outcome_in_other_words(outcome: str) -> None:
    assert said({"customer_id": "A", "outcome": outcome}) == [STOP]


@pytest.mark.parametrize("outcome", ["replied", "Replied", "REPLY", "unknown", None, 7])
def test_a_text_is_a_reply_whatever_the_outcome(outcome: object) -> None:
    assert said({"customer_id": "A", "outcome": outcome, "text": "STOP"}) == [REPLY]


@pytest.mark.parametrize("name", ["Body", "content", "message", "msg", "TEXT"])
def test_a_text_under_another_name(name: str) -> None:
    assert said({"customer_id": "A", "outcome": "replied", name: "STOP"}) == [REPLY]
    assert said({"customer_id": "A", "type": "inbound", name: "STOP"}) == [REPLY]


@pytest.mark.parametrize(
    "data", [b"customer_id=A&outcome=replied&text=STOP", b"From=%2B44&CustomerId=+A&Body=STOP&type=Inbound\n"]
)
def test_the_fields_of_a_form(data: bytes) -> None:
    assert said(data) == [REPLY]


@pytest.mark.parametrize("text", ["STOP", ["STOP"], {"body": "STOP"}])
def test_a_text_of_another_type(text: object) -> None:
    assert said({"customer_id": "A", "outcome": "replied", "text": text}) == [REPLY]


@pytest.mark.parametrize(
    "message",
    [
        {"customer_id": "A", "customer_facts": {"opted_out": True}},
        {"customer_id": "A", "customer": {"consent": [{"opted_out": "yes"}]}},
        {"customer": {"customer_id": "A"}, "facts": {"opted_out": True}},
        {"customerId": "A", "optedOut": True},
        {"CUSTOMER_ID": " A ", "OPT_OUT": "Y"},
        {"customer_id": "A", "unsubscribed": 1},
        [EVENT],
        json.dumps(EVENT),
        {"data": b64encode(json.dumps(EVENT).encode()).decode()},
        {"messages": [{"data": "%"}, {"data": urlsafe_b64encode(json.dumps(EVENT).encode()).decode().rstrip("=")}]},
        b64encode(json.dumps(EVENT, indent=1).encode()),
    ],
    ids=lambda message: str(message)[:40],
)
def test_wherever_it_stands(message: object) -> None:
    assert said(message) == [STOP]


@pytest.mark.parametrize(
    "data",
    [
        b'{"customer_id": "A", "opted_out": true',
        b'{"customer_id": "A", "opted_out": true, "na',
        b'{"opted_out": true, "customer_id": "A", "name": "\xc3',
        b'{"customer_id": "A", "opted_out": true,}',
        b'{"customer_id": "A" "opted_out": true}',
        b"{'customer_id': 'A', 'opted_out': True, 'tenure': None}",
        b'{customer_id: "A", opted_out: true}',
        b'{"customer_id": "A", "opted_out": true, "tenure": 017}',
        b'{"customer_id": "A", "opted_out": true} trailing',
        b'{"customer_id": "A", "tenure": 1}\n{"customer_id": "A", "opted_out": true}',
        b"customer_id=A&opted_out=true",
        b'\xef\xbb\xbf{"customer_id": "A", "opted_out": true,}',
        '{"customer_id": "A", "opted_out": true,}'.encode("utf-16"),
        '{"customer_id": "A", "opted_out": true, "name": "Zoë"}'.encode("latin-1"),
    ],
)
def test_in_broken_json(data: bytes) -> None:
    assert said(data) == [STOP]


@pytest.mark.parametrize("end", [b"", b'"', b'",', b'", "x": }'])
def test_a_reply_in_broken_json(end: bytes) -> None:
    assert said(b'{"customer_id": "A", "outcome": "replied", "text": "STOP' + end) == [REPLY]


@pytest.mark.parametrize(
    "data",
    [
        b'{"opted_out": true, "customer_id": "A1',
        b'{"opted_out": true, "customer_id": 12',
        b'{"customer_id": "A", "opted_out": t',
    ],
)
def test_what_is_cut_off_is_not_guessed(data: bytes) -> None:
    assert said(data) == []


def test_each_customer_gets_their_own() -> None:
    customers = [
        {"customer_id": "A", "opted_out": True},
        {"customer_id": "B", "opted_out": False},
        {"customer_id": 3, "outcome": "replied", "text": "leave me alone"},
    ]
    expected = [STOP, ("3", "replied", "leave me alone")]
    assert said(customers) == expected
    assert said(b",".join(json.dumps(customer).encode() for customer in customers)) == expected
    assert said(b"\n".join(json.dumps(customer).encode()[:-1] + b",}" for customer in customers)) == expected


NOTHING = ["", "null", "7", "[]", "{}", '"', "\x00", '{"opted_out": true}', '{"customer_id": "", "opted_out": true}']


@pytest.mark.parametrize("text", [*NOTHING, '{"customer_id": "A", "tenure": -1}', '{"customer_id": "A", "text": " "}'])
def test_where_nothing_is_said_nothing_is_read(text: str) -> None:
    assert said(text.encode()) == []


def test_attributes_are_read_too() -> None:
    assert [outcome.customer_id for outcome in read_opt_outs(b'{"opted_out": 1}', "1", {"customer_id": "A"})] == ["A"]
    assert len(read_opt_outs(b"", "1", {"customer_id": "A", "opted_out": "true"})) == 1


def test_reading_again_gives_the_same_and_keeps_the_time() -> None:
    data = json.dumps({**OUTCOME, "event_id": "a" * 129, "occurred_at": "2026-11-27T01:00:00+01:00"}).encode()
    [first], [again], [other] = read_opt_outs(data, "1"), read_opt_outs(data, "1"), read_opt_outs(data, "2")
    assert first == again
    assert first.event_id == ""
    assert first.occurred_at
    assert first.occurred_at.isoformat() == "2026-11-27T01:00:00+01:00"
    [undated] = read_opt_outs(json.dumps({**OUTCOME, "occurred_at": "2026-11-27"}).encode(), "1")
    assert undated.occurred_at is None
    assert other.customer_id == "A"


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 10**5,
        b"a" * 10**7,
        b'"a":"' * 10**6,
        b'{"a":' * 10**5,
        b"a= " * 10**6,
        b"{\n" * 10**6,
        b"'" * 10**6,
        b'"a\\' * 10**6,
    ],
    ids=lambda data: str(data[:5]),
)
def test_a_long_message_is_read_in_a_moment(data: bytes) -> None:
    started_at = time.process_time()
    assert said(data) == []
    assert time.process_time() - started_at < 3


def test_the_customer_of_a_message_is_known_if_it_names_one() -> None:
    assert read_customer_id(b'{"customer_id": " A ", "tenure": }', {}) == "A"
    assert read_customer_id(b"", {"customer_id": "A"}) == "A"
    assert read_customer_id(b'[{"customer_id": "A"}, {"customer_id": "B"}]', {}) is None

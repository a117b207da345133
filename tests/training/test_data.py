import json

import pytest

from shared.messages import CustomerEvent
from training.data import bank
from training.data.__main__ import main
from training.data.sources import TELCO, SourceError, read


def test_telco_becomes_7043_events_without_labels(data, tmp_path):
    main(["telco-events", str(tmp_path / "events.jsonl"), "--data", str(data)])
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    events = [CustomerEvent.parse(line, "unused") for line in lines]
    assert len({event.customer_id for event in events}) == len(events) == 7043
    assert all(event.event_id == f"telco-{event.customer_id}" for event in events)
    assert sum(event.total_charges is None for event in events) == 11
    assert set().union(*map(json.loads, lines)) <= set(CustomerEvent.model_fields)
    assert not any("churn" in name for name in set().union(*map(json.loads, lines)))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"Telco-Customer-Churn\.csv is not there.*--data"):
        read(TELCO, tmp_path)


def test_another_file_under_the_same_name_is_refused(tmp_path):
    (tmp_path / TELCO.path).parent.mkdir()
    (tmp_path / TELCO.path).write_text("customerID,Churn\n")
    with pytest.raises(SourceError, match="another file: its sha256 is"):
        read(TELCO, tmp_path)


@pytest.mark.parametrize(("calls", "level"), [("1", 3), ("2", 2), ("3", 1), ("4", 0), ("56", 0)])
def test_fewer_calls_stand_for_a_stronger_offer(calls, level):
    assert bank.offer_level({"campaign": calls}) == level


def test_unknown_and_never_contacted_are_missing():
    row = {"age": "40", "job": "unknown", "pdays": "999", "duration": "261", "campaign": "2", "y": "no"}
    assert bank.facts(row) == {"age": 40}

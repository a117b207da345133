import json
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from services.scorer import handler
from services.scorer.app import build
from services.scorer.handler import score
from services.scorer.model import ScorerModel
from shared import telemetry, web
from shared.artifacts import ARTIFACTS
from shared.bus import Envelope, LocalBus
from shared.messages import CustomerEvent, ScoredCustomer
from shared.settings import Settings
from shared.store import SQLiteStore

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVENT = {
    "customer_id": "c-1",
    "event_id": "e-1",
    "tenure": 3,
    "contract": "Month-to-month",
    "name": "Ada",
    "plan": "Gold",
}


def event(**facts: object) -> CustomerEvent:
    return CustomerEvent.parse(json.dumps(EVENT | facts).encode(), "m-1")


async def test_each_event_is_followed_by_one_scored_customer(model: ScorerModel) -> None:
    events = [event(), event(event_id="e-2", customer_id="c-2")]
    answers = await score(events, model=model, clock=lambda: NOW)
    assert [[type(message) for message in messages] for messages in answers] == [[ScoredCustomer]] * 2
    assert [(m.event_id, m.customer_id) for [m] in answers] == [("e-1", "c-1"), ("e-2", "c-2")]


async def test_the_scored_customer_bears_what_the_next_service_needs(model: ScorerModel) -> None:
    [[message]] = await score([event(occurred_at="2026-01-01T00:00:00Z")], model=model, clock=lambda: NOW)
    [result] = model.score([event()])
    assert (message.name, message.plan, message.tenure, message.monthly_charges) == ("Ada", "Gold", 3, None)
    assert (message.churn_risk, message.accept_probs, message.reasons) == tuple(result)
    assert message.churn_risk_source == "model"
    assert message.versions == {"scorer": model.version}
    assert message.times == {"occurred_at": datetime(2026, 1, 1, tzinfo=UTC), "scored_at": NOW}


async def test_a_risk_the_caller_knows_replaces_the_models(model: ScorerModel) -> None:
    [[message]] = await score([event(churn_risk=0.0)], model=model, clock=lambda: NOW)
    assert (message.churn_risk, message.churn_risk_source) == (0.0, "caller")
    assert message.reasons == model.score([event()])[0].reasons


async def test_a_repeat_repeats_itself_and_survives_the_wire(model: ScorerModel) -> None:
    [[first]] = await score([event()], model=model, clock=lambda: NOW)
    [[again]] = await score([event()], model=model, clock=lambda: NOW)
    assert first == again == ScoredCustomer.parse(first.model_dump_json().encode(), "m-2")


async def test_no_events_no_messages(model: ScorerModel) -> None:
    assert await score([], model=model, clock=lambda: NOW) == []


async def test_unseen_categories_show_in_the_counts_by_fact_and_without_their_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "counts", Counter())
    model = ScorerModel.load(ARTIFACTS / "scorer")
    for contract in ("Weekly", "Barter"):
        await score([event(contract=contract, job="student")], model=model, clock=lambda: NOW)
    assert telemetry.counts == {"unknown_contract": 2}


async def test_what_was_seen_is_said_from_time_to_time_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, object]] = []
    monkeypatch.setattr(telemetry, "log", lambda message, **fields: lines.append({"message": message, **fields}))
    monkeypatch.setattr(handler, "LOG_INTERVAL", 3)
    service = await build(Settings(), LocalBus(), SQLiteStore(":memory:"))
    for number in range(4):
        sent = Envelope("customer-events", b'{"customer_id": "c", "contract": "One year"}', {}, str(number))
        assert await service.receive("customer-events.scorer", [sent]) == [None]
    assert [line["customers"] for line in lines] == [3]
    service.stop()
    assert [line["customers"] for line in lines] == [3, 1]
    assert {line["message"] for line in lines} == {"scorer saw"}
    assert lines[0]["counts"]["contract"] == [0, 3, 0, 0]
    assert lines[0]["version"] == ScorerModel.load(ARTIFACTS / "scorer").version


def test_an_app_that_stops_says_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(telemetry, "log", lambda message, **fields: lines.append(message))

    @asynccontextmanager
    async def connect(settings: Settings):
        yield LocalBus(), SQLiteStore()

    with TestClient(web.create_app(build, connect)):
        assert lines[-1] == "ready"
    assert lines[-2:] == ["ready", "scorer saw"]

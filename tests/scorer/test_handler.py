import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.scorer import handler
from services.scorer.app import build
from services.scorer.handler import score
from services.scorer.model import ScorerModel
from shared import telemetry, web
from shared.artifacts import ARTIFACTS
from shared.bus import Bus, Envelope, LocalBus
from shared.messages import CustomerEvent, ScoredCustomer
from shared.settings import Settings
from shared.store import SQLiteStore, Store

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


async def scored(model: ScorerModel, *events: CustomerEvent) -> list[ScoredCustomer]:
    """The one message that follows each event."""
    return [message for [message] in await score(events, model=model, clock=lambda: NOW)]


async def test_each_event_is_followed_by_one_scored_customer(model: ScorerModel) -> None:
    messages = await scored(model, event(), event(event_id="e-2", customer_id="c-2"))
    assert [(message.event_id, message.customer_id) for message in messages] == [("e-1", "c-1"), ("e-2", "c-2")]


async def test_a_scored_customer_carries_facts_score_version_and_times(model: ScorerModel) -> None:
    [message] = await scored(model, event(occurred_at="2026-01-01T00:00:00Z"))
    [result] = model.score([event()])
    assert (message.name, message.plan, message.tenure, message.monthly_charges) == ("Ada", "Gold", 3, None)
    assert (message.churn_risk, message.accept_probs, message.reasons) == tuple(result)
    assert message.churn_risk_source == "model"
    assert message.versions == {"scorer": model.version}
    assert message.times == {"occurred_at": datetime(2026, 1, 1, tzinfo=UTC), "scored_at": NOW}


async def test_a_risk_given_by_the_caller_replaces_the_models(model: ScorerModel) -> None:
    [message] = await scored(model, event(churn_risk=0.0))
    assert (message.churn_risk, message.churn_risk_source) == (0.0, "caller")
    assert message.reasons == model.score([event()])[0].reasons


async def test_a_redelivered_event_gives_the_same_message_after_serialisation(model: ScorerModel) -> None:
    [first] = await scored(model, event())
    [second] = await scored(model, event())
    assert first == second == ScoredCustomer.parse(first.model_dump_json().encode(), "m-2")


async def test_no_events_give_no_messages(model: ScorerModel) -> None:
    assert await scored(model) == []


async def test_unknown_categories_are_counted_by_fact_and_without_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "counts", Counter())
    model = ScorerModel.load(ARTIFACTS / "scorer")
    for contract in ("Weekly", "Barter"):
        await scored(model, event(contract=contract, job="student"))
    assert telemetry.counts == {"unknown_contract": 2}


async def test_counts_are_logged_at_intervals_and_when_the_service_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "log", lambda message, **fields: lines.append({"message": message, **fields}))
    monkeypatch.setattr(handler, "LOG_INTERVAL", 3)
    service = await build(Settings(), LocalBus(), SQLiteStore(":memory:"))
    for number in range(4):
        envelope = Envelope("customer-events", b'{"customer_id": "c", "contract": "One year"}', {}, str(number))
        assert await service.receive("customer-events.scorer", [envelope]) == [None]
    assert [line["customers"] for line in lines] == [3]
    service.stop()
    assert [line["customers"] for line in lines] == [3, 1]
    assert {line["message"] for line in lines} == {"scorer saw"}
    assert lines[0]["counts"]["contract"] == [0, 3, 0, 0]
    assert lines[0]["version"] == ScorerModel.load(ARTIFACTS / "scorer").version


def test_an_app_logs_the_counts_when_it_shuts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    monkeypatch.setattr(telemetry, "log", lambda message, **fields: messages.append(message))

    @asynccontextmanager
    async def connect(settings: Settings) -> AsyncIterator[tuple[Bus, Store]]:
        yield LocalBus(), SQLiteStore()

    with TestClient(web.create_app(build, connect)):
        assert messages[-1] == "ready"
    assert messages[-2:] == ["ready", "scorer saw"]

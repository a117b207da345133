from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from services.policy import app
from services.policy.budget.ledger import TOTAL
from shared import telemetry
from shared.artifacts import ARTIFACTS, ArtifactError
from shared.bus import Envelope, LocalBus
from shared.messages import MESSAGE_TYPES, OFFERS, Decision, Message, PlannedContact
from shared.service import NotReadyError
from shared.settings import Settings
from shared.store import SQLiteStore
from tests.policy.builders import TickingClock, outcome, scored
from tests.policy.networks import artifact
from tests.support.clock import noon


async def test_the_service_decides_about_customers_and_settles_outcomes() -> None:
    bus, store, received = LocalBus(), SQLiteStore(), list[Envelope]()

    async def collect(_: str, envelopes: Sequence[Envelope]) -> list[None]:
        received.extend(envelopes)
        return [None] * len(envelopes)

    for topic in ("planned-contacts", "decisions", "outcomes.policy.dead"):
        bus.subscribe(f"{topic}.test", collect)
    clock = TickingClock()
    service = await app.build(Settings(holdout_share=0, budget=100), bus, store, clock)

    async def receive(message: Message) -> list[Exception | None]:
        topic = message.topic
        return await service.receive(f"{topic}.policy", [Envelope(topic, message.model_dump_json().encode())])

    assert await receive(scored()) == [None]
    assert await receive(outcome(scored(), "accepted")) == [None]
    retries, early = telemetry.counts["retries"], telemetry.counts["early"]
    assert isinstance((await receive(outcome(scored("stranger"), "accepted")))[0], NotReadyError)
    assert (telemetry.counts["retries"], telemetry.counts["early"]) == (retries, early + 1), "no failure, and seen"
    clock.now += timedelta(hours=2)
    assert await receive(outcome(scored("stranger"), "accepted")) == [None]
    assert await receive(scored(event_id="next")) == [None]
    await bus.drain()

    contact, dead, decision = sorted(received, key=lambda e: ["planned", "outcome", "decisio"].index(e.topic[:7]))
    assert PlannedContact.parse(contact.data, "").decision.offer_percentage in OFFERS[1:]
    assert Decision.parse(decision.data, "").metadata.gate == ("cooldown", "offer-holds")
    assert "no decision for event" in dead.attributes["reason"]


@pytest.mark.parametrize("name", ["ppo", "baseline", "index"])
async def test_the_policy_is_chosen_by_name_and_logged_with_its_exploration(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact(tmp_path / "policy")
    (tmp_path / "replies").symlink_to(ARTIFACTS / "replies")
    caplog.set_level("INFO", logger="retention")
    bus, decided = LocalBus(), list[Envelope]()

    async def collect(_: str, envelopes: Sequence[Envelope]) -> list[None]:
        decided.extend(envelopes)
        return [None] * len(envelopes)

    for topic in ("planned-contacts", "decisions"):
        bus.subscribe(f"{topic}.test", collect)
    settings = Settings(policy=name, explore=0.2, artifacts=tmp_path, holdout_share=0)
    service = await app.build(settings, bus, SQLiteStore(), noon)
    await service.receive("scored-customers.policy", [Envelope("scored-customers", scored().data)])
    await bus.drain()

    assert f"the policy is {name} and explores in 20% of decisions" in caplog.text
    assert "the default key, which is public: set RETENTION_HASH_KEY" in caplog.text
    [envelope] = decided
    message = MESSAGE_TYPES[envelope.topic].parse(envelope.data, "")
    assert isinstance(message, Decision | PlannedContact)
    assert message.metadata.policy == name
    assert sum(message.metadata.action_probs) == pytest.approx(1)
    assert all(0 < p < 1 for p in message.metadata.action_probs)


async def test_a_missing_artifact_of_the_policy_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no readable manifest\.json .* Train the model first"):
        await app.build(Settings(policy="ppo", artifacts=tmp_path), LocalBus(), SQLiteStore(), noon)


async def test_a_store_with_one_writer_has_one_shard() -> None:
    store = SQLiteStore()
    await app.build(Settings(budget=100, budget_shards=256), LocalBus(), store, noon)

    assert (await store.read([TOTAL]))[TOTAL] == {"cents": 10_000, "shards": 1}

from services.policy import app
from services.policy.ledger import TOTAL
from shared.bus import Envelope, LocalBus
from shared.messages import Decision, PlannedContact
from shared.settings import Settings
from shared.store import SQLiteStore
from tests.policy.builders import noon, outcome, scored


async def test_the_policy_decides_what_arrives_and_learns_what_became_of_it() -> None:
    bus, store, heard = LocalBus(), SQLiteStore(), list[Envelope]()

    async def hear(_: str, envelopes: list[Envelope]) -> list[None]:
        heard.extend(envelopes)
        return [None] * len(envelopes)

    for topic in ("planned-contacts", "decisions", "outcomes.policy.dead"):
        bus.subscribe(f"{topic}.test", hear)
    service = await app.build(Settings(holdout_share=0, budget=100), bus, store, noon)

    async def receive(message: object) -> list[Exception | None]:
        topic = message.topic
        return await service.receive(f"{topic}.policy", [Envelope(topic, message.model_dump_json().encode())])

    assert await receive(scored()) == [None]
    assert await receive(outcome(scored(), "accepted")) == [None]
    assert await receive(outcome(scored("stranger"), "accepted")) == [None]
    assert await receive(scored(event_id="next")) == [None]
    await bus.drain()

    contact, dead, decision = sorted(heard, key=lambda e: ["planned", "outcome", "decisio"].index(e.topic[:7]))
    assert PlannedContact.parse(contact.data, "").decision.offer_percentage == 10
    assert Decision.parse(decision.data, "").metadata.gate == ("cooldown",)
    assert "no decision for event" in dead.attributes["reason"]


async def test_one_writer_needs_one_shard() -> None:
    store = SQLiteStore()
    await app.build(Settings(budget=100, budget_shards=256), LocalBus(), store, noon)

    assert (await store.read([TOTAL]))[TOTAL] == {"cents": 10_000, "shards": 1}

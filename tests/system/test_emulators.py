"""The promises under Google's own emulators: each service its own process, messages by push, state in Firestore."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from google.cloud import firestore, pubsub_v1

from shared.messages import Decision
from tests.customers import SAM
from tests.processes import services

pytestmark = pytest.mark.emulator

BUDGET = 30.0
PATIENCE = 60


class Cloud:
    """What a user of the running system has: a publisher, a subscription on decisions, and REST."""

    def __init__(self, project: str, urls: dict[str, str]) -> None:
        self.project = project
        self.publisher, self.subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        self.firestore = firestore.Client(project=project)
        self.rest = httpx.Client(base_url=urls["gateway"], timeout=30)
        self.reviews = f"{urls['policy']}/reviews"
        self.mine = f"projects/{project}/subscriptions/mine"
        self.subscriber.create_subscription(name=self.mine, topic=f"projects/{project}/topics/decisions")

    def publish(self, topic: str, *messages: dict[str, object] | bytes) -> None:
        path = f"projects/{self.project}/topics/{topic}"
        data = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        for future in [self.publisher.publish(path, d) for d in data]:
            future.result(timeout=30)

    def decisions(self, events: int) -> list[Decision]:
        """Pulled until there is one of so many events, and nothing more comes."""
        found: list[Decision] = []
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            new = [Decision.parse(m.data, m.message_id) for m in self.pull(self.mine)]
            found += new
            if not new and len({d.event_id for d in found}) >= events:
                break
        return found

    def pull(self, subscription: str) -> list[pubsub_v1.types.PubsubMessage]:
        answer = self.subscriber.pull(subscription=subscription, max_messages=1000, timeout=20, return_immediately=True)
        ids = [m.ack_id for m in answer.received_messages]
        if ids:
            self.subscriber.acknowledge(subscription=subscription, ack_ids=ids)
        else:
            time.sleep(0.5)
        return [m.message for m in answer.received_messages]

    def balance(self) -> dict[str, int]:
        shards = [s.to_dict() for s in self.firestore.collection("budget-shards").stream()]
        return {name: sum(s[name] for s in shards) for name in ("allotment", "reserved", "committed")}


@pytest.fixture(scope="module")
def cloud(google: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    project = "test-system"
    with services(
        project, tmp_path_factory.mktemp("services"), budget=BUDGET, budget_shards=8, answer_seconds=30
    ) as urls:
        cloud = Cloud(project, urls)
        yield cloud
        for client in (cloud.rest, cloud.firestore, cloud.subscriber, cloud.publisher.transport):
            client.close()


@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_rest_publishes_and_answers_with_the_decision(cloud: Cloud):
    answer = cloud.rest.post("/retain", json={**SAM, "monthly_charges": None})
    assert answer.status_code == 200
    decision = answer.json()
    assert decision["decision"]["contact"], "nobody else was promised anything yet, so money is not dear"
    assert "Sam" in decision["message"]
    assert cloud.rest.get(f"/decisions/{decision['event_id']}").json() == decision
    assert [d.event_id for d in cloud.decisions(1)] == [decision["event_id"]]


@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_every_event_however_often_it_comes_gets_one_decision_within_the_budget(cloud: Cloud):
    contract = ["Month-to-month", "One year", "Two year"]
    events = [
        {
            "event_id": f"e{n}",
            "customer_id": f"c{n}",
            "name": "Zoë",
            "tenure": n % 5,
            "monthly_charges": 70.0 + n % 40,
            "contract": contract[n % 3],
            "internet_service": "Fiber optic",
            "payment_method": "Electronic check",
        }
        for n in range(200)
    ]
    poison = b"not JSON"
    cloud.publish("customer-events", *events, poison, *reversed(events), *events[::3])
    found: dict[str, Decision] = {}
    for decision in cloud.decisions(len(events)):
        assert found.setdefault(decision.event_id, decision) == decision
    assert set(found) == {e["event_id"] for e in events}
    balance = cloud.balance()
    assert balance["allotment"] == 100 * BUDGET
    assert balance["reserved"] == round(100 * sum(d.metadata.reserved for d in found.values()))
    assert 0 < balance["reserved"] <= 100 * BUDGET
    assert all(d.message for d in found.values() if d.decision.contact)
    letters = cloud.pull(f"projects/{cloud.project}/subscriptions/customer-events.scorer.dead.keep")
    assert {letter.data for letter in letters} == {poison}
    assert "expected" in letters[0].attributes["reason"]


@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_an_outcome_settles_what_was_reserved(cloud: Cloud):
    before = cloud.balance()
    [offered] = [d for d in _decided(cloud) if d.metadata.reserved][:1]
    outcome = {"event_id": offered.event_id, "customer_id": offered.customer_id, "outcome": "accepted"}
    cloud.publish("outcomes", outcome, outcome)
    cents = round(100 * offered.metadata.reserved)
    end = time.monotonic() + PATIENCE
    while cloud.balance()["committed"] == before["committed"] and time.monotonic() < end:
        time.sleep(0.2)
    assert cloud.balance() == before | {
        "reserved": before["reserved"] - cents,
        "committed": before["committed"] + cents,
    }


def test_who_texts_stop_is_left_alone_though_they_are_erased_since(cloud: Cloud):
    event = {**SAM, "customer_id": "leaving/1"}
    assert cloud.rest.post("/retain", json={**event, "event_id": "first"}).status_code == 200
    cloud.publish("outcomes", {"customer_id": "leaving/1", "outcome": "replied", "text": "Stop texting me!"})
    end = time.monotonic() + PATIENCE
    while not list(cloud.firestore.collection("suppressed").stream()) and time.monotonic() < end:
        time.sleep(0.2)
    assert cloud.rest.delete("/customers/leaving%2F1").json()["status"] == "erased"
    assert cloud.rest.delete("/customers/leaving%2F1").json()["status"] == "nothing is stored of this customer"
    later = cloud.rest.post("/retain", json={**event, "event_id": "later"}).json()
    assert later["metadata"]["gate"] == ["opted-out"]


def test_offers_that_have_ended_give_their_money_back_when_the_calendar_is_asked(cloud: Cloud):
    balance = cloud.balance()
    assert httpx.post(cloud.reviews, timeout=60).json()["expired"] == 0
    reserved = [plan for plan in cloud.firestore.collection("plans").stream() if plan.get("status") == "reserved"]
    for plan in reserved:
        plan.reference.update({"due": time.time()})
    assert httpx.post(cloud.reviews, timeout=60).json()["expired"] == len(reserved) > 0
    assert cloud.balance() == balance | {"reserved": 0}


def _decided(cloud: Cloud) -> list[Decision]:
    kept = cloud.firestore.collection("decisions").stream()
    return [Decision.model_validate_json(d.to_dict()["decision"]) for d in kept]

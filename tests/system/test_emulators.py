"""The promises on Google's emulators: each service its own process, messages by push, state in Firestore."""

import time
from collections.abc import Iterator, Mapping

import httpx
import pytest

from shared.messages import Decision
from tests.support.cloud import TIMEOUT_SECONDS, CloudClient
from tests.support.customers import SAM
from tests.support.emulators import Hosts
from tests.support.processes import services

pytestmark = pytest.mark.emulator

PROJECT = "test-system"
BUDGET = 30.0


@pytest.fixture(scope="module")
def urls(emulators: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    logs = tmp_path_factory.mktemp("services")
    with services(PROJECT, logs, budget=BUDGET, budget_shards=8, answer_seconds=30) as urls:
        yield urls


@pytest.fixture(scope="module")
def cloud(urls: Mapping[str, str]) -> Iterator[CloudClient]:
    cloud = CloudClient(PROJECT)
    yield cloud
    cloud.close()


@pytest.fixture
def rest(urls: Mapping[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=urls["gateway"], timeout=30) as client:
        yield client


@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_rest_publishes_and_answers_with_the_decision(cloud: CloudClient, rest: httpx.Client) -> None:
    answer = rest.post("/retain", json=SAM)
    assert answer.status_code == 200
    decision = answer.json()
    assert decision["decision"]["contact"], "nothing is reserved yet, so the shadow price is low"
    assert "Sam" in decision["message"]
    assert rest.get(f"/decisions/{decision['event_id']}").json() == decision
    assert [d.event_id for d in cloud.decisions(1)] == [decision["event_id"]]


@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_repeated_events_get_one_decision_each_within_the_budget(cloud: CloudClient) -> None:
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
    poison, reserved_before = b"not JSON", cloud.balance()["reserved"]
    cloud.publish("customer-events", *events, poison, *reversed(events), *events[::3])
    decisions: dict[str, Decision] = {}
    for decision in cloud.decisions(len(events)):
        assert decisions.setdefault(decision.event_id, decision) == decision
    assert set(decisions) == {e["event_id"] for e in events}
    balance = cloud.balance()
    assert balance["allotment"] == 100 * BUDGET
    assert balance["reserved"] - reserved_before == round(100 * sum(d.metadata.reserved for d in decisions.values()))
    assert reserved_before < balance["reserved"] <= 100 * BUDGET
    assert all(d.message for d in decisions.values() if d.decision.contact)
    letters = cloud.dead_letters("customer-events.scorer")
    assert {letter.data for letter in letters} == {poison}
    assert "expected" in letters[0].attributes["reason"]


@pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")
def test_an_outcome_commits_what_was_reserved(cloud: CloudClient) -> None:
    before = cloud.balance()
    [offered] = [d for d in _decided(cloud) if d.metadata.reserved][:1]
    outcome = {"event_id": offered.event_id, "customer_id": offered.customer_id, "outcome": "accepted"}
    cloud.publish("outcomes", outcome, outcome)
    cents = round(100 * offered.metadata.reserved)
    end = time.monotonic() + TIMEOUT_SECONDS
    while cloud.balance()["committed"] == before["committed"] and time.monotonic() < end:
        time.sleep(0.2)
    assert cloud.balance() == before | {
        "reserved": before["reserved"] - cents,
        "committed": before["committed"] + cents,
    }


def test_an_opt_out_outlives_the_erasure_of_the_customer(cloud: CloudClient, rest: httpx.Client) -> None:
    event = {**SAM, "customer_id": "leaving/1"}
    assert rest.post("/retain", json={**event, "event_id": "first"}).status_code == 200
    cloud.publish("outcomes", {"customer_id": "leaving/1", "outcome": "replied", "text": "Stop texting me!"})
    end = time.monotonic() + TIMEOUT_SECONDS
    while not list(cloud.firestore.collection("suppressed").stream()) and time.monotonic() < end:
        time.sleep(0.2)
    assert rest.delete("/customers/leaving%2F1").json()["status"] == "erased"
    assert rest.delete("/customers/leaving%2F1").json()["status"] == "nothing is stored of this customer"
    later = rest.post("/retain", json={**event, "event_id": "later"}).json()
    assert later["metadata"]["gate"] == ["opted-out"]


def test_a_review_releases_the_money_of_expired_offers(cloud: CloudClient, urls: Mapping[str, str]) -> None:
    balance, reviews = cloud.balance(), f"{urls['policy']}/reviews"
    assert httpx.post(reviews, timeout=60).json()["expired"] == 0
    reserved = [plan for plan in cloud.firestore.collection("plans").stream() if plan.get("status") == "reserved"]
    for plan in reserved:
        plan.reference.update({"due": time.time()})
    assert httpx.post(reviews, timeout=60).json()["expired"] == len(reserved) > 0
    assert cloud.balance() == balance | {"reserved": 0}


def _decided(cloud: CloudClient) -> list[Decision]:
    snapshots = cloud.firestore.collection("decisions").stream()
    return [Decision.model_validate_json(snapshot.to_dict()["decision"]) for snapshot in snapshots]

"""Speed of the whole system: in one process, and as five processes on the emulators."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
from google.cloud import pubsub_v1
from tqdm import tqdm

from services import local, replay
from shared.bus import Envelope, LocalBus
from shared.messages import CustomerEvent
from shared.settings import Settings
from shared.store import SQLiteStore
from tests.load.measuring import Figures
from tests.support.emulators import free_port
from tests.support.processes import process, services, wait_until_ready

REPEATS = 3
WARM_UP_EVENTS = 10
UNLIMITED_BUDGET = 1e9
TIMEOUT_SECONDS = 300


def replay_rate(events: Path) -> Figures:
    """Events a second of `python -m services replay` with the template, the best run of three."""
    settings = Settings(writer="template")
    runs = [asyncio.run(replay.run(events, events.with_name("out.jsonl"), settings)) for _ in range(REPEATS)]
    return {"replay_events_per_second": max(float(str(run["events_per_second"])) for run in runs)}


async def event_latency(customers: Sequence[CustomerEvent]) -> Figures:
    """Milliseconds from publishing an event to its decision, one event at a time."""
    with TemporaryDirectory() as folder:
        bus, store = LocalBus(), SQLiteStore(Path(folder) / "state.sqlite")
        await local.pipeline(Settings(budget=UNLIMITED_BUDGET, writer="template"), bus, store)
        milliseconds = []
        for customer in tqdm(customers[:1000], unit=" events", leave=False):
            data = customer.data
            start = time.perf_counter()
            await bus.publish([Envelope(CustomerEvent.topic, data)])
            await bus.drain()
            milliseconds.append(1000 * (time.perf_counter() - start))
        store.close()
    cuts = quantiles(milliseconds[WARM_UP_EVENTS:], n=100)
    return {"one_event_p50_ms": cuts[49], "one_event_p99_ms": cuts[98]}


def emulator_rates(customers: Sequence[CustomerEvent], folder: Path) -> Figures:
    """Decisions a second through five processes, beside the emulator's pushes a second to a subscriber without work.

    A decision takes four to six pushes.
    """
    data = [customer.data for customer in customers]
    decisions, pushes = _decision_rate(data, folder), _push_rate(data, folder)
    return {
        "emulator_decisions_per_second": decisions,
        "emulator_pushes_per_second": pushes,
        "emulator_decisions_over_pushes": decisions / pushes,
    }


def _decision_rate(data: Sequence[bytes], folder: Path) -> float:
    project = f"bench-{uuid4().hex[:8]}"
    with (
        services(project, folder, budget=UNLIMITED_BUDGET, writer="template"),
        pubsub_v1.SubscriberClient() as subscriber,
    ):
        subscription = f"projects/{project}/subscriptions/bench"
        subscriber.create_subscription(name=subscription, topic=f"projects/{project}/topics/decisions")
        return _arrival_rate(project, CustomerEvent.topic, data, lambda: _pull_event_ids(subscriber, subscription))


def _push_rate(data: Sequence[bytes], folder: Path) -> float:
    project, topic, port = f"bench-{uuid4().hex[:8]}", "null", free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "null-subscriber.log"
    command = [sys.executable, "-m", "uvicorn", "tests.support.null_subscriber:app", "--port", str(port)]
    with process([*command, "--no-access-log"], log, os.environ), pubsub_v1.SubscriberClient() as subscriber:
        wait_until_ready(f"{url}/message-ids", log)
        name = f"projects/{project}/topics/{topic}"
        with pubsub_v1.PublisherClient() as publisher:
            publisher.create_topic(name=name)
        subscription = f"projects/{project}/subscriptions/null"
        subscriber.create_subscription(name=subscription, topic=name, push_config={"push_endpoint": f"{url}/"})
        return _arrival_rate(project, topic, data, lambda: set(httpx.get(f"{url}/message-ids").json()))


def _arrival_rate(project: str, topic: str, data: Sequence[bytes], new_ids: Callable[[], set[str]]) -> float:
    """Messages a second, from publishing all at once until as many different ids have arrived. Raises TimeoutError."""
    publisher, arrived = pubsub_v1.PublisherClient(), set[str]()
    start = time.perf_counter()
    for message in data:
        publisher.publish(f"projects/{project}/topics/{topic}", message)
    with tqdm(total=len(data), unit=" messages", leave=False) as progress:
        while len(arrived) < len(data):
            if time.perf_counter() - start > TIMEOUT_SECONDS:
                raise TimeoutError(f"{len(arrived)} of {len(data)} arrived in {TIMEOUT_SECONDS} s")
            arrived |= new_ids()
            progress.update(len(arrived) - progress.n)
    publisher.stop()
    return len(data) / (time.perf_counter() - start)


def _pull_event_ids(subscriber: pubsub_v1.SubscriberClient, subscription: str) -> set[str]:
    pulled = subscriber.pull(subscription=subscription, max_messages=1000, timeout=30).received_messages
    subscriber.acknowledge(subscription=subscription, ack_ids=[m.ack_id for m in pulled])
    return {m.message.attributes["event_id"] for m in pulled}

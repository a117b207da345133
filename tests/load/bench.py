"""How fast it is, each figure beside what the machine can do in the same run: `make bench`.

Real models, the Telco customers, SQLite, and Google's emulators where they can be started. Loopback only.
Writes reports/bench.json.
"""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import gymnasium
import httpx
import numpy as np
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.cloud.firestore import AsyncClient
from tqdm import tqdm

from services import local, replay
from services.policy.budget.ledger import Ledger
from services.policy.budget.pacing import BudgetPacer
from services.policy.context import DecisionKeys, PolicyContext
from services.policy.customer.gate import Limits
from services.policy.handlers.decide import decide
from services.policy.handlers.settle import settle
from services.policy.policies.network import HEADS, Network
from services.policy.policies.observation import OBSERVATION
from services.policy.policies.one_step import BaselinePolicy
from services.policy.policies.ppo import PPOPolicy, greedy_action
from services.policy.response.model import Customers, daily_hazard
from services.scorer.handler import score
from services.scorer.model import ScorerModel
from shared import telemetry
from shared.artifacts import ARTIFACTS, MANIFEST
from shared.bus import Envelope, LocalBus
from shared.messages import CustomerEvent, Outcome, ScoredCustomer
from shared.pseudonyms import Pseudonyms
from shared.service import Queue, Service, tune_garbage_collector, utc_now
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore
from tests.load.bench_scorer import Bare, Usual
from tests.load.bench_writer import writing
from tests.policy.builders import decision_context
from tests.policy.networks import arrays, artifact
from tests.support.emulators import free_port, running_emulators
from tests.support.processes import process, services, wait
from training.data.__main__ import telco_events
from training.policy.simulation.vector_env import RetentionVectorEnv

ROUNDS, TOGETHER, BATCH = 9, 32, 10_000
"""Rounds in which two things are measured in turn, requests under way at once, and customers scored in one call."""
SIMULATED, STEPS = 4_096, 50
"""Customers who live at once, and their decisions in a row."""
FIXED = {"writer": "template"}
"""What is measured beside the writer, whose own speed is a figure of its own."""
UNLIMITED = {"budget": 1e9, **FIXED}

Figures = dict[str, float]


def main() -> None:
    figures: Figures = {}
    with TemporaryDirectory() as folder:
        events = Path(folder) / "telco.jsonl"
        telco_events(Settings().data, Path(folder), events)
        customers = [CustomerEvent.parse(line, str(n)) for n, line in enumerate(events.read_bytes().splitlines())]
        telemetry.start(logging.ERROR)
        tune_garbage_collector()
        figures |= told("replay", lambda: replayed(events))
        figures |= told("one event", lambda: asyncio.run(one_event(customers)))
        figures |= told("scoring", lambda: scoring(customers))
        figures |= told("scoring many", lambda: scoring_many(customers))
        figures |= told("choosing", choosing)
        figures |= told("simulating", simulating)
        if (ARTIFACTS / "messenger" / MANIFEST).exists():
            figures |= told("writing", writing)
        else:
            print("\nno trained writer is here to measure: make train-messenger", file=sys.stderr)
        with running_emulators(Path(folder)):
            figures |= told("decisions in Firestore", lambda: asyncio.run(firestore(customers[:1000])))
            figures |= told("through the emulators", lambda: pushed(customers[:1000], Path(folder)))
    report = Path("reports") / "bench.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {report}")


def told(what: str, measure: Callable[[], Figures]) -> Figures:
    print(f"\n{what} …", file=sys.stderr)
    figures = measure()
    for name, value in figures.items():
        print(f"{name:>40}  {value:,.2f}")
    return figures


def replayed(events: Path) -> Figures:
    """Events a second of `python -m services replay`, the best of three: the others were disturbed."""
    runs = [asyncio.run(replay.run(events, events.with_name("out.jsonl"), Settings(**FIXED))) for _ in range(3)]
    best = max(runs, key=lambda run: run["events_per_second"])
    return {"replay_events_per_second": best["events_per_second"]}


async def one_event(customers: Sequence[CustomerEvent]) -> Figures:
    """From publishing to the decision, alone, in milliseconds."""
    with TemporaryDirectory() as folder:
        bus, store = LocalBus(), SQLiteStore(Path(folder) / "state.sqlite")
        await local.pipeline(Settings(**UNLIMITED), bus, store)
        waited = []
        for customer in tqdm(customers[:1000], unit=" events", leave=False):
            data = customer.data
            started = time.perf_counter()
            await bus.publish([Envelope(CustomerEvent.topic, data)])
            await bus.drain()
            waited.append(1000 * (time.perf_counter() - started))
        store.close()
    cuts = quantiles(waited[10:], n=100)
    return {"one_event_p50_ms": cuts[49], "one_event_p99_ms": cuts[98]}


def scoring(customers: Sequence[CustomerEvent]) -> Figures:
    """Scoring one event (features, calibration and reasons included) beside the three bare predict calls, in turn.

    One of these is XGBoost's own contributions, which the scorer works out without it (services/scorer/shap.py).
    Every tenth event is also scored by the usual pipeline on scikit-learn, which gives no reasons.
    """
    model, alone, pipeline = ScorerModel.load(ARTIFACTS / "scorer"), Bare(threads=1), Usual(Settings().data)
    bare, ours, usual = [], [], []
    for n, customer in enumerate(tqdm(customers[:2000], unit=" events", leave=False)):
        rows = model.encode([customer])
        bare.append(timed(lambda rows=rows: alone(*rows)))
        ours.append(timed(lambda customer=customer: model.score([customer])))
        if n % 10 == 0:
            usual.append(timed(lambda customer=customer: pipeline(customer)))
    return {
        "score_one_p50_us": 1e6 * median(ours),
        "bare_predict_one_p50_us": 1e6 * median(bare),
        "score_one_over_bare": median(ours) / median(bare),
        "sklearn_one_p50_us": 1e6 * median(usual),
        "sklearn_over_ours": median(usual) / median(ours),
    }


def scoring_many(customers: Sequence[CustomerEvent]) -> Figures:
    """Customers a second in batches of 10,000, beside the three bare predict calls on all cores, in turn."""
    batch = list(islice(cycle(customers), BATCH))
    model, together = ScorerModel.load(ARTIFACTS / "scorer"), Bare(threads=0)
    rows = model.encode(batch)
    measured = {"score": lambda: model.score(batch), "bare_predict": lambda: together(*rows)}
    took: dict[str, list[float]] = {name: [] for name in measured}
    for n in tqdm(range(ROUNDS), unit=" rounds", leave=False):
        for name in list(measured)[:: (1, -1)[n % 2]]:
            took[name].append(timed(measured[name]))
    return {f"{name}_many_per_second": BATCH / median(each) for name, each in took.items()} | {
        "score_many_over_bare": median(took["bare_predict"]) / median(took["score"])
    }


def choosing() -> Figures:
    """The network, the gate's mask and the choice for one observed state, beside three bare matrix products.

    The network's size is that of the trained one, and nobody trained it: its speed is the same.
    """
    with TemporaryDirectory() as folder:
        network = Network.load(artifact(Path(folder) / "policy", contact_b=np.float32([0, 9])))  # so it has to choose
    policy, a, usual = PPOPolicy(network), arrays(), decision_context()
    heads = np.hstack([a[f"{head}_w"] for head in HEADS])
    observations = np.random.default_rng(1).random((2_000, len(OBSERVATION)), dtype=np.float32)
    bare, ours, whole = [], [], []
    for observed in tqdm(observations, unit=" states", leave=False):
        bare.append(timed(lambda observed=observed: observed @ a["w1"] @ a["w2"] @ heads))
        ours.append(timed(lambda observed=observed: greedy_action(network(observed).tolist(), usual.allowed, True)))
        whole.append(timed(lambda: policy.choose(usual)))
    return {
        "choose_one_p50_us": 1e6 * median(ours),
        "bare_products_one_p50_us": 1e6 * median(bare),
        "choose_with_its_worth_one_p50_us": 1e6 * median(whole),
    }


def simulating() -> Figures:
    """Decisions a second of 4,096 simulated customers, beside Gymnasium's own vectorised CartPole, in turn; one core.

    A tenth of them is contacted each time, at any level, and any delay follows. What they see is worked out, and who is
    done makes room.
    """
    rng, cart = np.random.default_rng(1), gymnasium.make_vec("CartPole-v1", SIMULATED, "vector_entry_point")
    people = Customers(daily_hazard(rng.beta(1, 3, 5_000)), rng.beta(1, 4, (5_000, 4)), rng.uniform(20, 120, 5_000))
    many, pushes = RetentionVectorEnv(people, SIMULATED, rng), rng.integers(0, 2, SIMULATED)
    contacts = cycle(rng.random((16, SIMULATED)) < 0.1)
    levels, delays = cycle(rng.integers(0, 4, (16, SIMULATED))), cycle(rng.integers(0, 8, (16, SIMULATED)))

    def decide() -> None:
        for _ in range(STEPS):
            many.observe()
            many.reset_done(many.step(next(contacts), next(levels), next(delays)).done)

    def balance() -> None:
        for _ in range(STEPS):
            cart.step(pushes)

    cart.reset(seed=1)
    ours, carts = [], []
    for _ in tqdm(range(10 * ROUNDS), unit=" rounds", leave=False):
        ours.append(timed(decide))
        carts.append(timed(balance))
    return {
        "simulated_decisions_per_second": SIMULATED * STEPS / median(ours),
        "gymnasium_cartpole_steps_per_second": SIMULATED * STEPS / median(carts),
        "simulated_over_cartpole": median(carts) / median(ours),
    }


async def firestore(customers: Sequence[CustomerEvent]) -> Figures:
    """Decisions a second that reach Firestore, beside the bare client's rate for the same optimistic batches, in turn.

    32 are under way at once. In the service each arrives by itself, as JSON, and those that wait are decided together;
    alone is the handler without that queue, a batch a decision.
    """
    model = ScorerModel.load(ARTIFACTS / "scorer")
    scored: list[ScoredCustomer] = [s for [s] in await score(customers, model=model, clock=utc_now)]
    plans, _ = await decided(
        scored, in_service=True
    )  # what the bare client is to write; and Firestore's emulator gets warm
    rates: dict[str, list[float]] = {"service": [], "alone": [], "bare": []}
    for n in tqdm(range(ROUNDS), unit=" rounds", leave=False):
        for measured in list(rates)[:: (1, -1)[n % 2]]:
            rates[measured].append(
                await written(scored, plans)
                if measured == "bare"
                else (await decided(scored, in_service=measured == "service"))[1]
            )
    return {f"firestore_{measured}_per_second": median(each) for measured, each in rates.items()} | {
        f"firestore_{measured}_over_bare": median(a / b for a, b in zip(rates[measured], rates["bare"], strict=True))
        for measured in ("service", "alone")
    }


Plans = dict[str, dict[tuple[str, str], Any]]


async def decided(scored: Sequence[ScoredCustomer], *, in_service: bool) -> tuple[Plans, float]:
    """What the policy reads and writes for each event, by key, and its rate."""
    from shared.gcp.firestore import FirestoreStore

    store = FirestoreStore(f"bench-{uuid4().hex[:8]}")
    ledger = await Ledger.open(store, 1e7, 256)
    limits = Limits(timedelta(days=14), 3, timedelta(days=90), 0.05, "bench")
    pace = await BudgetPacer.open(store, ledger, 90, utc_now())
    context = PolicyContext(
        store, ledger, pace, BaselinePolicy(), limits, timedelta(days=14), utc_now, Pseudonyms(LOCAL_HASH_KEY)
    )
    handlers = {ScoredCustomer: partial(decide, context=context), Outcome: partial(settle, context=context)}
    queue = Queue(Service("policy", LocalBus(), handlers))

    async def by_service(customer: ScoredCustomer) -> None:
        refusal = await queue.receive("scored-customers.policy", Envelope(customer.topic, customer.data))
        assert refusal is None

    async def by_handler(customer: ScoredCustomer) -> None:
        await decide([customer], context=context)

    a_second = await rate(scored, by_service if in_service else by_handler)
    plans = {c.event_id: await store.read(DecisionKeys.of(c.event_id, c.customer_id, context)) for c in scored}
    return plans, a_second


async def written(scored: Sequence[ScoredCustomer], plans: Plans) -> float:
    """The rate of reading the same documents and writing the same ones, and nothing else."""
    client = AsyncClient(project=f"bench-{uuid4().hex[:8]}")
    shards = {client.document(*key) for documents in plans.values() for key in list(documents)[3:]}
    await asyncio.gather(*(s.set({"allotment": 10**9, "reserved": 0, "committed": 0}) for s in shards))

    async def batch(customer: ScoredCustomer) -> None:
        documents = plans[customer.event_id]
        plan, state, suppression, shard = (client.collection(place).document(name) for place, name in documents)
        plan_document, state_document, *_ = documents.values()
        while True:
            found = {s.reference.path: s async for s in client.get_all([plan, state, suppression, shard])}
            read = {path: snapshot.to_dict() for path, snapshot in found.items()}
            batch = client.batch()
            batch.create(plan, plan_document)
            if state_document:
                batch.create(state, state_document)
            if plan_document["cents"]:
                unchanged = client.write_option(last_update_time=found[shard.path].update_time)
                spent = {**read[shard.path], "reserved": read[shard.path]["reserved"] + plan_document["cents"]}
                batch.update(shard, spent, option=unchanged)
            try:
                await batch.commit()
                return
            except (exceptions.Conflict, exceptions.FailedPrecondition):
                await asyncio.sleep(0.005)

    return await rate(scored, batch)


async def rate(items: Sequence[Any], do: Callable[[Any], Awaitable[object]]) -> float:
    """How many a second, so many at once."""
    free = asyncio.Semaphore(TOGETHER)

    async def one(item: Any) -> None:
        async with free:
            await do(item)

    started = time.perf_counter()
    await asyncio.gather(*map(one, items))
    return len(items) / (time.perf_counter() - started)


def pushed(customers: Sequence[CustomerEvent], folder: Path) -> Figures:
    """Decisions a second through five processes, beside the emulator's own rate of pushing to one that does nothing.

    A decision takes four to six pushes.
    """
    project = f"bench-{uuid4().hex[:8]}"
    data = [customer.data for customer in customers]
    with services(project, folder, **UNLIMITED), pubsub_v1.SubscriberClient() as subscriber:
        mine = f"projects/{project}/subscriptions/mine"
        subscriber.create_subscription(name=mine, topic=f"projects/{project}/topics/decisions")
        decisions = published(project, "customer-events", data, lambda: pull(subscriber, mine))
    sink = f"http://127.0.0.1:{free_port()}"
    topic, project = "nothing", f"bench-{uuid4().hex[:8]}"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.support.null_subscriber:app",
        "--port",
        sink.rpartition(":")[2],
        "--no-access-log",
    ]
    with process(command, folder / "sink.log", os.environ), pubsub_v1.SubscriberClient() as subscriber:
        wait(f"{sink}/seen", folder / "sink.log")
        name = f"projects/{project}/topics/{topic}"
        with pubsub_v1.PublisherClient() as publisher:
            publisher.create_topic(name=name)
        subscription = f"projects/{project}/subscriptions/sink"
        subscriber.create_subscription(name=subscription, topic=name, push_config={"push_endpoint": f"{sink}/"})
        pushes = published(project, topic, data, lambda: set(httpx.get(f"{sink}/seen").json()))
    return {
        "emulator_decisions_per_second": decisions,
        "emulator_pushes_per_second": pushes,
        "emulator_decisions_over_pushes": decisions / pushes,
    }


def published(project: str, topic: str, data: Sequence[bytes], arrived: Callable[[], set[str]]) -> float:
    """Messages a second from publishing all of them at once until as many different ones have arrived."""
    publisher, seen = pubsub_v1.PublisherClient(), set()
    started = time.perf_counter()
    for d in data:
        publisher.publish(f"projects/{project}/topics/{topic}", d)
    with tqdm(total=len(data), unit=" messages", leave=False) as progress:
        while len(seen) < len(data):
            if time.perf_counter() - started > 300:
                raise TimeoutError(f"{len(seen)} of {len(data)} arrived in five minutes")
            seen |= arrived()
            progress.update(len(seen) - progress.n)
    publisher.stop()
    return len(data) / (time.perf_counter() - started)


def pull(subscriber, subscription: str) -> set[str]:
    answer = subscriber.pull(subscription=subscription, max_messages=1000, timeout=30)
    subscriber.acknowledge(subscription=subscription, ack_ids=[m.ack_id for m in answer.received_messages])
    return {m.message.attributes["event_id"] for m in answer.received_messages}


def timed(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

"""Speed of the policy's decisions in Firestore, beside the bare client on the same documents."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any
from uuid import uuid4

from google.api_core import exceptions
from google.cloud.firestore import AsyncClient
from tqdm import tqdm

from services.policy.budget.ledger import Ledger
from services.policy.budget.pacing import BudgetPacer
from services.policy.context import DecisionKeys, PolicyContext
from services.policy.customer.gate import Limits
from services.policy.handlers.decide import decide
from services.policy.handlers.settle import settle
from services.policy.policies.one_step import OneStepPolicy
from services.policy.replies.reader import ReplyReader
from services.scorer.handler import score
from services.scorer.model import ScorerModel
from shared.artifacts import ARTIFACTS
from shared.bus import Envelope, LocalBus
from shared.messages import CustomerEvent, Message, Outcome, ScoredCustomer
from shared.pseudonyms import Pseudonyms
from shared.service import Handler, Queue, Service, utc_now
from shared.settings import LOCAL_HASH_KEY
from shared.store import Document, Key, Store
from tests.load.measuring import Figures

ROUNDS = 9
CONCURRENCY = 32

DecisionDocuments = Mapping[str, Mapping[Key, Document | None]]
"""What the policy reads and writes for a decision: by event, plan, customer, suppression and budget shard, by key."""


async def decision_rates(customers: Sequence[CustomerEvent]) -> Figures:
    """Decisions a second, beside the bare client's rate of the same optimistic batches, in turn; 32 at once.

    "service" gets each message alone, as JSON, and decides those that wait together. "alone" is the handler without
    that queue, a batch a decision.
    """
    model = ScorerModel.load(ARTIFACTS / "scorer")
    scored = [message for [message] in await score(customers, model=model, clock=utc_now)]
    documents, _ = await _decide(scored, through_service=True)  # warms the emulator up, too
    rates: dict[str, list[float]] = {"service": [], "alone": [], "bare": []}
    for round_number in tqdm(range(ROUNDS), unit=" rounds", leave=False):
        for subject in list(rates)[:: (1, -1)[round_number % 2]]:
            if subject == "bare":
                rates[subject].append(await _bare_rate(scored, documents))
            else:
                rates[subject].append((await _decide(scored, through_service=subject == "service"))[1])
    return {f"firestore_{subject}_per_second": median(values) for subject, values in rates.items()} | {
        f"firestore_{subject}_over_bare": median(a / b for a, b in zip(rates[subject], rates["bare"], strict=True))
        for subject in ("service", "alone")
    }


async def _decide(scored: Sequence[ScoredCustomer], *, through_service: bool) -> tuple[DecisionDocuments, float]:
    """The documents of the decisions, and decisions a second."""
    from shared.gcp.firestore import FirestoreStore

    store = FirestoreStore(f"bench-{uuid4().hex[:8]}")
    context = await _policy_context(store)
    handlers: dict[type[Message], Handler] = {
        ScoredCustomer: partial(decide, context=context),
        Outcome: partial(settle, context=context),
    }
    queue = Queue(Service("policy", LocalBus(), handlers))

    async def by_service(customer: ScoredCustomer) -> None:
        refusal = await queue.receive("scored-customers.policy", Envelope(customer.topic, customer.data))
        assert refusal is None

    async def by_handler(customer: ScoredCustomer) -> None:
        await decide([customer], context=context)

    rate = await _rate(scored, by_service if through_service else by_handler)
    keys = {c.event_id: DecisionKeys.of(c.event_id, c.customer_id, context) for c in scored}
    return {event_id: await store.read(event_keys) for event_id, event_keys in keys.items()}, rate


async def _policy_context(store: Store) -> PolicyContext:
    ledger = await Ledger.open(store, 1e7, 256)
    pacer = await BudgetPacer.open(store, ledger, 90, utc_now())
    limits = Limits(timedelta(days=14), 3, timedelta(days=90), 0.05, "bench")
    pseudonyms = Pseudonyms(LOCAL_HASH_KEY)
    reader = ReplyReader.load(ARTIFACTS / "replies")
    return PolicyContext(store, ledger, pacer, OneStepPolicy(), limits, timedelta(days=14), utc_now, pseudonyms, reader)


async def _bare_rate(scored: Sequence[ScoredCustomer], documents: DecisionDocuments) -> float:
    """Batches a second that read the same documents and write the same ones, and do nothing else."""
    client = AsyncClient(project=f"bench-{uuid4().hex[:8]}")
    shards = {client.document(*key) for by_key in documents.values() for key in list(by_key)[3:]}
    await asyncio.gather(*(shard.set({"allotment": 10**9, "reserved": 0, "committed": 0}) for shard in shards))

    async def write(customer: ScoredCustomer) -> None:
        by_key = documents[customer.event_id]
        plan, state, suppression, shard = (client.collection(collection).document(name) for collection, name in by_key)
        plan_document, state_document, *_ = by_key.values()
        while True:
            snapshots = {s.reference.path: s async for s in client.get_all([plan, state, suppression, shard])}
            contents = {path: snapshot.to_dict() for path, snapshot in snapshots.items()}
            batch = client.batch()
            batch.create(plan, plan_document)
            if state_document:
                batch.create(state, state_document)
            if plan_document and plan_document["cents"]:
                unchanged = client.write_option(last_update_time=snapshots[shard.path].update_time)
                reserved = contents[shard.path]["reserved"] + plan_document["cents"]
                batch.update(shard, {**contents[shard.path], "reserved": reserved}, option=unchanged)
            try:
                await batch.commit()
                return
            except (exceptions.Conflict, exceptions.FailedPrecondition):
                await asyncio.sleep(0.005)

    return await _rate(scored, write)


async def _rate(customers: Sequence[ScoredCustomer], call: Callable[[ScoredCustomer], Awaitable[Any]]) -> float:
    """Calls a second."""
    semaphore = asyncio.Semaphore(CONCURRENCY)

    async def limited(customer: ScoredCustomer) -> None:
        async with semaphore:
            await call(customer)

    start = time.perf_counter()
    await asyncio.gather(*map(limited, customers))
    return len(customers) / (time.perf_counter() - start)

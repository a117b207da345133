"""The escrow where many want the last of it at once: several processes on one file, several clients on Firestore."""

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from services.policy.budget.ledger import Shard
from services.policy.handlers.decide import decide
from services.policy.policies.base import DecisionContext, PolicyAction
from shared.store import PLANS, SQLiteStore, Store
from tests.policy.builders import MaxOfferPolicy, context, scored
from tests.support.emulators import Hosts

WRITERS, PROCESSES = 64, 4
EURO = 100
"""Cents; offers cost 10, 20 or 30."""
SHARDS = 4
"""Of 25 cents: without borrowing none could pay the dearest offer."""


async def spend(store: Store, writers: Sequence[int]) -> None:
    """All at once, each for a customer of its own."""
    at = await context(store, budget=EURO / 100, shards=SHARDS, policy=MaxOfferPolicy())
    customers = [scored(f"c{writer}", monthly_charges=2.0) for writer in writers]
    await asyncio.gather(*(decide([customer], context=at) for customer in customers))


async def spent(store: Store) -> tuple[Shard, list[int]]:
    """What the ledger holds, and the cents that each decision reserved."""
    keys = [(PLANS, f"event of c{writer}") for writer in range(WRITERS)]
    plans = (await store.read(keys)).values()
    return await (await context(store, budget=EURO / 100, shards=SHARDS)).ledger.balance(), [p["cents"] for p in plans]


def check(balance: Shard, reserved: Sequence[int]) -> None:
    assert balance.allotment == EURO
    assert balance.reserved == sum(reserved) <= EURO
    assert max(reserved) == 30, "more than any shard held at first"
    assert balance.free < 30 + 10 * SHARDS, "what is left is in pieces"


async def test_on_a_file_the_last_euro_is_spent_once(tmp_path: Path) -> None:
    path, per_process = tmp_path / "state.sqlite", WRITERS // PROCESSES
    store = SQLiteStore(path)
    shares = [range(start, start + per_process) for start in range(0, WRITERS, per_process)]
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(_spend_in_threads, path), shares))
    check(*await spent(store))
    store.close()


def _spend_in_threads(path: Path, writers: Sequence[int]) -> None:
    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(partial(_spend_alone, path), writers))


def _spend_alone(path: Path, writer: int) -> None:
    store = SQLiteStore(path)
    asyncio.run(spend(store, [writer]))
    store.close()


@pytest.fixture
def clients(emulators: Hosts, project: str) -> Iterator[list[Store]]:
    from shared.gcp.firestore import FirestoreStore

    with ExitStack() as stack:
        stores = [FirestoreStore(project) for _ in range(PROCESSES)]
        for store in stores:
            stack.callback(store.close)
        yield list(stores)


@pytest.mark.emulator
async def test_on_firestore_the_last_euro_is_spent_once(clients: list[Store]) -> None:
    await asyncio.gather(*(spend(store, range(n, WRITERS, PROCESSES)) for n, store in enumerate(clients)))
    check(*await spent(clients[0]))


class CountingPolicy(MaxOfferPolicy):
    """Knows how often it was asked about each event: once a try."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()

    def choose(self, decision_context: DecisionContext) -> PolicyAction:
        self.tries[decision_context.customer.event_id] += 1
        return super().choose(decision_context)


@pytest.mark.emulator
async def test_no_decision_waits_for_one_hot_document(clients: list[Store]) -> None:
    """With the default of 256 shards, most of those decided at once are written at the first try."""
    policy = CountingPolicy()
    desks = [await context(store, budget=100_000, shards=256, policy=policy) for store in clients]
    await asyncio.gather(*(decide([scored(f"c{n}")], context=desks[n % PROCESSES]) for n in range(WRITERS)))
    at_once = sum(tries == 1 for tries in policy.tries.values())
    assert len(policy.tries) == WRITERS
    assert at_once >= 0.75 * WRITERS, policy.tries.most_common(5)

"""The escrow under contention: several processes on one file, and several clients on Firestore, spend the last euro."""

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
from tests.policy.builders import MaxOfferPolicy, policy_context, scored
from tests.support.emulators import Hosts

WRITERS, PROCESSES = 64, 4
EURO = 100
"""Cents; offers cost 10, 20 or 30."""
SHARDS = 4
"""Of 25 cents each: without borrowing none could pay the highest offer."""


async def spend(store: Store, writers: Sequence[int]) -> None:
    """Decide concurrently, about one customer per writer."""
    context = await policy_context(store, budget=EURO / 100, shards=SHARDS, policy=MaxOfferPolicy())
    customers = [scored(f"c{writer}", monthly_charges=2.0) for writer in writers]
    await asyncio.gather(*(decide([customer], context=context) for customer in customers))


async def spent(store: Store) -> tuple[Shard, list[int]]:
    """The balance of the ledger, and the cents that each decision reserved."""
    keys = [(PLANS, f"event of c{writer}") for writer in range(WRITERS)]
    plans = [plan for plan in (await store.read(keys)).values() if plan]
    context = await policy_context(store, budget=EURO / 100, shards=SHARDS)
    return await context.ledger.balance(), [plan["cents"] for plan in plans]


def check(balance: Shard, reserved: Sequence[int]) -> None:
    assert balance.allotment == EURO
    assert balance.reserved == sum(reserved) <= EURO
    assert len(reserved) == WRITERS
    assert max(reserved) == 30, "more than any shard had at first"
    assert balance.free < 30 + 10 * SHARDS, "only remainders are left"


@pytest.mark.slow
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
    """Counts the tries of each event."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()

    def choose(self, context: DecisionContext) -> PolicyAction:
        self.tries[context.customer.event_id] += 1
        return super().choose(context)


@pytest.mark.emulator
async def test_most_concurrent_decisions_are_committed_at_the_first_try(clients: list[Store]) -> None:
    """With 256 shards, the default for a large budget, few decisions share a document."""
    policy = CountingPolicy()
    contexts = [await policy_context(store, budget=100_000, shards=256, policy=policy) for store in clients]
    await asyncio.gather(*(decide([scored(f"c{n}")], context=contexts[n % PROCESSES]) for n in range(WRITERS)))
    first_tries = sum(tries == 1 for tries in policy.tries.values())
    assert len(policy.tries) == WRITERS
    assert first_tries >= 0.75 * WRITERS, policy.tries.most_common(5)

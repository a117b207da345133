"""Check that memory stays flat, however many events come: `make soak`.

The whole pipeline runs in one process through a simulated year, with returning customers, repeated and malformed
events, and outcomes. Resident memory is read after a warm-up and at the end; so is the number of memory blocks that
Python has allocated, which reveals less than one object kept an event.

Exits with 1 if memory grew, or an event had no decision. Writes reports/soak.json.
"""

import argparse
import asyncio
import gc
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import psutil
from pydantic_core import from_json, to_json
from tqdm import tqdm

from services import local
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.messages import CustomerEvent, Outcome
from shared.service import tune_garbage_collector
from shared.settings import Settings
from shared.store import SQLiteStore

WARM_UP_EVENTS = 20_000
"""Until SQLite's page cache (64 MiB), the largest of all caches, is full."""
MAX_RSS_GROWTH_MIB = 24.0
"""After the warm-up, for fragmentation. A kilobyte kept an event would be 78 MiB."""
MAX_BLOCKS_PER_EVENT = 0.1
"""Blocks of memory that may be kept an event."""
BATCH_SIZE = 256
REPEATED_SHARE, POISON_SHARE, ANSWERED_SHARE = 0.05, 0.01, 0.5
"""Share of events that are repeated, of malformed messages, and of contacts whose outcome is reported."""
YEAR = timedelta(days=365)


class User:
    """Publishes events and reports outcomes. Keeps only counts, so that its own memory does not grow."""

    def __init__(self, bus: LocalBus, events: int, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._bus, self._events, self._random = bus, events, Random(seed)

    def messages(self) -> Iterator[bytes]:
        for n in range(self._events):
            event = self._event(n)
            yield event
            self.counts["events"] += 1
            if self._random.random() < REPEATED_SHARE:
                self.counts["repeats"] += 1
                yield event
            if self._random.random() < POISON_SHARE:
                self.counts["poison"] += 1
                yield b'{"customer_id": "c", "tenure": "poison"}'

    async def receive_decisions(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.counts["decisions"] += len(envelopes)
        for envelope in envelopes:
            if from_json(envelope.data)["decision"]["contact"] and self._random.random() < ANSWERED_SHARE:
                outcome = self._random.choice(["accepted", "declined", "churned"])
                self.counts["outcomes"] += 1
                await self._bus.publish([Envelope(Outcome.topic, to_json({**envelope.attributes, "outcome": outcome}))])
        return [None] * len(envelopes)

    async def receive_dead_letters(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.counts["dead_letters"] += len(envelopes)
        return [None] * len(envelopes)

    def _event(self, n: int) -> bytes:
        random = self._random
        event = {
            "event_id": f"e{n}",
            "customer_id": f"c{random.randrange(max(1, self._events // 5))}",
            "name": random.choice(["Ada", "Zoë", None]),
            "tenure": random.randrange(72),
            "monthly_charges": round(random.uniform(18, 119), 2),
            "contract": random.choice(["Month-to-month", "One year", "Two year"]),
        }
        return to_json(event)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.soak", description="Check that memory stays flat over many events."
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the events (default: 1)")
    parser.add_argument("--events", type=int, default=100_000, help="number of events (default: 100000)")
    parser.add_argument(
        "--warm-up", type=int, default=WARM_UP_EVENTS, help="events before memory is first read (default: 20000)"
    )
    parser.add_argument("--seconds", type=float, default=3_000, help="seconds at most (default: 3000)")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of the report (default: reports)")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        figures = asyncio.run(run(args.seed, args.events, args.warm_up, args.seconds, Path(folder)))
    for name, value in figures.items():
        print(f"{name:>20}  {value:,}")
    args.reports.mkdir(parents=True, exist_ok=True)
    path = args.reports / "soak.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {path}")
    is_flat = figures["rss_growth_mib"] <= MAX_RSS_GROWTH_MIB and figures["kept_per_event"] < MAX_BLOCKS_PER_EVENT
    sys.exit(not (figures["lost"] == 0 and is_flat))


async def run(seed: int, events: int, warm_up: int, seconds: float, folder: Path) -> dict[str, float]:
    """The content of reports/soak.json. `folder` gets the state."""
    telemetry.start(logging.ERROR)
    bus, store = LocalBus(), SQLiteStore(folder / "state.sqlite")
    now = datetime(2026, 1, 1, 20, tzinfo=UTC)
    settings = Settings(budget=events, writer="template")
    await local.pipeline(settings, bus, store, lambda: now)
    await local.gateway(settings, bus, store)
    tune_garbage_collector()
    user = User(bus, events, seed)
    bus.subscribe("decisions.user", user.receive_decisions)
    bus.subscribe("customer-events.scorer.dead.user", user.receive_dead_letters)
    messages, rss_before, blocks_before, start = user.messages(), 0.0, 0, time.monotonic()
    with tqdm(total=events, unit=" events", mininterval=1) as progress:
        while (batch := list(islice(messages, BATCH_SIZE))) and time.monotonic() - start < seconds:
            await bus.publish([Envelope(CustomerEvent.topic, data) for data in batch])
            await bus.drain()
            now += YEAR * BATCH_SIZE / events
            progress.update(user.counts["events"] - progress.n)
            if not rss_before and progress.n >= warm_up:
                rss_before, blocks_before = rss(), allocated_blocks()
    rss_after, new_blocks = rss(), allocated_blocks() - blocks_before
    store.close()
    counts = user.counts
    return {
        "seed": seed,
        "seconds": round(time.monotonic() - start, 1),
        **counts,
        "lost": events + counts["repeats"] + counts["poison"] - counts["decisions"] - counts["dead_letters"],
        "rss_before_mib": rss_before,
        "rss_after_mib": rss_after,
        "rss_growth_mib": round(rss_after - rss_before, 1),
        "kept_per_event": round(new_blocks / max(1, counts["events"] - warm_up), 3),
    }


def rss() -> float:
    """Resident memory of this process, in MiB."""
    return round(psutil.Process().memory_info().rss / 2**20, 1)


def allocated_blocks() -> int:
    """Memory blocks that Python holds, after garbage collection."""
    gc.collect()
    return sys.getallocatedblocks()


if __name__ == "__main__":
    main()

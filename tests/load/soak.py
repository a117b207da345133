"""Memory stays flat, however many events come: `make soak`.

One process's pipeline, its bus in memory and its SQLite file, while a year passes: customers who come again and again,
events repeated, poison, and outcomes. Resident memory is read after a warm-up and at the end; so is how many blocks
Python has allocated, which tells of less than one object kept for each event.

Exits with 1 where they grew, or where an event had no decision. Writes reports/soak.json.
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

WARM_UP = 20_000
"""Events until SQLite's page cache (64 MiB), the largest of what is kept in memory, is full."""
BOUND = 24.0
"""MiB that memory may grow by after that: what allocators leave in pieces. Keeping a kilobyte an event would be 78."""
KEPT = 0.1
"""Blocks of memory that may be kept an event."""
TOGETHER = 256
REPEATED, POISON, ANSWERED = 0.05, 0.01, 0.5
"""Share of events that come again, of messages that are none, and of contacts whose outcome is reported."""
YEAR = timedelta(days=365)


class User:
    """Publishes events and answers decisions. Remembers nothing but counts."""

    def __init__(self, bus: LocalBus, events: int, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._bus, self._events, self._random = bus, events, Random(seed)

    def messages(self) -> Iterator[bytes]:
        for n in range(self._events):
            event = self._event(n)
            yield event
            self.counts["events"] += 1
            if self._random.random() < REPEATED:
                self.counts["repeats"] += 1
                yield event
            if self._random.random() < POISON:
                self.counts["poison"] += 1
                yield b'{"customer_id": "c", "tenure": "poison"}'

    async def decided(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.counts["decisions"] += len(envelopes)
        for envelope in envelopes:
            if from_json(envelope.data)["decision"]["contact"] and self._random.random() < ANSWERED:
                outcome = self._random.choice(["accepted", "declined", "churned"])
                self.counts["outcomes"] += 1
                await self._bus.publish([Envelope(Outcome.topic, to_json({**envelope.attributes, "outcome": outcome}))])
        return [None] * len(envelopes)

    async def buried(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
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
    parser = argparse.ArgumentParser(prog="python -m tests.load.soak", description="Memory, over many events.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    parser.add_argument("--seconds", type=float, default=3_000, help="at most")
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    a = parser.parse_args()
    with TemporaryDirectory() as folder:
        figures = asyncio.run(run(a.seed, a.events, a.warm_up, a.seconds, Path(folder)))
    for name, value in figures.items():
        print(f"{name:>20}  {value:,}")
    a.reports.mkdir(parents=True, exist_ok=True)
    report = a.reports / "soak.json"
    report.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {report}")
    sys.exit(not (figures["lost"] == 0 and figures["rss_growth_mib"] <= BOUND and figures["kept_per_event"] < KEPT))


async def run(seed: int, events: int, warm_up: int, seconds: float, folder: Path) -> dict[str, float]:
    telemetry.start(logging.ERROR)
    bus, store = LocalBus(), SQLiteStore(folder / "state.sqlite")
    now = datetime(2026, 1, 1, 20, tzinfo=UTC)
    settings = Settings(budget=events, writer="template")
    await local.pipeline(settings, bus, store, lambda: now)
    await local.gateway(settings, bus, store)
    tune_garbage_collector()
    user = User(bus, events, seed)
    bus.subscribe("decisions.user", user.decided)
    bus.subscribe("customer-events.scorer.dead.user", user.buried)
    messages, before, blocks, started = user.messages(), 0.0, 0, time.monotonic()
    with tqdm(total=events, unit=" events", mininterval=1) as progress:
        while (together := list(islice(messages, TOGETHER))) and time.monotonic() - started < seconds:
            await bus.publish([Envelope(CustomerEvent.topic, data) for data in together])
            await bus.drain()
            now += YEAR * TOGETHER / events
            progress.update(user.counts["events"] - progress.n)
            if not before and progress.n >= warm_up:
                before, blocks = rss(), allocated()
    after, kept = rss(), allocated() - blocks
    store.close()
    counts = user.counts
    return {
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        **counts,
        "lost": events + counts["repeats"] + counts["poison"] - counts["decisions"] - counts["dead_letters"],
        "rss_before_mib": before,
        "rss_after_mib": after,
        "rss_growth_mib": round(after - before, 1),
        "kept_per_event": round(kept / max(1, counts["events"] - warm_up), 3),
    }


def rss() -> float:
    """Resident memory of this process, in MiB."""
    return round(psutil.Process().memory_info().rss / 2**20, 1)


def allocated() -> int:
    """Blocks that Python holds, once garbage is gone."""
    gc.collect()
    return sys.getallocatedblocks()


if __name__ == "__main__":
    main()

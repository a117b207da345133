"""The command `replay`: run a file of customer events through the whole pipeline in one process, and summarise it."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from pydantic_core import from_json
from tqdm import tqdm

from services import local
from services.policy.budget.ledger import Ledger
from services.replay_files import check_outputs, count_events, read_events, rejected_file, rejected_line, replacement
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.service import tune_garbage_collector
from shared.settings import Settings
from shared.store import SQLiteStore
from shared.topology import SUBSCRIPTIONS

BATCH_SIZE = 512
"""Events published at once. The latency of each includes waiting for the others, as under load."""


class Results:
    """The decisions and dead letters so far. Keeps bytes and counts instead of parsed messages, to save memory."""

    def __init__(self) -> None:
        self.decisions: dict[str, bytes] = {}
        """JSON by event id."""
        self.counts: Counter[str] = Counter()
        self.offers: Counter[int] = Counter()
        """Number of contacts at each discount, in percent."""
        self.writers: Counter[str] = Counter()
        """Number of messages by each writer."""
        self.rejected: list[Envelope] = []
        self.latencies: list[float] = []
        """Seconds from publishing an event to its decision."""
        self._published_at = 0.0

    def start_batch(self) -> None:
        self._published_at = time.perf_counter()

    async def receive_decisions(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        for envelope in envelopes:
            event_id = envelope.attributes["event_id"]
            if event_id in self.decisions:  # delivery is at least once
                continue
            self.decisions[event_id] = envelope.data
            self.latencies.append(time.perf_counter() - self._published_at)
            decision = from_json(envelope.data)
            self.counts["violations"] += not decision["safety"]["passed"]
            if decision["decision"]["contact"]:
                self.counts["contacted"] += 1
                self.counts["delayed_by_quiet_hours"] += decision["deliver_after"] is not None
                self.offers[decision["decision"]["offer_percentage"]] += 1
                self.writers[decision["metadata"]["writer"]] += 1
        return [None] * len(envelopes)

    async def receive_dead_letters(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.rejected += envelopes
        return [None] * len(envelopes)


async def run(events_path: Path, decisions_path: Path, settings: Settings) -> dict[str, object]:
    """Write one decision per line to `decisions_path`, and rejected events with their reasons to a file beside it.

    Starts from an empty state: the whole budget is left and nobody has been contacted. Returns the summary. Raises
    `ReplayFileError`, before the first event wherever that can be known.
    """
    number_of_events = count_events(events_path)
    check_outputs(decisions_path, events_path)
    with replacement(decisions_path) as decisions_file:
        results, figures = await _replay(events_path, number_of_events, settings)
        decisions_file.write(b"".join(line + b"\n" for line in results.decisions.values()))
        decisions_file.flush()
        if results.rejected:
            with replacement(rejected_file(decisions_path)) as rejected:
                rejected.writelines(rejected_line(letter) + b"\n" for letter in results.rejected)
        else:
            rejected_file(decisions_path).unlink(missing_ok=True)
    return figures


async def _replay(events_path: Path, number_of_events: int, settings: Settings) -> tuple[Results, dict[str, object]]:
    """The results of the events, and the summary."""
    telemetry.start(logging.ERROR)  # warnings are counted in the summary
    results, bus = Results(), LocalBus()
    with TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "state.sqlite")
        await local.pipeline(settings, bus, store)
        tune_garbage_collector()
        bus.subscribe("decisions.replay", results.receive_decisions)
        for subscription in SUBSCRIPTIONS:
            bus.subscribe(f"{subscription.dead_letter_topic}.replay", results.receive_dead_letters)
        envelopes = read_events(events_path)
        progress = tqdm(total=number_of_events, unit=" events", smoothing=0)
        started_at = time.perf_counter()
        while batch := list(islice(envelopes, BATCH_SIZE)):
            results.start_batch()
            await bus.publish(batch)
            await bus.drain()
            progress.update(len(batch))
        seconds = time.perf_counter() - started_at
        progress.close()
        balance = await (await Ledger.open(store, settings.budget, 1)).balance()
        store.close()
    money = {"spend": (balance.reserved + balance.committed) / 100, "budget_left": balance.free / 100}
    return results, summary(results, seconds) | money


def summary(results: Results, seconds: float) -> dict[str, object]:
    """Counts of the decisions, events per second of a run of `seconds`, and p50 and p99 of an event's latency in ms."""
    percentiles = quantiles(results.latencies, n=100) if len(results.latencies) > 1 else [0.0] * 99
    return {
        "decisions": len(results.decisions),
        "contacted": results.counts["contacted"],
        "offers": ", ".join(f"{results.offers[percent]:,} of {percent} %" for percent in sorted(results.offers)),
        "written_by": ", ".join(f"{number:,} {writer}" for writer, number in results.writers.most_common()),
        "held_over_quiet_hours": results.counts["delayed_by_quiet_hours"],
        "violations": results.counts["violations"],
        "rejected": len(results.rejected),
        "events_per_second": round((len(results.decisions) + len(results.rejected)) / seconds),
        "p50_ms": round(1000 * percentiles[49], 1),
        "p99_ms": round(1000 * percentiles[98], 1),
    }

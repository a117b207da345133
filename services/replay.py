"""Run a file of customer events through the whole pipeline, in one process, and say what came of it."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from pydantic_core import from_json, to_json
from tqdm import tqdm

from services import local
from services.policy.budget.ledger import Ledger
from shared import telemetry
from shared.bus import Envelope, LocalBus
from shared.messages import CustomerEvent
from shared.service import tune_garbage_collector
from shared.settings import Settings
from shared.store import SQLiteStore
from shared.topology import SUBSCRIPTIONS

TOGETHER = 512
"""Events published at once: they wait for each other, as on a busy day."""


class Account:
    """What has come out so far. Keeps lines and numbers, not messages: they would be many."""

    def __init__(self) -> None:
        self.lines: dict[str, bytes] = {}
        self.counts: Counter[str] = Counter()
        self.offers: Counter[int] = Counter()
        self.rejected: list[Envelope] = []
        self.waited: list[float] = []
        self._since = 0.0

    def publishing(self) -> None:
        self._since = time.perf_counter()

    async def decided(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        for envelope in envelopes:
            event_id = envelope.attributes["event_id"]
            if event_id in self.lines:  # at least once is not just once
                continue
            self.lines[event_id] = envelope.data
            self.waited.append(time.perf_counter() - self._since)
            decision = from_json(envelope.data)
            self.counts["violations"] += not decision["safety"]["passed"]
            if decision["decision"]["contact"]:
                self.counts["contacted"] += 1
                self.counts["held"] += decision["deliver_after"] is not None
                self.offers[decision["decision"]["offer_percentage"]] += 1
        return [None] * len(envelopes)

    async def buried(self, subscription: str, envelopes: Sequence[Envelope]) -> list[None]:
        self.rejected += envelopes
        return [None] * len(envelopes)


async def run(events: Path, decisions: Path, settings: Settings) -> dict[str, object]:
    """Writes a decision a line to `decisions`, and what was rejected beside it with the reason; returns the summary.

    State is new: the budget is whole and nobody has been contacted.
    """
    telemetry.start(logging.ERROR)  # what is counted is told in the summary
    account, bus = Account(), LocalBus()
    with TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "state.sqlite")
        await local.pipeline(settings, bus, store)
        tune_garbage_collector()
        bus.subscribe("decisions.replay", account.decided)
        for subscription in SUBSCRIPTIONS:
            bus.subscribe(f"{subscription.dead}.replay", account.buried)
        lines = _lines(events)
        progress = tqdm(total=sum(1 for _ in _lines(events)), unit=" events", smoothing=0)
        started = time.perf_counter()
        while together := list(islice(lines, TOGETHER)):
            account.publishing()
            await bus.publish(together)
            await bus.drain()
            progress.update(len(together))
        seconds = time.perf_counter() - started
        progress.close()
        balance = await (await Ledger.open(store, settings.budget, 1)).balance()
        store.close()
    decisions.write_bytes(b"".join(line + b"\n" for line in account.lines.values()))
    rejected = decisions.with_suffix(".rejected.jsonl")
    rejected.unlink(missing_ok=True)
    if account.rejected:
        rejected.write_bytes(b"".join(_rejected(envelope) + b"\n" for envelope in account.rejected))
    return summary(account, seconds) | {
        "spend": (balance.reserved + balance.committed) / 100,
        "budget_left": balance.free / 100,
    }


def summary(account: Account, seconds: float) -> dict[str, object]:
    """Seconds are of the whole run; p50 and p99 of one event, in milliseconds, waiting for the others included."""
    cuts = quantiles(account.waited, n=100) if len(account.waited) > 1 else [0.0] * 99
    return {
        "decisions": len(account.lines),
        "contacted": account.counts["contacted"],
        "offers": ", ".join(f"{account.offers[percent]:,} of {percent} %" for percent in sorted(account.offers)),
        "held_over_quiet_hours": account.counts["held"],
        "violations": account.counts["violations"],
        "rejected": len(account.rejected),
        "events_per_second": round((len(account.lines) + len(account.rejected)) / seconds),
        "p50_ms": round(1000 * cuts[49], 1),
        "p99_ms": round(1000 * cuts[98], 1),
    }


def _lines(file: Path) -> Iterator[Envelope]:
    """Events as they would be published; one without an id is known by its line."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield Envelope(CustomerEvent.topic, line.strip(), {}, f"line {number}")


def _rejected(envelope: Envelope) -> bytes:
    where = envelope.attributes
    return to_json(
        {"line": where["message_id"], "reason": where["reason"], "event": envelope.data.decode(errors="replace")}
    )

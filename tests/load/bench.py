"""Measure throughput and latency, each figure beside a baseline of the same run: `make bench`.

The trained models, the Telco customers, SQLite, and Google's emulators. Writes reports/bench.json.
"""

import asyncio
import json
import logging
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from shared import telemetry
from shared.artifacts import ARTIFACTS, MANIFEST
from shared.messages import CustomerEvent
from shared.service import tune_garbage_collector
from shared.settings import Settings
from tests.load.bench_firestore import decision_rates
from tests.load.bench_pipeline import emulator_rates, event_latency, replay_rate
from tests.load.bench_policy import choice_times, simulation_rates
from tests.load.bench_scorer import batch_scoring_rates, scoring_times
from tests.load.bench_writer import writing_rates
from tests.load.measuring import Figures
from tests.support.emulators import running_emulators
from training.data.__main__ import telco_events

EMULATOR_EVENTS = 1000


def main() -> None:
    parser = ArgumentParser(
        prog="python -m tests.load.bench",
        description="Measure throughput and latency, each figure beside a baseline of the same run.",
    )
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of the report (default: reports)")
    reports = parser.parse_args().reports
    with TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    reports.mkdir(parents=True, exist_ok=True)
    path = reports / "bench.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {path}")


def measure(folder: Path) -> Figures:
    events = folder / "telco.jsonl"
    telco_events(Settings().data, folder, events)
    customers = [CustomerEvent.parse(line, str(n)) for n, line in enumerate(events.read_bytes().splitlines())]
    telemetry.start(logging.ERROR)
    tune_garbage_collector()
    figures = shown("replay", lambda: replay_rate(events))
    figures |= shown("one event", lambda: asyncio.run(event_latency(customers)))
    figures |= shown("scoring", lambda: scoring_times(customers))
    figures |= shown("scoring batches", lambda: batch_scoring_rates(customers))
    figures |= shown("choosing", choice_times)
    figures |= shown("simulating", simulation_rates)
    if (ARTIFACTS / "messenger" / MANIFEST).exists():
        figures |= shown("writing", writing_rates)
    else:
        print("\nThere is no trained writer to measure: make train-messenger", file=sys.stderr)
    with running_emulators(folder):
        figures |= shown("deciding in Firestore", lambda: asyncio.run(decision_rates(customers[:EMULATOR_EVENTS])))
        figures |= shown("through the emulators", lambda: emulator_rates(customers[:EMULATOR_EVENTS], folder))
    return figures


def shown(title: str, benchmark: Callable[[], Figures]) -> Figures:
    print(f"\n{title} …", file=sys.stderr)
    figures = benchmark()
    for name, value in figures.items():
        print(f"{name:>40}  {value:,.2f}")
    return figures


if __name__ == "__main__":
    main()

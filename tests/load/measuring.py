"""How benchmarks measure: each figure beside a baseline, in turn, so that a slow moment of the machine hits both."""

import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

Figures = dict[str, float]
"""Figures by their key in reports/bench.json."""


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def seconds_in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round; every other round is in reverse order."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in tqdm(range(rounds), unit=" rounds", leave=False):
        for name in list(calls)[:: (1, -1)[round_number % 2]]:
            times[name].append(seconds(calls[name]))
    return times

"""Beside public PPOs: python -m training.policy.benchmarks --customers FILE.npz [--steps N] [--seeds N] [--jobs N]

Everybody learns from the same customers, rewards, network and number of steps, one thread each, and is judged the same:
what is gained on held-out customers after the price of money, as a share of the dynamic program's. First how fast each
is, in turn and alone; then what each has learnt, by seed. Writes rivals.json.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from training.policy.benchmarks.judge import Curve
from training.policy.benchmarks.learners import LEARNERS, Run, outcome
from training.policy.benchmarks.people import People, read
from training.policy.benchmarks.report import Outcome, summary

PRICES = (1.17, 2.15)
"""At which the optimum of the customers to learn from spends 60 % and 30 % of what it does where money is free."""
ROUNDS = 2
"""Times that speed is measured."""
PACE = {"sb3_defaults": 16_384}
"""Steps of those too slow to learn for long, whose speed alone is measured: 64 decisions an update, ten times over."""
LIBRARIES = ("torch", "numpy", "stable-baselines3", "sb3-contrib", "fast-safe-rl", "tianshou", "gymnasium")


def speeds(people: People) -> dict[str, list[float]]:
    """Decision steps a second, learning included; everybody in turn, so that a busy minute hits them all."""
    found: dict[str, list[float]] = {name: [] for name in LEARNERS}
    for _, name in product(range(ROUNDS), LEARNERS):
        curve, steps = Curve(people.held_out, PRICES[0], 10**9), PACE.get(name, 8 * 8_192)
        LEARNERS[name](people.training, curve, steps, 0, PRICES[0])
        found[name].append(curve.steps / curve.seconds)
        print(f"{name:>20}  {found[name][-1]:>8,.0f} steps a second", flush=True)
    return found


def outcomes(people: People, args: Namespace) -> Iterator[Outcome]:
    """As they come. The slow begin, so that nobody waits for them."""
    learners = [name for name in reversed(LEARNERS) if name not in PACE]
    runs = [Run(*each) for each in product(learners, PRICES, range(args.seeds))]
    start = perf_counter()
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        coming = [pool.submit(outcome, run, people, args.steps) for run in runs]
        for number, future in enumerate(as_completed(coming), 1):
            found = future.result()
            gains = found.points[-1].greedy.priced(found.price)
            said = f"{found.name}, price {found.price}, seed {found.seed}: gains {gains:.3f}"
            print(f"{perf_counter() - start:6.0f} s  {number} of {len(runs)}  {said}", flush=True)
            yield found


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--customers", type=Path, required=True, help="what training.policy.benchmarks.export wrote")
    parser.add_argument("--steps", type=int, default=2**20, help="that each learns for")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, a core each; speed is measured alone")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write to")
    args = parser.parse_args()
    torch.set_num_threads(1)
    people = read(args.customers)
    pace = speeds(people)
    report: dict[str, Any] = {"steps": args.steps, "seeds": args.seeds, "threads": 1}
    report |= {"versions": {name: version(name) for name in LIBRARIES}}
    report |= summary(people.held_out, pace, list(outcomes(people, args)))
    args.reports.mkdir(parents=True, exist_ok=True)
    (args.reports / "rivals.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Compare PPO implementations: python -m training.policy.benchmarks --customers FILE [--steps N] [--seeds N] [--jobs N]

Every learner trains with the same customers, rewards and number of steps, in one thread. Its score is the net value on
held-out customers (incremental value less price · spend), as a share of the dynamic program's. The speed of each is
measured first, without parallel runs; then each is trained with every seed. Writes rivals.json.
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

from training.policy.benchmarks.customers import CustomerSplits, read
from training.policy.benchmarks.evaluation import LearningCurve
from training.policy.benchmarks.learners import LEARNERS, Run, train
from training.policy.benchmarks.report import TrainingResult, summary

PRICES = (1.17, 2.15)
"""Shadow prices of the budget: the optimal policy spends 60 % and 30 % of its unconstrained spend at them (training
customers)."""
SPEED_ROUNDS = 2
"""Measurements of each learner's speed."""
SPEED_STEPS = 8 * 8_192
"""Decisions in a measurement of speed."""
NO_EVALUATION = 10**9
"""Interval in steps that no run reaches: speed is measured without evaluations."""
SPEED_ONLY_STEPS = {"sb3_defaults": 16_384}
"""Decisions in a measurement, for learners too slow to train: 64 decisions per update and ten epochs make it so."""
LIBRARIES = ("torch", "numpy", "stable-baselines3", "sb3-contrib", "fast-safe-rl", "tianshou", "gymnasium")


def measure_speeds(customers: CustomerSplits) -> dict[str, list[float]]:
    """Decisions per second, updates included. Learners take turns, so that other load on the machine affects all."""
    speeds: dict[str, list[float]] = {learner: [] for learner in LEARNERS}
    for _, learner in product(range(SPEED_ROUNDS), LEARNERS):
        curve, steps = (
            LearningCurve(customers.held_out, PRICES[0], NO_EVALUATION),
            SPEED_ONLY_STEPS.get(learner, SPEED_STEPS),
        )
        LEARNERS[learner](customers.training, curve, steps, 0, PRICES[0])
        speeds[learner].append(curve.steps / curve.seconds)
        print(f"{learner:>20}  {speeds[learner][-1]:>8,.0f} steps a second", flush=True)
    return speeds


def train_all(customers: CustomerSplits, args: Namespace) -> Iterator[TrainingResult]:
    """The results in order of completion. The slowest learners start first, so that no process is idle at the end."""
    learners = [learner for learner in reversed(LEARNERS) if learner not in SPEED_ONLY_STEPS]
    runs = [Run(*combination) for combination in product(learners, PRICES, range(args.seeds))]
    start = perf_counter()
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(train, run, customers, args.steps) for run in runs]
        for number, future in enumerate(as_completed(futures), 1):
            result = future.result()
            net_value = result.points[-1].greedy.net(result.price)
            run = f"{result.learner}, price {result.price}, seed {result.seed}: net value {net_value:.3f}"
            print(f"{perf_counter() - start:6.0f} s  {number} of {len(runs)}  {run}", flush=True)
            yield result


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--customers", type=Path, required=True, help="file written by training.policy.benchmarks.export"
    )
    parser.add_argument("--steps", type=int, default=2**20, help="training steps of each run")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each learner at each price")
    parser.add_argument("--jobs", type=int, default=2, help="runs in parallel, each on one core")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write rivals.json to")
    args = parser.parse_args()
    torch.set_num_threads(1)
    customers = read(args.customers)
    speeds = measure_speeds(customers)
    report: dict[str, Any] = {"steps": args.steps, "seeds": args.seeds, "threads": 1}
    report |= {"versions": {library: version(library) for library in LIBRARIES}}
    report |= summary(customers.held_out, speeds, list(train_all(customers, args)))
    args.reports.mkdir(parents=True, exist_ok=True)
    (args.reports / "rivals.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

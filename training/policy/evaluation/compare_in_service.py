"""Compare policies through the service: the same simulated campaigns for each.

python -m training.policy.evaluation.compare_in_service

Differences are paired by campaign, with the same customers and random numbers, at each budget. Values are shares of the
Lagrangian bound, with 95 % intervals over the campaigns.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from services.policy.response.model import Customers
from shared.artifacts import ArtifactError
from shared.settings import Settings
from training.data.sources import SourceError
from training.policy.customers import load_population
from training.policy.evaluation.benchmark import BUDGETS, Benchmark
from training.policy.simulation.service import SEED, ServiceRun, simulate
from training.statistics import Estimate, mean_interval

POLICIES = ("ppo", "index", "baseline")


class Run(NamedTuple):
    """A campaign of one policy through the service."""

    budget: float
    """The budget, as a share of the unconstrained spend."""
    seed: int
    """Seed of the campaign."""
    policy: str


def run_campaign(run: Run, customers: Customers, copies: int) -> ServiceRun:
    budget = Benchmark(customers, copies).budget(run.budget)
    return simulate(run.policy, customers, copies, budget, seed=run.seed)


def table(results: Mapping[Run, ServiceRun], bounds: Mapping[float, float]) -> str:
    """A line for each budget and policy: share of the bound, and the first policy's lead over it."""
    seeds, policies = (list(dict.fromkeys(column)) for column in list(zip(*results, strict=True))[1:])
    titles = f"{'share of the bound':24}  {'lead of ' + policies[0]:24}"
    lines = [f"{'budget':>6}  {'policy':9}  {titles}  {'used':>6}  violations"]

    def shares_of_bound(budget: float, policy: str) -> np.ndarray:
        """Share of the bound of each campaign."""
        return np.array([results[Run(budget, seed, policy)].incremental_value for seed in seeds]) / bounds[budget]

    for budget, policy in product(bounds, policies):
        runs = [results[Run(budget, seed, policy)] for seed in seeds]
        shares, lead = shares_of_bound(budget, policy), shares_of_bound(budget, policies[0])
        share, difference = (_format(mean_interval(values)) for values in (shares, lead - shares))
        violations = sum(sum(run.violations.values()) for run in runs)
        utilisation = np.mean([run.utilisation for run in runs])
        lines.append(f"{budget:6.0%}  {policy:9}  {share}  {difference}  {utilisation:6.1%}  {violations:10}")
    return "\n".join(lines)


def _format(estimate: Estimate) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*estimate).ljust(24)


def compare(customers: Customers, policies: Sequence[str], seeds: int, copies: int, jobs: int) -> str:
    """The table, after running the campaigns in `jobs` processes."""
    runs = [Run(*args) for args in product(BUDGETS, range(SEED, SEED + seeds), policies)]
    with ProcessPoolExecutor(jobs) as pool:
        futures = {run: pool.submit(run_campaign, run, customers, copies) for run in runs}
        results = {run: future.result() for run, future in tqdm(futures.items(), unit=" campaigns", disable=None)}
    benchmark = Benchmark(customers, copies)
    return table(results, {budget: benchmark.upper_bound(budget) for budget in BUDGETS})


def main() -> None:
    settings = Settings.from_environment()
    parser = ArgumentParser(
        prog="python -m training.policy.evaluation.compare_in_service", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--policies", nargs="+", choices=POLICIES, default=list(POLICIES[:2]), help="policies to compare"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of campaigns at each budget, at least 2")
    parser.add_argument("--copies", type=int, default=2, help="copies of each held-out customer in a campaign")
    parser.add_argument("--jobs", type=int, default=2, help="campaigns run in parallel, each on one core")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("a confidence interval needs at least 2 campaigns: --seeds 2")
    try:
        customers = load_population(settings.data, args.data, settings.artifacts).held_out
        print(compare(customers, args.policies, args.seeds, args.copies, args.jobs))
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

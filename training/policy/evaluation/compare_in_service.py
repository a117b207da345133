"""Which policy should serve? Each lives the same quarters through the service.

python -m training.policy.evaluation.compare_in_service

Policies are compared quarter by quarter, on the same customers and luck, at each budget: shares of the bound that
nothing exceeds, with 95 % intervals over the quarters.
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
from training.policy.customers import population
from training.policy.evaluation.benchmark import BUDGETS, Benchmark
from training.policy.simulation.service import SEED, ServiceRun, simulate
from training.statistics import Estimate, mean_interval

POLICIES = ("ppo", "index", "baseline")


class Run(NamedTuple):
    budget: float
    """A share of what the optimum spends where money is free."""
    seed: int
    policy: str


def lived(run: Run, customers: Customers, copies: int) -> ServiceRun:
    return simulate(run.policy, customers, copies, Benchmark(customers, copies).budget(run.budget), seed=run.seed)


def table(found: Mapping[Run, ServiceRun], bounds: Mapping[float, float]) -> str:
    """A line for each budget and policy: share of the bound, and what is lacking to the first policy."""
    seeds, policies = (list(dict.fromkeys(column)) for column in list(zip(*found, strict=True))[1:])
    lines = [f"{'budget':>6}  {'policy':9}  share of the bound      less than {policies[0]}          used    broken"]
    for budget, policy in product(bounds, policies):
        runs = [found[Run(budget, seed, policy)] for seed in seeds]
        first = [found[Run(budget, seed, policies[0])] for seed in seeds]
        shares, firsts = (
            np.array([each.incremental_value for each in some]) / bounds[budget] for some in (runs, first)
        )
        share, difference = (_said(mean_interval(values)) for values in (shares, firsts - shares))
        broken = sum(sum(each.violations.values()) for each in runs)
        used = np.mean([each.utilisation for each in runs])
        lines.append(f"{budget:6.0%}  {policy:9}  {share}  {difference}  {used:6.1%}  {broken:6}")
    return "\n".join(lines)


def _said(measured: Estimate) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*measured).ljust(24)


def contest(customers: Customers, policies: Sequence[str], seeds: int, copies: int, jobs: int) -> str:
    runs = [Run(*each) for each in product(BUDGETS, range(SEED, SEED + seeds), policies)]
    with ProcessPoolExecutor(jobs) as pool:
        futures = {run: pool.submit(lived, run, customers, copies) for run in runs}
        found = {run: future.result() for run, future in tqdm(futures.items(), unit=" quarters", disable=None)}
    benchmark = Benchmark(customers, copies)
    return table(found, {budget: benchmark.upper_bound(budget) for budget in BUDGETS})


def main() -> None:
    settings = Settings()
    parser = ArgumentParser(
        prog="python -m training.policy.evaluation.compare_in_service", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES[:2]))
    parser.add_argument("--seeds", type=int, default=5, help="quarters, at least 2")
    parser.add_argument("--copies", type=int, default=2, help="of each customer held out")
    parser.add_argument("--jobs", type=int, default=2, help="quarters at once, a core each")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets made ready")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("an interval takes at least 2 quarters: --seeds 2")
    try:
        customers = population(settings.data, args.data, settings.artifacts).held_out
        print(contest(customers, args.policies, args.seeds, args.copies, args.jobs))
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""Train the policy, compare it with baselines on held-out customers, and write its artifact: make train-policy.

Five networks are trained from scratch, and five from a network that imitates the dynamic program. The network with the
best results on training customers, in campaigns that training does not use, is served; the reported results are those
on held-out customers.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from services.policy.policies.network import FILE, INPUTS
from services.policy.response.model import Customers
from shared.artifacts import ARTIFACTS, ArtifactError, Manifest, content_version, write_manifest
from shared.settings import Settings
from training.data.sources import BANK, TELCO, SourceError
from training.policy.behaviour_cloning import pretrain
from training.policy.bound import LagrangianBound
from training.policy.customers import Population, add_data_options, load_population
from training.policy.evaluation.benchmark import BUDGETS, SEEDS, Benchmark, baselines
from training.policy.evaluation.card import card
from training.policy.evaluation.policies import NetworkPolicy, SpendForecast
from training.policy.network import ActorCritic, pack, serving_network
from training.policy.ppo import (
    FINE_TUNING,
    VALIDATION_CUSTOMERS,
    PPOArgs,
    TrainedPolicy,
    Trainer,
    UpdateMetrics,
    optimal_prices,
    progress_bar,
    show_progress,
)

HISTORY_FILE = "training.json"
MAX_POINTS = 100
"""Number of updates of a run in its history, evenly spaced."""
KINDS = {"warm": "PPO warm-started from the index policy", "scratch": "PPO from scratch"}
"""Descriptions of the kinds of runs whose networks can be served."""
VALIDATION_SEEDS = (50, 51)
"""Seeds of the campaigns in which the served network is selected."""


@dataclass(frozen=True)
class TrainArgs:
    mirror: Path = field(default_factory=lambda: Settings.from_environment().data)
    """Folder of local copies of the data sets."""
    data: Path = Path("data")
    """Folder of the prepared data sets."""
    artifacts: Path = ARTIFACTS
    """Folder of the artifacts: the scorer's is read, the policy's is written."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of the runs of each kind."""
    jobs: int = 2
    """Runs in parallel, each on one core."""
    scratch: PPOArgs = field(default_factory=PPOArgs)
    warm: PPOArgs = FINE_TUNING


@dataclass(frozen=True)
class TrainingRun:
    kind: str
    """scratch, warm, gradient_ascent or unmasked."""
    args: PPOArgs
    trained: TrainedPolicy
    shares_of_bound: Mapping[float, float]
    """Share of the bound by budget, on held-out customers."""
    validation_share: float
    """Mean share of the bound on validation customers."""

    def history(self) -> dict[str, Any]:
        """The run for training.json: `points` and `diagnostics` have an entry for each update of the history."""
        updates = self.trained.history
        indices = np.linspace(0, len(updates) - 1, min(MAX_POINTS, len(updates))).astype(int)
        return {
            "seed": self.args.seed,
            "seconds": round(updates[-1].seconds, 1),
            "steps": updates[-1].steps,
            "shares": {str(budget): round(share, 4) for budget, share in self.shares_of_bound.items()},
            "points": _rounded([_point(updates[index]) for index in indices]),
            "diagnostics": _rounded([updates[index].diagnostics._asdict() for index in indices]),
        }


class BelowBaselineError(Exception):
    """The trained policy is worse than a baseline."""


def train(args: TrainArgs) -> Manifest:
    """Train all networks and write the best one's artifact.

    Raises `SourceError`, `ArtifactError` without a scorer, and `BelowBaselineError`.
    """
    population = load_population(args.mirror, args.data, args.artifacts)
    short = replace(args.scratch, num_updates=args.scratch.num_updates // 3)
    jobs = [("scratch", replace(args.scratch, seed=seed)) for seed in args.seeds]
    jobs += [("warm", replace(args.warm, seed=seed)) for seed in args.seeds]
    jobs += [("gradient_ascent", replace(short, gradient_ascent=True)), ("unmasked", replace(short, action_mask=False))]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        runs = list(pool.map(run, *zip(*jobs, strict=True), repeat(population), range(len(jobs))))
    best = max((candidate for candidate in runs if candidate.kind in KINDS), key=lambda run: run.validation_share)
    if budgets := budgets_below_baseline(best.shares_of_bound, population):
        raise BelowBaselineError(
            f"No artifact was written: a baseline has a higher value at a budget of {', '.join(budgets)}."
        )
    return save(best, runs, population.training, args)


def budgets_below_baseline(shares_of_bound: Mapping[float, float], population: Population) -> list[str]:
    """The budgets at which a baseline reaches a higher share of the bound on held-out customers."""
    benchmark = ModelSelection(population).test
    policies = baselines(population.training[:VALIDATION_CUSTOMERS]).values()
    best = {
        budget: max(benchmark.evaluate(policy(budget), budget).share_of_bound.mean for policy in policies)
        for budget in BUDGETS
    }
    return [f"{budget:.0%}" for budget in BUDGETS if shares_of_bound[budget] < best[budget]]


class ModelSelection:
    """The benchmark that the served network is selected on, and the one that figures are reported on."""

    def __init__(self, population: Population) -> None:
        self.validation_customers = population.training[:VALIDATION_CUSTOMERS]
        self.validation = Benchmark(self.validation_customers, copies=1, seeds=VALIDATION_SEEDS)
        self.test = Benchmark(population.held_out, copies=2, seeds=SEEDS[:4])

    def shares_of_bound(self, network: ActorCritic) -> tuple[dict[float, float], dict[float, float]]:
        """Shares of the bound by budget, in validation and in test; spend is forecast for the validation customers."""
        served = serving_network(network)
        policy = NetworkPolicy(served, SpendForecast(served, self.validation_customers))
        validation, test = (
            {budget: benchmark.evaluate(policy, budget).share_of_bound.mean for budget in BUDGETS}
            for benchmark in (self.validation, self.test)
        )
        return validation, test


def run(kind: str, args: PPOArgs, population: Population, number: int) -> TrainingRun:
    """Train a network and evaluate it; a warm run begins with behaviour cloning, at the optimal policy's prices."""
    torch.set_num_threads(args.num_threads)
    customers, selection = population.training, ModelSelection(population)
    start = (pretrain(customers, args.seed), optimal_prices(customers, args.budgets)) if kind == "warm" else ()
    with progress_bar(f"{kind}, seed {args.seed}", args, position=number % 2) as bar:
        trained = Trainer(args, customers, *start).train(partial(show_progress, bar))
    validation, test = selection.shares_of_bound(trained.network)
    shares = ", ".join(f"{share:.3f} at {budget:.0%}" for budget, share in test.items())
    tqdm.write(f"{kind}, seed {args.seed}: share of the bound {shares}; {trained.history[-1].seconds:.0f} s")
    return TrainingRun(kind, args, trained, test, float(np.mean([*validation.values()])))


def metrics(runs: Sequence[TrainingRun]) -> dict[str, float]:
    """Median, lowest and highest share of the bound over the seeds, by kind and budget; and the speed of training."""
    figures: dict[str, float] = {}
    for kind in KINDS:
        for budget in BUDGETS:
            shares = [run.shares_of_bound[budget] for run in runs if run.kind == kind]
            statistics = {"median": np.median(shares), "low": min(shares), "high": max(shares)}
            figures |= {f"{kind}.{budget}.{name}": round(float(value), 4) for name, value in statistics.items()}
    last = [run.trained.history[-1] for run in runs if run.kind == "scratch"]
    figures["train_seconds"] = round(float(np.median([update.seconds for update in last])), 1)
    figures["train_steps_per_second"] = round(float(np.median([update.steps / update.seconds for update in last])))
    return figures


def save(best: TrainingRun, runs: Sequence[TrainingRun], customers: Customers, args: TrainArgs) -> Manifest:
    """Write the artifact: the network, the history of all runs, the model card and the manifest."""
    histories = {kind: [run.history() for run in runs if run.kind == kind] for kind in {run.kind for run in runs}}
    summary = {
        "budgets": best.args.budgets,
        "bound_gain": round(mean_bound(customers[:VALIDATION_CUSTOMERS], best.args.budgets), 4),
        "chosen": {"kind": best.kind, "seed": best.args.seed},
    }
    files = {FILE: pack(best.trained.network), HISTORY_FILE: json.dumps(summary | histories).encode()}
    manifest = Manifest(
        version=content_version(files),
        made_by="make train-policy",
        inputs=INPUTS,
        data_sha256={source.path: source.sha256 for source in (TELCO, BANK)},
        metrics=metrics(runs),
    )
    files["MODEL_CARD.md"] = card(manifest, f"{KINDS[best.kind]}, seed {best.args.seed}").encode()
    folder = args.artifacts / "policy"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return write_manifest(folder, manifest)


def mean_bound(customers: Customers, budgets: Sequence[float]) -> float:
    """The bound on the incremental value, money per customer, averaged over the markets."""
    bound = LagrangianBound(customers)
    money = [share * bound.unconstrained_spend for share in budgets]
    return float(np.mean([bound.at_budget(budget).upper_bound(budget) / VALIDATION_CUSTOMERS for budget in money]))


def _point(update: UpdateMetrics) -> list[Any]:
    """Seconds, steps, incremental value, price of fatigue, prices of the budgets, and their utilisation."""
    numbers = [update.seconds, update.steps, update.incremental_value, update.fatigue_price]
    return [*numbers, update.prices.tolist(), update.utilisation.tolist()]


def _rounded(figures: list[Any]) -> list[Any]:
    """`figures` with every float in them to four decimals."""
    rounded: list[Any] = json.loads(json.dumps(figures), parse_float=lambda text: round(float(text), 4))
    return rounded


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.train", description=__doc__.partition("\n")[0])
    add_data_options(parser)
    args = TrainArgs(**vars(parser.parse_args()))
    try:
        manifest = train(args)
    except (SourceError, ArtifactError, BelowBaselineError) as error:
        sys.exit(str(error))
    print(*(f"{name:32} {value:.4f}" for name, value in manifest.metrics.items()), sep="\n")
    print(f"Version {manifest.version} is in {args.artifacts / 'policy'}; compare it with others: make eval-policy")


if __name__ == "__main__":
    main()

"""Train the policy, judge it on customers held out, and write the artifact: make train-policy.

Five networks from scratch, and five that go on from a clone of the dynamic program. The one that is served is chosen on
customers it was trained with, in quarters it was not; the figures are of customers held out.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
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
from training.policy.behaviour_cloning import cloned
from training.policy.customers import Population, population
from training.policy.evaluation.benchmark import BUDGETS, SEEDS, Benchmark, baselines
from training.policy.evaluation.bound import LagrangianBound
from training.policy.evaluation.card import card
from training.policy.evaluation.policies import NetworkPolicy, SpendForecast
from training.policy.export import packed, served
from training.policy.ppo import Args as PPOArgs
from training.policy.ppo import Point, Trained, Trainer

HISTORY = "training.json"
POINTS = 100
"""Of a run's history that are kept."""
VALIDATED = 1_500
"""Training customers that the choice is made on."""
SERVED = {"warm": "PPO warm-started from the index policy", "scratch": "PPO from scratch"}


@dataclass(frozen=True)
class Args:
    mirror: Path = field(default_factory=lambda: Settings().data)
    """Folder of copies of the data sets."""
    data: Path = Path("data")
    """Folder of the data sets made ready."""
    artifacts: Path = ARTIFACTS
    """Where the scorer's artifact is, and the policy's goes."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    jobs: int = 2
    """Runs at once, a core each."""
    scratch: PPOArgs = field(default_factory=PPOArgs)
    warm: PPOArgs = field(
        default_factory=lambda: PPOArgs(
            updates=40, customers=2048, batch=8192, learning_rate=1e-5, entropy=0.0, clip=0.1
        )
    )
    """Small steps: the clone knows that a quarter ends, PPO bootstraps there, and the longer it goes on the more of
    that it unlearns (training/LOG.md)."""


@dataclass(frozen=True)
class Run:
    """A network that was trained, and what came of it."""

    kind: str
    args: PPOArgs
    trained: Trained
    shares: Mapping[float, float]
    """Of the bound, by budget, on customers held out."""
    validated: float
    """The mean share on customers trained with."""

    def history(self) -> dict[str, Any]:
        points = self.trained.points
        kept = [points[i] for i in np.linspace(0, len(points) - 1, min(POINTS, len(points))).astype(int)]
        return {
            "seed": self.args.seed,
            "seconds": round(points[-1].seconds, 1),
            "steps": points[-1].steps,
            "shares": {str(budget): round(share, 4) for budget, share in self.shares.items()},
            "points": [_rounded(point) for point in kept],
        }


class BelowBaselineError(Exception):
    """What was learnt is not worth serving."""


def train(args: Args) -> Manifest:
    """Raises `SourceError`, `ArtifactError` where there is no scorer, and `BelowBaselineError`."""
    people = population(args.mirror, args.data, args.artifacts)
    short = replace(args.scratch, updates=args.scratch.updates // 3)
    jobs = [("scratch", replace(args.scratch, seed=seed)) for seed in args.seeds]
    jobs += [("warm", replace(args.warm, seed=seed)) for seed in args.seeds]
    jobs += [("gradient_ascent", replace(short, ascent=True)), ("unmasked", replace(short, masked=False))]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        runs = list(pool.map(run, *zip(*jobs, strict=True), repeat(people), range(len(jobs))))
    chosen = max((each for each in runs if each.kind in SERVED), key=lambda each: each.validated)
    if lost := behind(chosen.shares, people):
        raise BelowBaselineError(f"not written: a baseline gains more at {', '.join(lost)} of the money.")
    return save(chosen, runs, people.training, args)


def behind(shares: Mapping[float, float], people: Population) -> list[str]:
    """The budgets at which a baseline gains more of the bound, on the customers held out."""
    benchmark, policies = ModelSelection(people).test, baselines(people.training[:VALIDATED]).values()
    best = {
        budget: max(benchmark.evaluate(policy(budget), budget).share_of_bound.mean for policy in policies)
        for budget in BUDGETS
    }
    return [f"{budget:.0%}" for budget in BUDGETS if shares[budget] < best[budget]]


class ModelSelection:
    """The benchmark that the served network is selected on, and the one that figures are reported on."""

    def __init__(self, people: Population) -> None:
        self.validation_customers = people.training[:VALIDATED]
        self.validation = Benchmark(self.validation_customers, copies=1, seeds=(50, 51))
        self.test = Benchmark(people.held_out, copies=2, seeds=SEEDS[:4])

    def shares_of_bound(self, trained: Trained) -> tuple[dict[float, float], dict[float, float]]:
        """By budget, in validation and in test; spend is forecast for the validation customers."""
        network = served(trained.network)
        policy = NetworkPolicy(network, SpendForecast(network, self.validation_customers))
        validation, test = (
            {budget: benchmark.evaluate(policy, budget).share_of_bound.mean for budget in BUDGETS}
            for benchmark in (self.validation, self.test)
        )
        return validation, test


def run(kind: str, args: PPOArgs, people: Population, number: int) -> Run:
    """From a clone of the dynamic program, at its prices, if the kind is warm."""
    torch.set_num_threads(args.threads)
    customers, selection = people.training, ModelSelection(people)
    start = (cloned(customers, args.seed), duals(customers, args.budgets)) if kind == "warm" else ()
    bar = tqdm(total=args.updates, desc=f"{kind}, seed {args.seed}", unit=" updates", position=number % 2, leave=False)

    def show(point: Point) -> None:
        bar.update()
        bar.set_postfix_str(f"gain {point.gain:.2f}, prices {point.prices[0]:.1f} to {point.prices[-1]:.1f}")

    trained = Trainer(args, customers, *start).run(show)
    bar.close()
    validation, test = selection.shares_of_bound(trained)
    shares = ", ".join(f"{share:.3f} at {budget:.0%}" for budget, share in test.items())
    tqdm.write(f"{kind}, seed {args.seed}: of the bound {shares} of the money; {trained.points[-1].seconds:.0f} s")
    return Run(kind, args, trained, test, float(np.mean([*validation.values()])))


def duals(customers: Customers, budgets: Sequence[float]) -> np.ndarray:
    """The prices at which the optimum spends these shares of what it spends for free."""
    bound = LagrangianBound(customers[:VALIDATED])
    return np.array([bound.at_budget(budget * bound.unconstrained_spend).price for budget in budgets])


def metrics(runs: Sequence[Run]) -> dict[str, float]:
    """Of each kind and budget the median over the seeds, the worst and the best; and how quick training was."""
    found: dict[str, float] = {}
    for kind in SERVED:
        these = [each for each in runs if each.kind == kind]
        for budget in BUDGETS:
            shares = [each.shares[budget] for each in these]
            found |= {
                f"{kind}.{budget}.{name}": round(float(value), 4)
                for name, value in (("median", np.median(shares)), ("low", min(shares)), ("high", max(shares)))
            }
    last = [each.trained.points[-1] for each in runs if each.kind == "scratch"]
    found["train_seconds"] = round(float(np.median([point.seconds for point in last])), 1)
    found["train_steps_per_second"] = round(float(np.median([point.steps / point.seconds for point in last])))
    return found


def save(chosen: Run, runs: Sequence[Run], customers: Customers, args: Args) -> Manifest:
    history = {kind: [each.history() for each in runs if each.kind == kind] for kind in {each.kind for each in runs}}
    bound = LagrangianBound(customers[:VALIDATED])
    budgets = [share * bound.unconstrained_spend for share in chosen.args.budgets]
    bounds = [bound.at_budget(budget).upper_bound(budget) / VALIDATED for budget in budgets]
    about = {
        "budgets": chosen.args.budgets,
        "bound_gain": round(float(np.mean(bounds)), 4),
        "chosen": {"kind": chosen.kind, "seed": chosen.args.seed},
    }
    files = {FILE: packed(chosen.trained.network), HISTORY: json.dumps(about | history).encode()}
    manifest = Manifest(
        version=content_version(files),
        made_by="make train-policy",
        inputs=INPUTS,
        data_sha256={source.path: source.sha256 for source in (TELCO, BANK)},
        metrics=metrics(runs),
    )
    files["MODEL_CARD.md"] = card(manifest, f"{SERVED[chosen.kind]}, seed {chosen.args.seed}").encode()
    folder = args.artifacts / "policy"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return write_manifest(folder, manifest)


def _rounded(point: Point) -> list[Any]:
    numbers = [point.seconds, point.steps, point.gain, point.fatigue_price, point.prices.tolist(), point.used.tolist()]
    return json.loads(json.dumps(numbers), parse_float=lambda text: round(float(text), 4))


def main() -> None:
    parser = ArgumentParser(prog="python -m training.policy.train", description=__doc__.partition("\n")[0])
    parser.add_argument("--mirror", type=Path, default=Settings().data, help="folder of copies of the data sets")
    parser.add_argument("--data", type=Path, default=Args.data, help="folder of the data sets made ready")
    parser.add_argument("--artifacts", type=Path, default=Args.artifacts, help="folder of the artifacts")
    try:
        made = train(Args(**vars(parser.parse_args())))
    except (SourceError, ArtifactError, BelowBaselineError) as error:
        sys.exit(str(error))
    print(*(f"{name:32} {value:.4f}" for name, value in made.metrics.items()), sep="\n")
    print(f"version {made.version} is in {Args.artifacts / 'policy'}; judge it beside the others: make eval-policy")


if __name__ == "__main__":
    main()

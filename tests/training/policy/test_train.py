"""The whole of `make train-policy` on a few customers, and the figures and the history that it writes."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest

from services.policy.policies.network import FILE, INPUTS, Network
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.model import Customers
from shared.artifacts import ARTIFACTS, Manifest, read_manifest
from tests.policy.builders import decision_context
from training.policy import train
from training.policy.customers import Population
from training.policy.evaluation.benchmark import BUDGETS
from training.policy.evaluation.charts import has_diagnostics, history
from training.policy.network import ActorCritic
from training.policy.ppo import Diagnostics, PPOArgs, TrainedPolicy, UpdateMetrics, optimal_prices
from training.policy.train import HISTORY_FILE, MAX_POINTS, TrainArgs, TrainingRun, metrics

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(21)
CUSTOMERS = Customers(
    RNG.uniform(0.0005, 0.012, 40), np.sort(RNG.beta(2, 10, (40, 4)), axis=1), RNG.uniform(20, 115, 40)
)
POPULATION = Population(CUSTOMERS, CUSTOMERS[:20], pd.DataFrame())
TINY = PPOArgs(num_updates=6, num_envs=32, num_steps=4, minibatch_size=64, budgets=(0.2, 1.0))


class SameProcessExecutor:
    """Runs jobs in this process: a new one would not see what a test has patched."""

    def __init__(self, jobs: int, mp_context: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def map(self, function: Callable[..., Any], *jobs: Iterable[Any]) -> Iterator[Any]:
        return map(function, *jobs)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """The folder of the artifact, and the manifest that training returned."""
    folder = tmp_path_factory.mktemp("artifacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "load_population", lambda mirror, data, artifacts: POPULATION)
        patch.setattr(train, "ProcessPoolExecutor", SameProcessExecutor)
        patch.setattr(train, "budgets_below_baseline", lambda shares, population: [])  # so tiny a network is below
        patch.setattr(train, "SEEDS", (100, 101))
        patch.setattr("training.policy.evaluation.policies.FORECAST_PRICES", np.array([0.0, 2.0, 11.0]))
        patch.setattr("training.policy.behaviour_cloning.NUM_STEPS", 20)
        patch.setattr("training.policy.behaviour_cloning.PRICES", np.array([0.0, 2.0]))
        args = TrainArgs(artifacts=folder, seeds=(0,), scratch=TINY, warm=replace(TINY, num_updates=3))
        return folder / "policy", train.train(args)


def history_of(artifact: tuple[Path, Manifest]) -> dict[str, Any]:
    """Histories of the runs, by kind, and what holds for all of them."""
    histories: dict[str, Any] = json.loads((artifact[0] / HISTORY_FILE).read_text())
    return histories


def test_the_service_loads_and_runs_the_trained_network(artifact: tuple[Path, Manifest]) -> None:
    folder, manifest = artifact
    policy = PPOPolicy(Network.load(folder))

    assert read_manifest(folder, INPUTS, [FILE, HISTORY_FILE]) == manifest
    assert policy.version == manifest.version
    assert policy.choose(decision_context()).level in (None, 0, 1, 2, 3)


def test_the_manifests_metrics_are_those_of_the_runs(artifact: tuple[Path, Manifest]) -> None:
    histories, manifest = history_of(artifact), artifact[1]

    for kind in ("scratch", "warm"):
        for budget in BUDGETS:
            assert manifest.metrics[f"{kind}.{budget}.median"] == histories[kind][0]["shares"][str(budget)]
    updates = {"scratch": 6, "warm": 3, "gradient_ascent": 2, "unmasked": 2}
    assert {kind: [len(run["points"]) for run in histories[kind]] for kind in updates} == {
        kind: [number] for kind, number in updates.items()
    }
    assert histories["scratch"][0]["steps"] == 6 * 32 * 4
    assert histories["chosen"]["kind"] in ("scratch", "warm")


def test_every_update_in_a_history_has_its_diagnostics(artifact: tuple[Path, Manifest]) -> None:
    for run in history_of(artifact)["scratch"]:
        assert has_diagnostics(run)
        assert len(run["diagnostics"]) == len(run["points"])
        for diagnostics in run["diagnostics"]:
            assert list(diagnostics) == ["approx_kl", "clip_fraction", "explained_variance", "entropy"]
            assert all(isinstance(value, float) for value in diagnostics.values())


def test_a_history_is_read_with_and_without_diagnostics(artifact: tuple[Path, Manifest]) -> None:
    """The shipped artifact's has none."""
    shipped = json.loads((ARTIFACTS / "policy" / HISTORY_FILE).read_text())

    for histories in (history_of(artifact), shipped):
        for kind in ("scratch", "warm", "gradient_ascent", "unmasked"):
            for run in histories[kind]:
                for field in ("seconds", "steps", "incremental_value", "fatigue_price"):
                    assert history(run, field).shape == (len(run["points"]),)
                for field in ("prices", "utilisation"):
                    assert history(run, field).shape == (len(run["points"]), len(histories["budgets"]))


def test_the_variants_have_a_fatigue_price_or_other_multipliers(artifact: tuple[Path, Manifest]) -> None:
    kinds = ("scratch", "unmasked", "gradient_ascent")
    scratch, unmasked, gradient_ascent = (history_of(artifact)[kind][0] for kind in kinds)

    assert not history(scratch, "fatigue_price").any()
    assert history(unmasked, "fatigue_price")[-1] > 0
    assert (history(gradient_ascent, "prices")[0] != history(scratch, "prices")[0]).all()


def test_a_warm_start_begins_at_the_optimal_prices(artifact: tuple[Path, Manifest]) -> None:
    scratch, warm = (history(history_of(artifact)[kind][0], "prices")[0] for kind in ("scratch", "warm"))

    assert abs(np.log1p(warm) - np.log1p(optimal_prices(CUSTOMERS, TINY.budgets))).max() < 0.1
    assert abs(np.log1p(scratch) - np.log(2)).max() < 0.1


def test_the_model_card_has_the_figures_of_the_manifest(artifact: tuple[Path, Manifest]) -> None:
    folder, manifest = artifact
    card = (folder / "MODEL_CARD.md").read_text()

    assert f"# Policy {manifest.version}" in card
    assert f"{manifest.metrics['scratch.0.1.median']:.3f}" in card
    assert "{" not in card


def training_run(kind: str, share: float, validation_share: float = 0.0, updates: int = 3) -> TrainingRun:
    """Ten seconds and 40 decisions an update."""
    diagnostics = Diagnostics(0.0, 0.0, 0.0, 0.0)
    history = [
        UpdateMetrics(10.0 * n, 40 * n, np.ones(2), 0.0, np.ones(2), 1.0, diagnostics) for n in range(1, updates + 1)
    ]
    trained, shares = TrainedPolicy(ActorCritic(), history), dict.fromkeys(BUDGETS, share)
    return TrainingRun(kind, PPOArgs(seed=int(share * 100)), trained, shares, validation_share)


def test_metrics_are_the_median_the_lowest_and_the_highest_over_the_seeds() -> None:
    scratch = [training_run("scratch", share) for share in (0.9, 0.5, 0.8)]
    figures = metrics([*scratch, training_run("warm", 0.97), training_run("unmasked", 0.1)])

    assert [figures[f"scratch.0.3.{name}"] for name in ("low", "median", "high")] == [0.5, 0.8, 0.9]
    assert [figures[f"warm.0.3.{name}"] for name in ("low", "median", "high")] == [0.97, 0.97, 0.97]
    assert (figures["train_seconds"], figures["train_steps_per_second"]) == (30, 4)


def test_a_long_history_is_thinned_out_and_keeps_its_first_and_its_last_update() -> None:
    points = training_run("scratch", 0.9, updates=999).history()["points"]

    assert len(points) == MAX_POINTS
    assert (points[0][1], points[-1][1]) == (40, 999 * 40)


def test_the_served_network_is_the_best_in_validation_among_masked_pid_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {
        ("scratch", 0): training_run("scratch", share=0.99, validation_share=0.7),
        ("warm", 0): training_run("warm", share=0.5, validation_share=0.8),
        ("gradient_ascent", 0): training_run("gradient_ascent", share=1.0, validation_share=0.9),
        ("unmasked", 0): training_run("unmasked", share=1.0, validation_share=0.95),
    }
    monkeypatch.setattr(train, "load_population", lambda mirror, data, artifacts: POPULATION)
    monkeypatch.setattr(train, "ProcessPoolExecutor", SameProcessExecutor)
    monkeypatch.setattr(train, "run", lambda kind, args, population, number: runs[kind, args.seed])
    monkeypatch.setattr(train, "budgets_below_baseline", lambda shares, population: [])
    train.train(TrainArgs(artifacts=tmp_path, seeds=(0,)))

    chosen = json.loads((tmp_path / "policy" / HISTORY_FILE).read_text())["chosen"]
    assert chosen == {"kind": "warm", "seed": 50}


def test_a_policy_below_a_baseline_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(train, "SEEDS", (100, 101))
    monkeypatch.setattr(train, "load_population", lambda mirror, data, artifacts: POPULATION)
    monkeypatch.setattr(train, "ProcessPoolExecutor", SameProcessExecutor)
    monkeypatch.setattr("training.policy.evaluation.benchmark.THRESHOLDS", (1.0, 5.0))  # fewer candidates to tune among
    poor, untrained = {budget: -1.0 for budget in BUDGETS}, TrainedPolicy(ActorCritic(), [])
    monkeypatch.setattr(train, "run", lambda kind, args, *_: TrainingRun(kind, args, untrained, poor, 0.0))

    assert train.budgets_below_baseline({budget: 2.0 for budget in BUDGETS}, POPULATION) == []
    with pytest.raises(train.BelowBaselineError, match="higher value at a budget of 10%, 30%, 60%"):
        train.train(TrainArgs(artifacts=tmp_path, seeds=(0,)))
    assert not (tmp_path / "policy").exists()

"""The whole of `make train-policy`, on a few customers and for a moment; and what is said of its runs."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pytest

from services.policy.policies.network import FILE, INPUTS, Network
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.model import Customers
from shared.artifacts import Manifest, read_manifest
from tests.policy.builders import situation
from training.policy import train
from training.policy.customers import Population
from training.policy.evaluation.benchmark import BUDGETS
from training.policy.evaluation.bound import LagrangianBound
from training.policy.ppo import Args as PPOArgs
from training.policy.ppo import Network as Torch
from training.policy.ppo import Point, Trained
from training.policy.train import HISTORY, POINTS, Args, Run, duals, metrics

DRAWN = np.random.default_rng(21)
CUSTOMERS = Customers(
    DRAWN.uniform(0.0005, 0.012, 40), np.sort(DRAWN.beta(2, 10, (40, 4)), axis=1), DRAWN.uniform(20, 115, 40)
)
TINY = PPOArgs(updates=6, customers=32, steps=4, batch=64, budgets=(0.2, 1.0))


class AtOnce:
    """In this process: a new one could not see what a test has changed."""

    def __init__(self, jobs: int, mp_context: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def map(self, work: object, *jobs: Iterable[object]) -> Iterator[object]:
        return map(work, *jobs)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """The folder of the artifact, and what training returned."""
    folder = tmp_path_factory.mktemp("artifacts")
    people = Population(CUSTOMERS, CUSTOMERS[:20], pd.DataFrame())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "population", lambda mirror, data, artifacts: people)
        patch.setattr(train, "ProcessPoolExecutor", AtOnce)
        patch.setattr(train, "behind", lambda shares, people: [])  # so small a network is no match for a rule
        patch.setattr(train, "SEEDS", (100, 101))
        patch.setattr("training.policy.evaluation.policies.FORECAST_PRICES", np.array([0.0, 2.0, 11.0]))
        patch.setattr("training.policy.behaviour_cloning.STEPS", 20)
        patch.setattr("training.policy.behaviour_cloning.PRICES", np.array([0.0, 2.0]))
        args = Args(artifacts=folder, seeds=(0,), scratch=TINY, warm=replace(TINY, updates=3))
        return folder / "policy", train.train(args)


def test_the_service_accepts_and_runs_what_was_trained(made: tuple[Path, Manifest]) -> None:
    folder, manifest = made
    policy = PPOPolicy(Network.load(folder))

    assert read_manifest(folder, INPUTS, [FILE, HISTORY]) == manifest
    assert policy.version == manifest.version
    assert policy.choose(situation()).level in (None, 0, 1, 2, 3)


def test_the_figures_are_those_of_the_runs(made: tuple[Path, Manifest]) -> None:
    folder, manifest = made
    history = json.loads((folder / HISTORY).read_text())

    for kind in ("scratch", "warm"):
        for budget in BUDGETS:
            assert manifest.metrics[f"{kind}.{budget}.median"] == history[kind][0]["shares"][str(budget)]
    updates = {"scratch": 6, "warm": 3, "gradient_ascent": 2, "unmasked": 2}
    assert {kind: [len(run["points"]) for run in history[kind]] for kind in updates} == {
        kind: [number] for kind, number in updates.items()
    }
    assert history["scratch"][0]["steps"] == 6 * 32 * 4
    assert history["chosen"]["kind"] in ("scratch", "warm")


def test_the_variants_are_trained_by_their_own_rules(made: tuple[Path, Manifest]) -> None:
    history = json.loads((made[0] / HISTORY).read_text())
    fined = {kind: [point[3] for point in history[kind][0]["points"]] for kind in ("scratch", "unmasked")}

    assert not any(fined["scratch"])
    assert fined["unmasked"][-1] > 0
    assert history["gradient_ascent"][0]["points"][0][4] != history["scratch"][0]["points"][0][4]


def test_a_warm_start_begins_at_the_optimums_prices(made: tuple[Path, Manifest]) -> None:
    history = json.loads((made[0] / HISTORY).read_text())
    cold, warm = (history[kind][0]["points"][0][4] for kind in ("scratch", "warm"))

    assert abs(np.log1p(warm) - np.log1p(duals(CUSTOMERS, TINY.budgets))).max() < 0.1
    assert abs(np.log1p(cold) - np.log(2)).max() < 0.1


def test_the_card_is_of_this_run(made: tuple[Path, Manifest]) -> None:
    folder, manifest = made
    card = (folder / "MODEL_CARD.md").read_text()

    assert f"# Policy {manifest.version}" in card
    assert f"{manifest.metrics['scratch.0.1.median']:.3f}" in card
    assert "{" not in card


def test_duals_are_the_prices_at_which_the_optimum_spends_such_shares() -> None:
    bound = LagrangianBound(CUSTOMERS)
    free = bound.unconstrained_spend

    for share, price in zip((0.1, 0.5, 1.0), duals(CUSTOMERS, (0.1, 0.5, 1.0)), strict=True):
        assert bound.at_price(float(price)).spend <= share * free
        assert bound.at_price(float(price) * 0.99).spend >= 0.9 * share * free


def ran(kind: str, share: float, validated: float = 0.0, points: int = 3) -> Run:
    """Ten seconds and 40 decisions an update."""
    path = [Point(10.0 * n, 40 * n, np.ones(2), 0.0, np.ones(2), 1.0) for n in range(1, points + 1)]
    return Run(kind, PPOArgs(seed=int(share * 100)), Trained(Torch(), path), dict.fromkeys(BUDGETS, share), validated)


def test_metrics_by_hand() -> None:
    found = metrics([*(ran("scratch", share) for share in (0.9, 0.5, 0.8)), ran("warm", 0.97), ran("unmasked", 0.1)])

    assert [found[f"scratch.0.3.{name}"] for name in ("low", "median", "high")] == [0.5, 0.8, 0.9]
    assert [found[f"warm.0.3.{name}"] for name in ("low", "median", "high")] == [0.97, 0.97, 0.97]
    assert (found["train_seconds"], found["train_steps_per_second"]) == (30, 4)


def test_of_a_long_history_as_many_points_are_kept_with_its_first_and_its_last() -> None:
    kept = ran("scratch", 0.9, points=999).history()["points"]

    assert len(kept) == POINTS
    assert (kept[0][1], kept[-1][1]) == (40, 999 * 40)


def test_who_serves_is_chosen_on_customers_trained_with_among_masked_pid_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {
        ("scratch", 0): ran("scratch", share=0.99, validated=0.7),
        ("warm", 0): ran("warm", share=0.5, validated=0.8),
        ("gradient_ascent", 0): ran("gradient_ascent", share=1.0, validated=0.9),
        ("unmasked", 0): ran("unmasked", share=1.0, validated=0.95),
    }
    people = Population(CUSTOMERS, CUSTOMERS, pd.DataFrame())
    monkeypatch.setattr(train, "population", lambda mirror, data, artifacts: people)
    monkeypatch.setattr(train, "ProcessPoolExecutor", AtOnce)
    monkeypatch.setattr(train, "run", lambda kind, args, people, number: made[kind, args.seed])
    monkeypatch.setattr(train, "behind", lambda shares, people: [])
    train.train(Args(artifacts=tmp_path, seeds=(0,)))

    chosen = json.loads((tmp_path / "policy" / HISTORY).read_text())["chosen"]
    assert chosen == {"kind": "warm", "seed": 50}


def test_what_is_below_a_baseline_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    people = Population(CUSTOMERS, CUSTOMERS[:20], pd.DataFrame())
    monkeypatch.setattr(train, "SEEDS", (100, 101))
    monkeypatch.setattr(train, "population", lambda mirror, data, artifacts: people)
    monkeypatch.setattr(train, "ProcessPoolExecutor", AtOnce)
    poor = {budget: -1.0 for budget in BUDGETS}
    monkeypatch.setattr(train, "run", lambda kind, args, *_: Run(kind, args, Trained(Torch(), []), poor, 0.0))

    assert train.behind({budget: 2.0 for budget in BUDGETS}, people) == []
    with pytest.raises(train.BelowBaselineError, match="10%, 30%, 60% of the money"):
        train.train(Args(artifacts=tmp_path, seeds=(0,)))
    assert not (tmp_path / "policy").exists()

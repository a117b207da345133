import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.scorer.calibration import Calibrator
from services.scorer.features import RISK_FACTS
from services.scorer.model import INPUTS, ScorerModel
from shared.artifacts import ArtifactError, Manifest, read_manifest
from shared.messages import CustomerFacts
from tests.training.scorer.builders import TARGET, numbered, synthetic
from training.data.sources import SourceError
from training.scorer import evaluate as evaluate_command
from training.scorer import targets
from training.scorer import train as train_command
from training.scorer.card import ModelName, markdown_text
from training.scorer.data import public_tables
from training.scorer.fit import (
    CalibratedModel,
    fit,
)
from training.scorer.metrics import auc, ece
from training.scorer.targets import (
    Target,
    accept_all_target,
)
from training.scorer.train import ModelQualityError, ScorerArgs, check_quality, train, train_on_user_data, train_part
from training.statistics import Estimate

pytestmark = pytest.mark.slow

SAMPLE_SIZE = 2500
"""Rows of each set that a small run is trained on."""


@pytest.mark.parametrize(("name", "value"), [("auc", 0.6999), ("ece", 0.0501)])
def test_a_model_below_its_floor_is_refused(name: str, value: float) -> None:
    passes = {"accept.auc": Estimate(0.7, 0.6, 0.8), "accept.ece": Estimate(0.05, 0.04, 0.06)}
    check_quality(TARGET, passes)
    with pytest.raises(ModelQualityError, match=rf"accept has an .*{value:.4f}.* kept"):
        check_quality(TARGET, passes | {f"accept.{name}": Estimate(value, value, value)})


def test_without_data_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise SourceError("telco: no copy")

    monkeypatch.setattr("training.scorer.data.prepare", unreachable)
    with pytest.raises(SourceError):
        train(ScorerArgs(tmp_path, tmp_path / "data", tmp_path / "scorer", tmp_path / "reports"))
    assert not (tmp_path / "scorer").exists()


Small = tuple[Path, Manifest]


@contextmanager
def small_recipes() -> Iterator[None]:
    """Recipes of few trees."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RISK_RECIPE", "ACCEPT_RECIPE", "ALL_RECIPE"):
            recipe = getattr(targets, name)
            parameters = {**recipe.parameters, "max_depth": 3, "eta": 0.2}
            smaller = replace(recipe, trees=20, copies=min(recipe.copies, 1), parameters=parameters)
            patch.setattr(targets, name, smaller)
        yield


@pytest.fixture(scope="session")
def small(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The folder of a small run on the public data sets, with few trees, and its manifest."""
    folder = tmp_path_factory.mktemp("small")
    with small_recipes():
        return folder, train(small_args(data, folder))


def small_args(data: Path, folder: Path) -> ScorerArgs:
    return ScorerArgs(
        mirror=data,
        data=folder / "data",
        out=folder / "scorer",
        reports=folder / "reports",
        sample_size=SAMPLE_SIZE,
        repeats=1,
    )


def test_the_service_loads_the_artifact_of_a_run(small: Small) -> None:
    folder, manifest = small
    model = ScorerModel.load(folder / "scorer")
    assert model.version == manifest.version
    assert 0 < model.score([CustomerFacts()])[0].churn_risk < 1


def test_the_services_scores_have_the_metrics_of_training(small: Small, data: Path) -> None:
    """The test split by the service that loads the artifact has the metrics that its manifest gives."""
    folder, manifest = small
    model = ScorerModel.load(folder / "scorer")
    telco, _ = public_tables(data, folder / "data")
    test = telco.sample(SAMPLE_SIZE, random_state=42).query("split == 'test'")
    customers = [
        CustomerFacts.model_validate({k: v for k, v in row.items() if k in RISK_FACTS})
        for row in test.to_dict("records")
    ]
    scores = np.array([score.churn_risk for score in model.score(customers)])
    assert auc(scores, test["churned"].to_numpy(int)) == pytest.approx(manifest.metrics["risk.test.auc"], abs=1e-4)
    assert ece(scores, test["churned"].to_numpy(int)) == pytest.approx(manifest.metrics["risk.test.ece"], abs=1e-4)
    trained = Calibrator.load(json.loads((folder / "scorer" / "curves.json").read_text())["risk"])
    raw = np.linspace(0, 1, 50)
    complete, incomplete = np.zeros((50, 24), np.float32), np.full((50, 24), np.nan, np.float32)
    assert (trained(complete, raw) != trained(incomplete, raw)).any()
    [without_facts] = model.score([CustomerFacts()])
    whole = trained.complete(raw), trained.partial(raw)
    assert min(whole[1]) <= without_facts.churn_risk <= max(whole[1])


def test_the_test_split_is_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted_on: list[np.ndarray] = []
    target = replace(
        numbered(synthetic()), name="risk", features=("tenure", "monthly_charges", "total_charges", "contract")
    )

    def recorded_fit(target: Target) -> CalibratedModel:
        fitted_on.append(target.rows[:, 0])
        return fit(target)

    monkeypatch.setattr(train_command, "fit", recorded_fit)
    monkeypatch.setattr(train_command, "check_quality", lambda *_: None)
    monkeypatch.setattr(train_command, "FACTS", {"risk": {name: None for name in target.features}})
    splits = pd.Series(np.where(np.arange(2000) % 10 == 3, "test", "train"))
    part = train_part("risk", target, splits, {}, {})
    assert len(fitted_on[0]) == 1800
    assert not (fitted_on[0] % 10 == 3).any()
    assert part.metrics["risk.test.ece"] < 0.2


@pytest.mark.parametrize(
    ("fact", "values"),
    [("tenure", [0, 1, 6, 12, 24, 48, 72]), ("contract", ["Month-to-month", "One year", "Two year"])],
)
def test_a_longer_tenure_or_contract_never_raises_the_risk(small: Small, fact: str, values: list[Any]) -> None:
    model, rng = ScorerModel.load(small[0] / "scorer"), np.random.default_rng(0)
    others = [
        {"tenure": int(t), "monthly_charges": float(m), "contract": c, "internet_service": i}
        for t, m, c, i in zip(
            rng.integers(73, size=200),
            rng.uniform(18, 118, 200),
            rng.choice(["Month-to-month", "One year", "Two year"], 200),
            rng.choice(["DSL", "Fiber optic", "No"], 200),
            strict=True,
        )
    ]
    by_value = [[s.churn_risk for s in model.score([CustomerFacts(**(o | {fact: v})) for o in others])] for v in values]
    assert (np.diff(by_value, axis=0) <= 0).all()
    assert np.ptp(by_value) > 0.1


def test_a_higher_offer_level_never_lowers_acceptance(small: Small) -> None:
    model = ScorerModel.load(small[0] / "scorer")
    customers = [CustomerFacts(age=age, job=job) for age in range(20, 90, 5) for job in ("student", "retired", None)]
    offers = np.array([score.accept_probs for score in model.score(customers)])
    assert (np.diff(offers) >= 0).all()
    assert (offers[:, -1] > offers[:, 0]).any()


def test_report_manifest_and_card_say_the_same(small: Small) -> None:
    folder, manifest = small
    report = json.loads((folder / "reports" / "predictors.json").read_text())
    card = (folder / "scorer" / "MODEL_CARD.md").read_text()
    for name in ("risk.auc", "risk.ece", "accept.auc", "accept.ece", "accept.time_auc", "accept.time_ece"):
        assert report[name]["low"] <= report[name]["mean"] <= report[name]["high"]
        assert manifest.metrics[name] == report[name]["mean"]
        assert f"{report[name]['mean']:.4f}" in card
    assert "No offer was randomised" in card


def test_the_reference_histograms_are_of_the_training_rows(small: Small) -> None:
    folder, _ = small
    bins = json.loads((folder / "scorer" / "reference.json").read_text())
    assert {*RISK_FACTS, "job", "churn_risk", "accept_prob"} <= set(bins)
    assert sum(bins["contract"]["counts"]) == pytest.approx(0.9 * SAMPLE_SIZE, abs=60)


def test_the_acceptance_model_for_comparison_has_more_features_than_an_event_carries(data: Path, small: Small) -> None:
    _, bank = public_tables(data, small[0] / "data")
    target = accept_all_target(bank.head(500))
    assert {"calls", "euribor3m", "month=may"} <= set(target.features)
    assert "duration" not in bank.columns


MAPPING = """


label = "gone"


churned = "left"

[facts]


tenure = "months"


contract = "plan"

[values.contract]


monthly = "Month-to-month"


yearly = "One year"
"""
CUSTOMERS = pd.DataFrame({"months": np.tile(np.arange(60), 20), "plan": ["monthly", "yearly"] * 600})


def user_files(folder: Path, churned: np.ndarray) -> tuple[Path, Path]:
    """A user's customers, and the mapping of their columns."""
    plans = CUSTOMERS["plan"].mask(CUSTOMERS.index < 3, "weekly")
    customers = CUSTOMERS.assign(plan=plans, gone=np.where(churned, "left", "stayed"), shoe_size=42)
    customers.to_csv(folder / "customers.csv", index=False)
    (folder / "mapping.toml").write_text(MAPPING)
    return folder / "customers.csv", folder / "mapping.toml"


@pytest.fixture(scope="session")
def with_user_risk(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The folder of the small run's artifact with a risk trained on a user's customers, and its manifest."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(small[0] / "scorer", folder / "scorer")
    churned = np.random.default_rng(0).random(1200) < np.where(CUSTOMERS["months"] < 20, 0.8, 0.1)
    args = ScorerArgs(out=folder / "scorer", repeats=1)
    with redirect_stdout(StringIO()) as output:
        manifest = train_on_user_data(*user_files(folder, churned), args)
    (folder / "output.txt").write_text(output.getvalue())
    return folder, manifest


def test_a_risk_from_user_data_keeps_the_acceptance_model(small: Small, with_user_risk: Small) -> None:
    (folder, manifest), (before_folder, before) = with_user_risk, small
    assert manifest.version != before.version
    assert manifest.metrics["accept.auc"] == before.metrics["accept.auc"]
    assert manifest.metrics["risk.auc"] > 0.8
    assert "customers.csv" in manifest.data_sha256
    assert not any("Telco" in path for path in manifest.data_sha256)
    old, new = (ScorerModel.load(path / "scorer") for path in (before_folder, folder))
    [[leaving, staying], [before_leaving]] = (
        new.score([CustomerFacts(tenure=3), CustomerFacts(tenure=50)]),
        old.score([CustomerFacts(tenure=3)]),
    )
    assert leaving.accept_probs == before_leaving.accept_probs
    assert leaving.churn_risk > 0.5 > staying.churn_risk


def test_the_command_and_the_card_describe_the_user_data(small: Small, with_user_risk: Small) -> None:
    folder, _ = with_user_risk
    output, card = (folder / "output.txt").read_text(), card_text(folder)
    for text in (output, card):
        assert "1,200 customers" in text
        assert "columns not used: shoe_size" in text
        assert "not known of anyone: monthly_charges" in text
        assert "taken as missing: contract (3)" in text
    assert "contract: unknown values are, for example, 'weekly': map them under [values.contract]" in output
    assert "Telco" not in card.partition("## Use")[0]
    assert f"Only `risk.ubj` was trained in this run. `accept.ubj`, {KEPT_NOTE} version {small[1].version}." in card


KEPT_NOTE = "its calibrator and all its metrics below are kept from"


def card_text(folder: Path) -> str:
    """On one line, without Markdown's escapes."""
    return " ".join((folder / "scorer" / "MODEL_CARD.md").read_text().replace("\\_", "_").split())


def test_only_the_risk_is_trained_and_acceptance_kept(
    small: Small, with_user_risk: Small, data: Path, tmp_path: Path
) -> None:
    """After a risk from user data, the risk of the public data is the one that a run of both models trained."""
    shutil.copytree(with_user_risk[0] / "scorer", tmp_path / "scorer")
    with small_recipes():
        manifest = train(replace(small_args(data, tmp_path), only="risk"))
    assert manifest.model_copy(update={"made_by": "make train-scorer"}) == small[1]
    assert manifest.made_by == "make train-risk"
    assert not (tmp_path / "reports").exists()
    card = card_text(tmp_path)
    assert "Telco Customer Churn" in card
    assert (
        f"Only `risk.ubj` was trained in this run. `accept.ubj`, {KEPT_NOTE} version {with_user_risk[1].version}."
        in card
    )


def test_only_acceptance_is_trained_and_the_risk_kept(with_user_risk: Small, data: Path, tmp_path: Path) -> None:
    folder, before = with_user_risk
    shutil.copytree(folder / "scorer", tmp_path / "scorer")
    with small_recipes():
        manifest = train(replace(small_args(data, tmp_path), only="accept"))
    assert manifest.model_copy(update={"made_by": before.made_by}) == before, "trained again from the same calls"
    card = card_text(tmp_path)
    assert "| customers.csv: 1,200 customers, of whom" in card
    assert f"Only `accept.ubj` was trained in this run. `risk.ubj`, {KEPT_NOTE} version {before.version}." in card


@pytest.mark.parametrize("only", ["risk", "accept"])
def test_one_model_alone_needs_the_other_one_and_says_how_to_train_it(only: ModelName, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no readable manifest\.json .* run: make train-scorer$"):
        train(ScorerArgs(out=tmp_path / "scorer", only=only))
    assert not (tmp_path / "scorer").exists()


def test_random_labels_make_no_model(small: Small, tmp_path: Path) -> None:
    out = shutil.copytree(small[0] / "scorer", tmp_path / "scorer")
    churned = np.random.default_rng(0).random(1200) < 0.3
    with pytest.raises(ModelQualityError, match=r"risk has an AUC of 0\.[45].*old artifact is kept"):
        train_on_user_data(*user_files(tmp_path, churned), ScorerArgs(out=out, repeats=1))
    assert read_manifest(out, INPUTS).version == small[1].version


def test_a_risk_from_user_data_needs_an_acceptance_model(tmp_path: Path) -> None:
    churned = np.arange(1200) % 60 < 20
    with pytest.raises(ArtifactError, match=r"no readable manifest\.json"):
        train_on_user_data(*user_files(tmp_path, churned), ScorerArgs(out=tmp_path / "scorer", repeats=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--own", "customers.csv"], "--own and --mapping go together"),
        (["--own", "customers.csv", "--mapping", "mapping.toml"], "mapping.toml cannot be read"),
        (["--own", "a.csv", "--mapping", "b.toml", "--only", "accept"], "--own trains the risk"),
        (["--only", "both"], "invalid choice: 'both'"),
    ],
)
def test_a_wrong_command_line_is_reported(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        train_command.main()
    assert message in f"{exit_info.value} {capsys.readouterr().err}"


def test_the_evaluate_command_says_whether_the_artifact_has_the_same_metrics(
    small: Small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, manifest = small
    metrics = {name: Estimate(manifest.metrics[name], 0, 1) for name in ("risk.auc", "accept.auc")}
    written: list[tuple[Any, ...]] = []
    monkeypatch.setattr(evaluate_command, "public_tables", lambda *_: ())
    monkeypatch.setattr(evaluate_command, "write_report", lambda *args: written.append(args))
    monkeypatch.setattr("sys.argv", ["evaluate", "--reports", str(folder)])
    monkeypatch.setenv("RETENTION_ARTIFACTS", str(folder))
    different = {"risk.auc": Estimate(0.1, 0, 1)}
    for run_metrics, message in ((metrics, "has the same metrics"), (metrics | different, "1 of 2 metrics differ")):
        run = SimpleNamespace(metrics=run_metrics)
        monkeypatch.setattr(evaluate_command, "evaluate", lambda run=run: run)
        evaluate_command.main()
        assert message in capsys.readouterr().out
        assert written[-1][:2] == (run, folder)


def test_names_that_users_chose_are_plain_text_in_the_card() -> None:
    assert markdown_text("a\n# b | <img> \\ [c](d)") == r"a \# b \| &lt;img&gt; \\ \[c\](d)"

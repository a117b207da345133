import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
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
from training.data.sources import SourceError
from training.scorer import evaluate as evaluate_command
from training.scorer import evaluation, targets
from training.scorer import train as train_command
from training.scorer.card import ModelName, markdown_text
from training.scorer.data import public_tables
from training.scorer.evaluation import cross_validate, evaluate_in_time
from training.scorer.fit import (
    CalibratedModel,
    cross_validation_folds,
    fit,
    fit_calibrator,
    fit_isotonic,
    fit_trees,
    predict_uncalibrated,
)
from training.scorer.logistic_recalibration import WINDOW_SIZE, rolling_recalibration
from training.scorer.metrics import auc, ece, ece_by_chance
from training.scorer.targets import (
    ModelRecipe,
    Target,
    accept_all_target,
    with_known_facts,
    with_masked_facts,
)
from training.scorer.train import FloorError, ScorerArgs, check_floors, train, train_on_user_data, train_part
from training.statistics import Estimate

SAMPLE_SIZE = 2500
"""Rows of each set that a small run is trained on."""
SMALL_RECIPE = ModelRecipe(trees=5, parameters={"max_depth": 2, "min_child_weight": 1}, copies=1)
TARGET = Target(
    name="accept",
    features=("age", "job=a", "job=b", "offer_level"),
    rows=np.tile(np.array([40, 1, 0, 3], np.float32), (2000, 1)),
    labels=np.zeros(2000, int),
    recipe=SMALL_RECIPE,
    monotone={},
    auc_floor=0.7,
)


def synthetic(rows: int = 2000) -> Target:
    """Labels whose probability rises with the age."""
    rng = np.random.default_rng(0)
    values = rng.random((rows, 4), np.float32)
    labels = (rng.random(rows) < 0.1 + 0.5 * values[:, 0]).astype(int)
    return replace(TARGET, rows=values, labels=labels, views={"id_only": ()})


def test_ece_is_the_mean_distance_between_prediction_and_observed_share() -> None:
    assert ece(np.full(10, 0.5), np.array([1] * 5 + [0] * 5)) == 0
    assert ece(np.array([0.9] * 4 + [0.1] * 4), np.array([1, 1, 0, 0, 0, 0, 0, 0])) == pytest.approx(0.25)


def test_perfectly_calibrated_probabilities_show_an_ece_by_chance() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    by_chance = ece_by_chance(p, seed=1)
    assert 0.01 < by_chance < 0.05
    assert ece_by_chance(p[:100], seed=1) > 2 * by_chance


def test_all_features_of_an_unknown_fact_are_missing_and_the_offer_level_never_is() -> None:
    row = with_known_facts(TARGET, np.array([[True, False, False]]))[0]
    np.testing.assert_array_equal(row, [40, np.nan, np.nan, 3])


def test_masking_leaves_between_all_and_no_facts_and_the_offer_level() -> None:
    rows = with_masked_facts(TARGET, np.random.default_rng(0))
    known = ~np.isnan(rows)
    assert (known[:, 1] == known[:, 2]).all()
    assert known[:, 3].all()
    assert {1, 2, 3, 4} == set(known.sum(axis=1).tolist())
    assert known[:, 0].mean() == pytest.approx(0.5, abs=0.05)


def test_an_isotonic_curve_rises_strictly_between_its_ends() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(3000)
    curve = fit_isotonic(p, (rng.random(3000) < p**2).astype(int), np.ones(3000))
    inside = np.linspace(curve.x[0], curve.x[-1], 500)
    assert (np.diff(curve(inside)) > 0).all()
    assert np.abs(curve(inside) - inside**2).mean() < 0.05


def test_an_isotonic_curve_is_not_more_certain_than_its_sample() -> None:
    """Twenty of twenty positives at the top make a probability of 20 in 21."""
    p = np.concatenate([np.linspace(0.1, 0.2, 500), np.full(20, 0.9)])
    curve = fit_isotonic(p, np.concatenate([np.arange(500) % 10 == 0, np.ones(20)]).astype(int), np.ones(520))
    assert curve(np.array([1.0]))[0] == pytest.approx(20 / 21)
    assert curve(np.array([0.0]))[0] > 0


def test_customers_with_complete_and_with_missing_facts_have_curves_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = np.ones((6000, 4), np.float32)
    rows[3000:, 1:] = np.nan
    raw = rng.random(6000)
    labels = (rng.random(6000) < np.where(np.arange(6000) < 3000, raw, 0.3)).astype(int)
    calibrated = fit_calibrator([0, 1, 2, 3], rows, raw, labels)(rows[[0, -1]], np.full(2, 0.8))
    assert calibrated == pytest.approx([0.8, 0.3], abs=0.06)


def test_the_same_rows_give_the_same_trees() -> None:
    target = synthetic()
    assert fit_trees(target).save_raw("ubj") == fit_trees(target).save_raw("ubj")


def test_masked_copies_do_not_give_customers_more_weight() -> None:
    """With no fact to mask a copy is the same row again, and changes nothing."""
    target = replace(synthetic(), rows=synthetic().rows[:, :1], features=("offer_level",))  # a level is never masked
    recipe = ModelRecipe(trees=5, parameters={"max_depth": 2, "min_child_weight": 30, "reg_lambda": 5})
    once, thrice = (fit_trees(replace(target, recipe=replace(recipe, copies=n))) for n in (0, 2))
    first, second = (predict_uncalibrated(booster, target.rows) for booster in (once, thrice))
    np.testing.assert_allclose(first, second, rtol=1e-3)


def test_folds_are_shuffled_anew_and_cover_everyone_once() -> None:
    first, second = cross_validation_folds(synthetic(), 2)
    for tests in (first, second):
        assert sorted(np.concatenate(tests)) == list(range(2000))
    assert not np.array_equal(first[0], second[0])


def numbered(target: Target) -> Target:
    """The first feature of each row is its number."""
    return replace(target, rows=np.column_stack([np.arange(len(target.rows)), target.rows[:, 1:]]).astype(np.float32))


def test_no_model_or_baseline_predicts_a_customer_it_was_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[set[float], set[float]]] = []

    def predict(train: Target, rows: np.ndarray) -> np.ndarray:
        calls.append(({*train.rows[:, 0].tolist()}, {*rows[:, 0].tolist()}))
        return np.random.default_rng(0).random(len(rows))

    monkeypatch.setattr(evaluation, "fit", lambda train: partial(predict, train))
    monkeypatch.setattr(evaluation, "BASELINES", {"baseline": predict})
    cross_validate(numbered(replace(synthetic(), recipe=replace(SMALL_RECIPE, copies=0), views={})), repeats=1)
    evaluate_in_time(numbered(replace(synthetic(6000), recipe=replace(SMALL_RECIPE, copies=0), views={})))
    assert len(calls) == 5 * 2 + 2
    assert all(not fitted_on & predicted for fitted_on, predicted in calls)
    fixed, first_window = calls[-2:]
    assert (max(fixed[0]), min(fixed[1])) == (4799, 4800)
    window_start = 4800 - WINDOW_SIZE
    assert (max(first_window[0]), min(first_window[1]), max(first_window[1])) == (window_start - 1, window_start, 4799)


def test_a_calibrator_is_fitted_on_out_of_fold_predictions() -> None:
    """Where labels are random, trees are certain of those that they were fitted on; out of fold they are not."""
    rng = np.random.default_rng(1)
    target = replace(synthetic(), labels=rng.integers(2, size=2000), recipe=replace(SMALL_RECIPE, trees=100))
    model = fit(target)
    assert auc(predict_uncalibrated(model.booster, target.rows), target.labels) > 0.6
    assert np.abs(model(target.rows) - 0.5).mean() < 0.05


def test_cross_validation_measures_the_model_its_views_and_the_baselines_on_the_same_folds() -> None:
    result = cross_validate(synthetic(), repeats=2)
    assert set(result.probabilities) == {"whole", "masked", "id_only", "logistic", "sklearn_xgboost"}
    assert all(p.shape == (2, 2000) for p in result.probabilities.values())
    assert result.metrics["accept.auc"].mean > 0.6
    assert result.metrics["accept.logistic.auc"].mean > 0.6
    assert result.metrics["accept.ece"].mean < 0.05
    assert "accept.id_only.auc" not in result.metrics
    assert result.metrics["accept.base_rate"].mean == pytest.approx(synthetic().labels.mean())


def test_each_block_is_recalibrated_by_the_outcomes_before_it() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.2, 6000)
    rate = np.where(np.arange(6000) < 3000, 1, 3)
    labels = (rng.random(6000) < p * rate).astype(int)
    recalibrated = rolling_recalibration(p, labels)
    assert len(recalibrated) == 6000 - WINDOW_SIZE
    assert ece(recalibrated[-1500:], labels[-1500:]) < 0.05 < ece(p[-1500:], labels[-1500:])
    other_future = np.where(np.arange(6000) < 4000, labels, 1 - labels)
    unchanged = slice(4000 - WINDOW_SIZE)
    np.testing.assert_array_equal(rolling_recalibration(p, other_future)[unchanged], recalibrated[unchanged])


def test_the_last_fifth_in_order_of_time_is_predicted_by_a_model_of_what_came_before() -> None:
    target = synthetic(6000)
    late = np.arange(6000) >= 4800
    changed = replace(
        target, labels=np.where(late, np.random.default_rng(2).random(6000) < 0.9, target.labels).astype(int)
    )
    result = evaluate_in_time(changed)
    assert len(result.labels) == 1200
    assert all(len(p) == 1200 for p in result.probabilities.values())
    assert result.metrics["accept.time_fixed_ece"].mean > 0.3
    assert result.metrics["accept.time_ece"].mean < result.metrics["accept.time_fixed_ece"].mean


@pytest.mark.parametrize(("name", "value"), [("auc", 0.6999), ("ece", 0.0501)])
def test_a_model_below_its_floor_is_refused(name: str, value: float) -> None:
    passes = {"accept.auc": Estimate(0.7, 0.6, 0.8), "accept.ece": Estimate(0.05, 0.04, 0.06)}
    check_floors(TARGET, passes)
    with pytest.raises(FloorError, match=rf"accept has an .*{value:.4f}.* kept"):
        check_floors(TARGET, passes | {f"accept.{name}": Estimate(value, value, value)})


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
    monkeypatch.setattr(train_command, "check_floors", lambda *_: None)
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
    assert f"Only `risk.ubj` was trained in this run. `accept.ubj`, {KEPT} version {small[1].version}." in card


KEPT = "its calibrator and all its metrics below are kept from"


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
    assert f"Only `risk.ubj` was trained in this run. `accept.ubj`, {KEPT} version {with_user_risk[1].version}." in card


def test_only_acceptance_is_trained_and_the_risk_kept(with_user_risk: Small, data: Path, tmp_path: Path) -> None:
    folder, before = with_user_risk
    shutil.copytree(folder / "scorer", tmp_path / "scorer")
    with small_recipes():
        manifest = train(replace(small_args(data, tmp_path), only="accept"))
    assert manifest.model_copy(update={"made_by": before.made_by}) == before, "trained again from the same calls"
    card = card_text(tmp_path)
    assert "| customers.csv: 1,200 customers, of whom" in card
    assert f"Only `accept.ubj` was trained in this run. `risk.ubj`, {KEPT} version {before.version}." in card


@pytest.mark.parametrize("only", ["risk", "accept"])
def test_one_model_alone_needs_the_other_one_and_says_how_to_train_it(only: ModelName, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no readable manifest\.json .* run: make train-scorer$"):
        train(ScorerArgs(out=tmp_path / "scorer", only=only))
    assert not (tmp_path / "scorer").exists()


def test_random_labels_make_no_model(small: Small, tmp_path: Path) -> None:
    out = shutil.copytree(small[0] / "scorer", tmp_path / "scorer")
    churned = np.random.default_rng(0).random(1200) < 0.3
    with pytest.raises(FloorError, match=r"risk has an AUC of 0\.[45].*old artifact is kept"):
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

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from services.scorer.calibration import Calibrator
from services.scorer.features import RISK_FACTS
from services.scorer.model import INPUTS, ScorerModel
from shared.artifacts import ArtifactError, read_manifest
from shared.messages import CustomerFacts
from training.data.sources import SourceError
from training.scorer import evaluate as studying
from training.scorer import evaluation as evaluating
from training.scorer import targets
from training.scorer import train as training
from training.scorer.card import plain
from training.scorer.data import public_tables
from training.scorer.evaluation import evaluate, in_time
from training.scorer.fit import calibrate, fit, isotonic, learn, predict, split
from training.scorer.logistic_recalibration import WINDOW_SIZE, rolling_recalibration
from training.scorer.metrics import auc, ece, ece_by_chance
from training.scorer.targets import Recipe, Target, accept_all, limited, masked
from training.scorer.train import Args, FloorError, check, make, train, train_risk
from training.statistics import Estimate

SMALL = 2500
"""Rows of each set that a small run learns from."""
QUICK = Recipe(trees=5, parameters={"max_depth": 2, "min_child_weight": 1}, copies=1)
TARGET = Target(
    name="accept",
    features=("age", "job=a", "job=b", "offer_level"),
    rows=np.tile(np.array([40, 1, 0, 3], np.float32), (2000, 1)),
    labels=np.zeros(2000, int),
    recipe=QUICK,
    monotone={},
    auc_floor=0.7,
)


def made_up(rows: int = 2000) -> Target:
    """Labels that follow the age, half of the time."""
    rng = np.random.default_rng(0)
    values = rng.random((rows, 4), np.float32)
    labels = (rng.random(rows) < 0.1 + 0.5 * values[:, 0]).astype(int)
    return replace(TARGET, rows=values, labels=labels, views={"id_only": ()})


def test_ece_is_the_distance_between_what_was_said_and_what_happened() -> None:
    assert ece(np.full(10, 0.5), np.array([1] * 5 + [0] * 5)) == 0
    assert ece(np.array([0.9] * 4 + [0.1] * 4), np.array([1, 1, 0, 0, 0, 0, 0, 0])) == pytest.approx(0.25)


def test_true_probabilities_show_an_ece_by_chance() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    by_chance = ece_by_chance(p, seed=1)
    assert 0.01 < by_chance < 0.05
    assert ece_by_chance(p[:100], seed=1) > 2 * by_chance


def test_what_is_not_known_goes_as_a_whole_and_the_level_stays() -> None:
    row = limited(TARGET, np.array([[True, False, False]]))[0]
    np.testing.assert_array_equal(row, [40, np.nan, np.nan, 3])


def test_masks_keep_everything_of_some_and_nothing_of_others() -> None:
    rows = masked(TARGET, np.random.default_rng(0))
    known = ~np.isnan(rows)
    assert (known[:, 1] == known[:, 2]).all()
    assert known[:, 3].all()
    assert {1, 2, 3, 4} == set(known.sum(axis=1).tolist())
    assert known[:, 0].mean() == pytest.approx(0.5, abs=0.05)


def test_a_curve_never_falls_and_keeps_apart_what_the_trees_keep_apart() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(3000)
    curve = isotonic(p, (rng.random(3000) < p**2).astype(int), np.ones(3000))
    inside = np.linspace(curve.x[0], curve.x[-1], 500)
    assert (np.diff(curve(inside)) > 0).all()
    assert np.abs(curve(inside) - inside**2).mean() < 0.05


def test_a_curve_is_no_surer_than_its_sample() -> None:
    """Twenty of twenty at the top are no reason to promise more than one in twenty-one will disappoint."""
    p = np.concatenate([np.linspace(0.1, 0.2, 500), np.full(20, 0.9)])
    curve = isotonic(p, np.concatenate([np.arange(500) % 10 == 0, np.ones(20)]).astype(int), np.ones(520))
    assert curve(np.array([1.0]))[0] == pytest.approx(20 / 21)
    assert curve(np.array([0.0]))[0] > 0


def test_customers_known_whole_and_in_part_have_curves_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = np.ones((6000, 4))
    rows[3000:, 1:] = np.nan
    raw = rng.random(6000)
    labels = (rng.random(6000) < np.where(np.arange(6000) < 3000, raw, 0.3)).astype(int)
    said = calibrate([0, 1, 2, 3], rows, raw, labels)(rows[[0, -1]], np.full(2, 0.8))
    assert said == pytest.approx([0.8, 0.3], abs=0.06)


def test_the_same_rows_make_the_same_trees() -> None:
    target = made_up()
    assert fit(target).save_raw("ubj") == fit(target).save_raw("ubj")


def test_copies_do_not_make_customers_count_twice() -> None:
    """Without anything missing a copy is the same customer again, and changes nothing."""
    target = replace(made_up(), rows=made_up().rows[:, :1], features=("offer_level",))  # a level is never masked
    recipe = Recipe(trees=5, parameters={"max_depth": 2, "min_child_weight": 30, "reg_lambda": 5})
    once, thrice = (fit(replace(target, recipe=replace(recipe, copies=n))) for n in (0, 2))
    np.testing.assert_allclose(predict(once, target.rows), predict(thrice, target.rows), rtol=1e-3)


def test_folds_are_shuffled_anew_and_cover_everyone_once() -> None:
    first, second = split(made_up(), 2)
    for tests in (first, second):
        assert sorted(np.concatenate(tests)) == list(range(2000))
    assert not np.array_equal(first[0], second[0])


def numbered(target: Target) -> Target:
    """Each row bears its number, by which it is known again."""
    return replace(target, rows=np.column_stack([np.arange(len(target.rows)), target.rows[:, 1:]]).astype(np.float32))


def test_nobody_speaks_of_a_customer_they_have_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither trees, nor curves, nor peers: `learn` and the peers get the other folds only."""
    asked: list[tuple[set[float], set[float]]] = []

    def spy(train: Target, rows: np.ndarray | None = None):
        def say(rows: np.ndarray) -> np.ndarray:
            asked.append(({*train.rows[:, 0].tolist()}, {*rows[:, 0].tolist()}))
            return np.random.default_rng(0).random(len(rows))

        return say if rows is None else say(rows)

    monkeypatch.setattr(evaluating, "learn", spy)
    monkeypatch.setattr(evaluating, "PEERS", {"peer": spy})
    evaluate(numbered(replace(made_up(), recipe=replace(QUICK, copies=0), views={})), repeats=1)
    in_time(numbered(replace(made_up(6000), recipe=replace(QUICK, copies=0), views={})))
    assert len(asked) == 5 * 2 + 2
    assert all(not learnt & spoken for learnt, spoken in asked)
    fixed, lead = asked[-2:]
    assert (max(fixed[0]), min(fixed[1])) == (4799, 4800)
    assert (max(lead[0]), min(lead[1]), max(lead[1])) == (4800 - WINDOW_SIZE - 1, 4800 - WINDOW_SIZE, 4799)


def test_a_calibrator_learns_from_what_trees_say_of_others() -> None:
    """Where labels follow nothing, trees that know them would look sure; out of fold they are not."""
    rng = np.random.default_rng(1)
    target = replace(made_up(), labels=rng.integers(2, size=2000), recipe=replace(QUICK, trees=100))
    model = learn(target)
    assert auc(predict(model.booster, target.rows), target.labels) > 0.6
    assert np.abs(model(target.rows) - 0.5).mean() < 0.05


def test_an_evaluation_measures_the_model_its_views_and_its_peers_on_the_same_folds() -> None:
    found = evaluate(made_up(), repeats=2)
    assert set(found.probabilities) == {"whole", "masked", "id_only", "logistic", "sklearn_xgboost"}
    assert all(each.shape == (2, 2000) for each in found.probabilities.values())
    assert found.metrics["accept.auc"].mean > 0.6
    assert found.metrics["accept.logistic.auc"].mean > 0.6
    assert found.metrics["accept.ece"].mean < 0.05
    assert "accept.id_only.auc" not in found.metrics
    assert found.metrics["accept.base_rate"].mean == pytest.approx(made_up().labels.mean())


def test_each_block_is_recalibrated_by_the_outcomes_before_it() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.2, 6000)
    rate = np.where(np.arange(6000) < 3000, 1, 3)
    labels = (rng.random(6000) < p * rate).astype(int)
    said = rolling_recalibration(p, labels)
    assert len(said) == 6000 - WINDOW_SIZE
    assert ece(said[-1500:], labels[-1500:]) < 0.05 < ece(p[-1500:], labels[-1500:])
    after = labels.copy()
    after[4000:] = 1 - after[4000:]
    np.testing.assert_array_equal(rolling_recalibration(p, after)[: 4000 - WINDOW_SIZE], said[: 4000 - WINDOW_SIZE])


def test_in_time_the_last_fifth_is_predicted_from_before() -> None:
    target = made_up(6000)
    late = np.arange(6000) >= 4800
    moved = replace(
        target, labels=np.where(late, np.random.default_rng(2).random(6000) < 0.9, target.labels).astype(int)
    )
    found = in_time(moved)
    assert len(found.labels) == 1200
    assert all(len(each) == 1200 for each in found.probabilities.values())
    assert found.metrics["accept.time_fixed_ece"].mean > 0.3
    assert found.metrics["accept.time_ece"].mean < found.metrics["accept.time_fixed_ece"].mean


@pytest.mark.parametrize(("name", "value"), [("auc", 0.6999), ("ece", 0.0501)])
def test_a_model_below_its_floor_is_refused(name: str, value: float) -> None:
    passes = {"accept.auc": Estimate(0.7, 0.6, 0.8), "accept.ece": Estimate(0.05, 0.04, 0.06)}
    check(TARGET, passes)
    with pytest.raises(FloorError, match=rf"accept has an .*{value:.4f}.* kept"):
        check(TARGET, passes | {f"accept.{name}": Estimate(value, value, value)})


def test_without_data_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise SourceError("telco: no copy")

    monkeypatch.setattr("training.scorer.data.prepare", unreachable)
    with pytest.raises(SourceError):
        train(Args(mirror=tmp_path, data=tmp_path / "data", out=tmp_path / "scorer", reports=tmp_path / "reports"))
    assert not (tmp_path / "scorer").exists()


@pytest.fixture(scope="session")
def small(data: Path, tmp_path_factory: pytest.TempPathFactory):
    """The folder of a small run on the real data sets, with few trees, and its manifest."""
    folder = tmp_path_factory.mktemp("small")
    args = Args(
        mirror=data, data=folder / "data", out=folder / "scorer", reports=folder / "reports", customers=SMALL, repeats=1
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RISK_RECIPE", "ACCEPT_RECIPE", "ALL_RECIPE"):
            recipe = getattr(targets, name)
            quick = {**recipe.parameters, "max_depth": 3, "eta": 0.2}
            patch.setattr(targets, name, replace(recipe, trees=20, copies=min(recipe.copies, 1), parameters=quick))
        return folder, train(args)


def test_a_run_makes_what_the_service_loads(small) -> None:
    folder, made = small
    model = ScorerModel.load(folder / "scorer")
    assert model.version == made.version
    assert 0 < model.score([CustomerFacts()])[0].churn_risk < 1


def test_the_service_says_what_training_measured_of_customers_known_whole_and_in_part(small, data: Path) -> None:
    """The test split by the service that loads the artifact has the metrics that its manifest gives."""
    folder, made = small
    model = ScorerModel.load(folder / "scorer")
    telco, _ = public_tables(data, folder / "data")
    test = telco.sample(SMALL, random_state=42).query("split == 'test'")
    customers = [
        CustomerFacts.model_validate({k: v for k, v in row.items() if k in RISK_FACTS})
        for row in test.to_dict("records")
    ]
    said = np.array([score.churn_risk for score in model.score(customers)])
    assert auc(said, test["churned"].to_numpy(int)) == pytest.approx(made.metrics["risk.test.auc"], abs=1e-4)
    assert ece(said, test["churned"].to_numpy(int)) == pytest.approx(made.metrics["risk.test.ece"], abs=1e-4)
    trained = Calibrator.load(json.loads((folder / "scorer" / "curves.json").read_text())["risk"])
    raw = np.linspace(0, 1, 50)
    assert (trained(np.zeros((50, 24)), raw) != trained(np.full((50, 24), np.nan), raw)).any()
    [nobody] = model.score([CustomerFacts()])
    whole = trained.complete(raw), trained.partial(raw)
    assert min(whole[1]) <= nobody.churn_risk <= max(whole[1])


def test_the_test_split_is_not_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[np.ndarray] = []
    target = replace(
        numbered(made_up()), name="risk", features=("tenure", "monthly_charges", "total_charges", "contract")
    )

    def spy(target: Target):
        learnt.append(target.rows[:, 0])
        return learn(target)

    monkeypatch.setattr(training, "learn", spy)
    monkeypatch.setattr(training, "check", lambda *_: None)
    monkeypatch.setattr(training, "FACTS", {"risk": {name: None for name in target.features}})
    splits = pd.Series(np.where(np.arange(2000) % 10 == 3, "test", "train"))
    made = make("risk", target, splits, {}, {})
    assert len(learnt[0]) == 1800
    assert not (learnt[0] % 10 == 3).any()
    assert made.metrics["risk.test.ece"] < 0.2


@pytest.mark.parametrize(
    ("fact", "values"),
    [("tenure", [0, 1, 6, 12, 24, 48, 72]), ("contract", ["Month-to-month", "One year", "Two year"])],
)
def test_what_is_trained_never_says_that_staying_longer_raises_the_risk(small, fact: str, values) -> None:
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


def test_what_is_trained_never_says_that_a_better_offer_is_taken_less(small) -> None:
    model = ScorerModel.load(small[0] / "scorer")
    customers = [CustomerFacts(age=age, job=job) for age in range(20, 90, 5) for job in ("student", "retired", None)]
    offers = np.array([score.accept_probs for score in model.score(customers)])
    assert (np.diff(offers) >= 0).all()
    assert (offers[:, -1] > offers[:, 0]).any()


def test_report_manifest_and_card_say_the_same(small) -> None:
    folder, made = small
    report = json.loads((folder / "reports" / "predictors.json").read_text())
    card = (folder / "scorer" / "MODEL_CARD.md").read_text()
    for name in ("risk.auc", "risk.ece", "accept.auc", "accept.ece", "accept.time_auc", "accept.time_ece"):
        assert report[name]["low"] <= report[name]["mean"] <= report[name]["high"]
        assert made.metrics[name] == report[name]["mean"]
        assert f"{report[name]['mean']:.4f}" in card
    assert "No offer was randomised" in card


def test_the_bins_that_the_scorer_counts_in_are_of_its_own_training(small) -> None:
    folder, _ = small
    bins = json.loads((folder / "scorer" / "reference.json").read_text())
    assert {*RISK_FACTS, "job", "churn_risk", "accept_prob"} <= set(bins)
    assert sum(bins["contract"]["counts"]) == pytest.approx(0.9 * SMALL, abs=60)


def test_what_was_known_before_a_call_is_more_than_an_event_carries(data: Path, small) -> None:
    _, bank = public_tables(data, small[0] / "data")
    target = accept_all(bank.head(500))
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


def own(folder, churned) -> tuple:
    """Customers in a file of their owner's, and what its columns mean."""
    plans = CUSTOMERS["plan"].mask(CUSTOMERS.index < 3, "weekly")
    customers = CUSTOMERS.assign(plan=plans, gone=np.where(churned, "left", "stayed"), shoe_size=42)
    customers.to_csv(folder / "customers.csv", index=False)
    (folder / "mapping.toml").write_text(MAPPING)
    return folder / "customers.csv", folder / "mapping.toml"


def test_your_own_customers_make_a_risk_model_and_leave_acceptance_as_it_was(
    small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, before = small
    churned = np.random.default_rng(0).random(1200) < np.where(CUSTOMERS["months"] < 20, 0.8, 0.1)
    out = shutil.copytree(folder / "scorer", tmp_path / "scorer")
    made = train_risk(*own(tmp_path, churned), Args(out=out, repeats=1))
    assert made.version != before.version
    assert made.metrics["accept.auc"] == before.metrics["accept.auc"]
    assert made.metrics["risk.auc"] > 0.8
    assert "customers.csv" in made.data_sha256
    assert not any("Telco" in path for path in made.data_sha256)
    new, leaving = ScorerModel.load(out), CustomerFacts(tenure=3)
    assert new.score([leaving])[0].accept_probs == ScorerModel.load(folder / "scorer").score([leaving])[0].accept_probs
    assert new.score([leaving])[0].churn_risk > 0.5 > new.score([CustomerFacts(tenure=50)])[0].churn_risk
    said, card = capsys.readouterr().out, (out / "MODEL_CARD.md").read_text().replace("\\_", "_")
    for text in (said, card):
        assert "1,200 customers" in text
        assert "columns not used: shoe_size" in text
        assert "not known of anyone: monthly_charges" in text
        assert "taken as missing: contract (3)" in text
    assert "contract: not known are, for example, 'weekly': say under [values.contract]" in said
    assert "Telco" not in card.partition("## Use")[0]


def test_customers_whom_nothing_tells_apart_make_no_model(small, tmp_path: Path) -> None:
    out = shutil.copytree(small[0] / "scorer", tmp_path / "scorer")
    churned = np.random.default_rng(0).random(1200) < 0.3
    with pytest.raises(FloorError, match=r"risk has an AUC of 0\.[45].*old artifact is kept"):
        train_risk(*own(tmp_path, churned), Args(out=out, repeats=1))
    assert read_manifest(out, INPUTS).version == small[1].version


def test_your_own_customers_need_an_acceptance_model(tmp_path: Path) -> None:
    churned = np.arange(1200) % 60 < 20
    with pytest.raises(ArtifactError, match=r"no readable manifest\.json"):
        train_risk(*own(tmp_path, churned), Args(out=tmp_path / "scorer", repeats=1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--own", "customers.csv"], "--own and --mapping go together"),
        (["--own", "customers.csv", "--mapping", "mapping.toml"], "mapping.toml cannot be read"),
    ],
)
def test_what_is_wrong_with_the_command_is_a_line(
    arguments, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        training.main()
    assert said in f"{stopped.value} {capsys.readouterr().err}"


def test_the_study_says_whether_the_artifact_was_measured_the_same(
    small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, made = small
    metrics = {name: Estimate(made.metrics[name], 0, 1) for name in ("risk.auc", "accept.auc")}
    written = []
    monkeypatch.setattr(studying, "public_tables", lambda *_: ())
    monkeypatch.setattr(studying.report, "write", lambda *given: written.append(given))
    monkeypatch.setattr("sys.argv", ["study", "--reports", str(folder)])
    monkeypatch.setenv("RETENTION_ARTIFACTS", str(folder))
    for more, said in (
        ({}, "measured the same"),
        ({"risk.auc": Estimate(0.1, 0, 1)}, "1 of 2 numbers are not those of"),
    ):
        found = SimpleNamespace(metrics=metrics | more)
        monkeypatch.setattr(studying, "study", lambda found=found: found)
        studying.main()
        assert said in capsys.readouterr().out
        assert written[-1][:2] == (found, folder)


def test_what_others_named_stays_text_in_the_card() -> None:
    assert plain("a\n# b | <img> \\ [c](d)") == r"a \# b \| &lt;img&gt; \\ \[c\](d)"

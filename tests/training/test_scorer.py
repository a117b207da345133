from dataclasses import replace

import numpy as np
import pytest

from services.scorer.model import ScorerModel
from shared.messages import Facts
from training.data.sources import SourceError
from training.scorer.metrics import auc, ece, with_interval
from training.scorer.targets import Target, limited, masked
from training.scorer.train import Args, FloorError, check, fit, train

TARGET = Target(
    name="accept",
    features=("age", "job=a", "job=b", "offer_level"),
    rows=np.tile(np.array([40, 1, 0, 3], np.float32), (2000, 1)),
    labels=np.zeros(2000, int),
    monotone={},
    auc_floor=0.7,
    views={},
)


def test_ece_is_the_distance_between_what_was_said_and_what_happened():
    assert ece(np.full(10, 0.5), np.array([1] * 5 + [0] * 5)) == 0
    assert ece(np.array([0.9] * 4 + [0.1] * 4), np.array([1, 1, 0, 0, 0, 0, 0, 0])) == pytest.approx(0.25)


def test_an_interval_holds_its_metric():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    metrics = with_interval("auc", auc, p, (rng.random(500) < p).astype(int), seed=1)
    assert metrics["auc.low"] < metrics["auc"] < metrics["auc.high"]


def test_what_is_not_known_goes_as_a_whole_and_the_level_stays():
    row = limited(TARGET, np.array([[True, False, False]]))[0]
    np.testing.assert_array_equal(row, [40, np.nan, np.nan, 3])


def test_masks_keep_everything_of_some_and_nothing_of_others():
    rows = masked(TARGET, np.random.default_rng(0))
    known = ~np.isnan(rows)
    assert (known[:, 1] == known[:, 2]).all()
    assert known[:, 3].all()
    assert {1, 2, 3, 4} == set(known.sum(axis=1).tolist())
    assert known[:, 0].mean() == pytest.approx(0.5, abs=0.05)


def test_a_model_below_its_floor_is_refused():
    metrics = {"accept.auc": 0.6999, "accept.ece": 0.01, "accept.masked.ece": 0.01, "accept.masking_cost": 0.0}
    with pytest.raises(FloorError, match=r"accept\.auc = 0\.6999"):
        check(TARGET, metrics)


def test_without_data_nothing_is_written(tmp_path):
    with pytest.raises(SourceError):
        train(Args(data=tmp_path, out=tmp_path / "scorer"))
    assert not (tmp_path / "scorer").exists()


def test_the_same_seed_makes_the_same_model():
    rng = np.random.default_rng(0)
    target = replace(TARGET, rows=rng.random((2000, 4), np.float32), labels=rng.integers(2, size=2000))
    made = [fit(target, np.arange(2000), [target.rows], Args(trees=5)).save_raw("ubj") for _ in range(2)]
    assert made[0] == made[1]


def test_a_small_run_makes_what_the_service_loads(data, tmp_path):
    made = train(Args(data=data, out=tmp_path, customers=3000, trees=30, copies=1))
    model = ScorerModel.load(tmp_path)
    assert model.version == made.version
    assert 0 < model.score([Facts()])[0].churn_risk < 1
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "No offer was randomised" in card
    assert f"{made.metrics['risk.auc']:.4f}" in card

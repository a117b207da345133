import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression

from training.policy.ope import ope
from training.policy.ope.bandit_log import Log
from training.policy.ope.estimators import REGRESSOR, cross_fitted, effective, weigh
from training.policy.ope.ope import Judged, OverlapError, estimate

ACTIONS = 5
RUNS = 320
ESTIMATORS = ("ips", "snips", "dr", "gain")


class ResponseModel(NamedTuple):
    """Customers, as a population of which each log draws anew, so that values are exact."""

    contexts: np.ndarray
    keeps: np.ndarray
    """Probability of a reward, by action."""
    worth: np.ndarray
    """Money, if there is one."""
    logged: np.ndarray
    target: np.ndarray

    @property
    def value(self) -> float:
        return float(np.sum(self.target * self.keeps * self.worth, axis=1).mean())

    @property
    def gain(self) -> float:
        return float(np.sum((self.target - self.logged) * self.keeps * self.worth, axis=1).mean())

    def log(self, rng: np.random.Generator, n: int) -> tuple[Log, np.ndarray]:
        """And the target's probabilities in its contexts."""
        who = rng.integers(len(self.contexts), size=n)
        actions = (rng.random((n, 1)) > self.logged[who].cumsum(axis=1)[:, :-1]).sum(axis=1)
        sizes = self.worth[who, actions] * np.exp(rng.normal(-0.125, 0.5, n))
        rewards = np.where(rng.random(n) < self.keeps[who, actions], sizes, 0)
        return Log(self.contexts[who], actions, self.logged[who, actions], rewards), self.target[who]


@pytest.fixture(scope="module")
def response_model() -> ResponseModel:
    """Three quarters bring nothing, bills differ by a factor of ten, and the log's policy has favourites."""
    rng = np.random.default_rng(1)
    contexts, levels = rng.normal(size=(4000, 3)), np.arange(ACTIONS)
    keeps = expit(-1.8 + 0.8 * contexts[:, :1] + 0.25 * levels)
    worth = np.exp(4 + 0.5 * contexts[:, 2:]) * (1 - 0.05 * levels)
    ours, theirs = rng.normal(size=(2, 3, ACTIONS))
    logged = 0.75 * softmax(contexts @ ours, axis=1) + 0.05
    return ResponseModel(contexts, keeps, worth, logged, softmax(contexts @ (0.6 * ours + 0.8 * theirs), axis=1))


@pytest.mark.parametrize("regressor", [LinearRegression(), DummyRegressor(strategy="constant", constant=60)])
def test_intervals_cover_the_truth_as_often_as_they_say(response_model: ResponseModel, regressor) -> None:
    """Also with a reward model that is off by a factor of three. Of the logs that are not refused, most of them."""
    rng = np.random.default_rng(0)
    runs = [run for run in (judged(*response_model.log(rng, 1500), regressor) for _ in range(RUNS)) if run]
    assert len(runs) > 0.9 * RUNS
    for name in ESTIMATORS:
        truth = response_model.gain if name == "gain" else response_model.value
        found = np.array([getattr(run, name) for run in runs])
        assert 0.92 <= np.mean((found[:, 1] <= truth) & (truth <= found[:, 2])) <= 0.98, name
        assert found[:, 0].mean() == pytest.approx(truth, abs=3 * found[:, 0].std() / np.sqrt(len(runs))), name


def judged(log: Log, target: np.ndarray, regressor: object) -> Judged | None:
    try:
        return estimate(log, target, regressor)
    except OverlapError:
        return None


def test_a_good_reward_model_narrows_the_interval() -> None:
    """Rewards that contexts explain; the log's actions come by chance."""
    rng = np.random.default_rng(0)
    contexts, actions = rng.normal(size=(2000, 2)), rng.integers(2, size=2000)
    rewards = 10 + 5 * contexts[:, 0] + actions + rng.normal(size=2000)
    target = np.tile([0.2, 0.8], (2000, 1))
    for regressor, share in ((LinearRegression(), 0.6), (REGRESSOR, 0.65)):
        found = estimate(Log(contexts, actions, np.full(2000, 0.5), rewards), target, regressor)
        assert found.dr.low < 10.8 < found.dr.high
        assert found.dr.high - found.dr.low < share * (found.ips.high - found.ips.low)


def test_no_row_is_in_what_predicts_it(response_model: ResponseModel) -> None:
    log, _ = response_model.log(np.random.default_rng(0), 500)
    found = cross_fitted(log, ACTIONS, DummyRegressor())
    changed = Log(log.contexts, log.actions, log.propensities, log.rewards + 1000 * (np.arange(500) == 7))
    again = cross_fitted(changed, ACTIONS, DummyRegressor())
    assert found.shape == (500, ACTIONS)
    assert (found == again).all(axis=1).sum() == 100
    assert (found[7] == again[7]).all()


def test_facts_may_be_unknown(response_model: ResponseModel) -> None:
    log, target = response_model.log(np.random.default_rng(0), 1500)
    holes = np.where(np.random.default_rng(1).random(log.contexts.shape) < 0.3, np.nan, log.contexts)
    found = estimate(Log(holes, log.actions, log.propensities, log.rewards), target)
    assert found.dr.low < response_model.value < found.dr.high


def test_the_logged_policy_itself_earned_what_it_earned(response_model: ResponseModel) -> None:
    log, _ = response_model.log(np.random.default_rng(0), 1500)
    greedy = Log(log.contexts, log.actions, np.ones(1500), log.rewards)
    found = estimate(greedy, np.eye(ACTIONS)[log.actions])
    assert found.ips == found.snips
    assert found.ips.mean == pytest.approx(log.rewards.mean())
    assert found.gain.mean == pytest.approx(0)
    assert (found.effective, found.largest) == (1500, 1)


def test_a_greedy_log_says_nothing_of_another_policy(response_model: ResponseModel) -> None:
    log, target = response_model.log(np.random.default_rng(0), 1500)
    with pytest.raises(OverlapError, match=r"Every propensity is 1: .* in 1,500 of 1,500 rows .* by chance"):
        estimate(Log(log.contexts, log.actions, np.ones(1500), log.rewards), target)


def test_what_was_certain_in_some_rows_the_target_must_take_there(response_model: ResponseModel) -> None:
    log, target = response_model.log(np.random.default_rng(0), 1500)
    blocked = np.arange(1500) < 200
    actions, propensities = np.where(blocked, 0, log.actions), np.where(blocked, 1, log.propensities)
    gated = Log(log.contexts, actions, propensities, log.rewards)
    with pytest.raises(OverlapError, match="A propensity of 1 is certainty, and in 200 of 1,500 rows"):
        estimate(gated, target)
    estimate(gated, np.where(blocked[:, None], np.eye(ACTIONS)[0], target))


def test_an_action_that_was_never_tried_is_named(response_model: ResponseModel) -> None:
    log, target = response_model.log(np.random.default_rng(0), 1500)
    more = np.column_stack([0.9 * target, np.full(1500, 0.1)])
    with pytest.raises(OverlapError, match=r"takes action 5 with a probability of 0\.100"):
        estimate(log, more)


def test_few_rows_of_the_targets_own_are_refused(response_model: ResponseModel) -> None:
    log, target = response_model.log(np.random.default_rng(0), 1500)
    size = effective(weigh(log, target))
    estimate(log, target, floor=size - 1)
    with pytest.raises(OverlapError, match=f"1,500 rows are worth {size:.0f} of the target's own"):
        estimate(log, target, floor=size + 1)


@pytest.mark.parametrize("paid", [0, 30])
def test_few_rewards_are_refused_however_many_the_rows(response_model: ResponseModel, paid: int) -> None:
    """No interval is honest of a mean that a handful make; where there are none it would have no width."""
    log, target = response_model.log(np.random.default_rng(0), 1500)
    with pytest.raises(OverlapError, match="rewards other than 7 are worth"):
        estimate(Log(log.contexts, log.actions, log.propensities, 7 + log.rewards * (np.arange(1500) < paid)), target)


def test_wrong_propensities_and_rows_left_out_are_refused(response_model: ResponseModel) -> None:
    log, target = response_model.log(np.random.default_rng(0), 4000)
    half = Log(log.contexts, log.actions, log.propensities / 2, log.rewards)
    kept = log.actions > 0
    some = Log(log.contexts[kept], log.actions[kept] - 1, log.propensities[kept], log.rewards[kept])
    for wrong, wanted in ((half, target), (some, target[kept][:, 1:] + target[kept][:, :1] / 4)):
        with pytest.raises(OverlapError, match=r"The weights' mean is .* and should be 1"):
            estimate(wrong, wanted)


def run(monkeypatch: pytest.MonkeyPatch, file: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ope", str(file)])
    return ope.main()


def frame(response_model: ResponseModel) -> pd.DataFrame:
    log, target = response_model.log(np.random.default_rng(0), 1500)
    columns = {"action": log.actions, "propensity": log.propensities, "reward": log.rewards, "who": "somebody"}
    columns |= {f"target_{action}": target[:, action] for action in range(ACTIONS)}
    return pd.DataFrame(columns | {f"x{number}": log.contexts[:, number] for number in range(3)})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_judged(
    response_model: ResponseModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
) -> None:
    table, file = frame(response_model), tmp_path / f"log{suffix}"
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    assert run(monkeypatch, file) == 0
    lines = capsys.readouterr().out.splitlines()
    dr = estimate(*response_model.log(np.random.default_rng(0), 1500)).dr
    assert [line.split()[0] for line in lines] == [*ESTIMATORS, "effective"]
    assert lines[2].split() == ["dr", f"{dr.mean:.3f}", f"{dr.low:.3f}", "to", f"{dr.high:.3f}"]


def test_a_greedy_file_is_refused_and_a_broken_one_named(
    response_model: ResponseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, file = frame(response_model), tmp_path / "log.csv"
    table.assign(propensity=1.0).to_csv(file, index=False)
    assert run(monkeypatch, file) == 1
    assert capsys.readouterr().out.startswith("refused: Every propensity is 1")
    table.drop(columns="reward").to_csv(file, index=False)
    for broken, told in ((file, "no column 'reward'"), (tmp_path / "log.txt", "log.txt is none of .csv, .parquet")):
        with pytest.raises(SystemExit, match="2"):
            run(monkeypatch, broken)
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, tmp_path / "nowhere.csv")

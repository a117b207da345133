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
from training.policy.ope.bandit_log import BanditLog
from training.policy.ope.estimators import (
    REWARD_REGRESSOR,
    cross_fitted_rewards,
    effective_sample_size,
    importance_weights,
)
from training.policy.ope.ope import OPEResult, OverlapError, estimate

pytestmark = pytest.mark.slow

ACTIONS = 5
RUNS = 320
ESTIMATORS = ("ips", "snips", "dr", "gain")


class Population(NamedTuple):
    """Customers of whom each log is drawn at random, so that the policies' true values are known exactly."""

    contexts: np.ndarray
    """[n, d]"""
    reward_probabilities: np.ndarray
    """[n, actions]"""
    reward_sizes: np.ndarray
    """Mean reward where there is one [n, actions]."""
    logged: np.ndarray
    """The logged policy's probabilities [n, actions]."""
    target: np.ndarray
    """The target policy's probabilities [n, actions]."""

    @property
    def value(self) -> float:
        return float(np.sum(self.target * self.reward_probabilities * self.reward_sizes, axis=1).mean())

    @property
    def gain(self) -> float:
        return float(np.sum((self.target - self.logged) * self.reward_probabilities * self.reward_sizes, axis=1).mean())

    def draw(self, rng: np.random.Generator, n: int) -> tuple[BanditLog, np.ndarray]:
        """A log of n decisions, and the target's probabilities in its contexts."""
        rows = rng.integers(len(self.contexts), size=n)
        actions = (rng.random((n, 1)) > self.logged[rows].cumsum(axis=1)[:, :-1]).sum(axis=1)
        sizes = self.reward_sizes[rows, actions] * np.exp(rng.normal(-0.125, 0.5, n))
        rewards = np.where(rng.random(n) < self.reward_probabilities[rows, actions], sizes, 0)
        return BanditLog(self.contexts[rows], actions, self.logged[rows, actions], rewards), self.target[rows]


@pytest.fixture(scope="module")
def population() -> Population:
    """Three quarters of the rewards are 0, bills differ by a factor of ten, and the logged policy has favourites."""
    rng = np.random.default_rng(1)
    contexts, levels = rng.normal(size=(4000, 3)), np.arange(ACTIONS)
    reward_probabilities = expit(-1.8 + 0.8 * contexts[:, :1] + 0.25 * levels)
    reward_sizes = np.exp(4 + 0.5 * contexts[:, 2:]) * (1 - 0.05 * levels)
    logged_weights, other_weights = rng.normal(size=(2, 3, ACTIONS))
    logged = 0.75 * softmax(contexts @ logged_weights, axis=1) + 0.05
    target = softmax(contexts @ (0.6 * logged_weights + 0.8 * other_weights), axis=1)
    return Population(contexts, reward_probabilities, reward_sizes, logged, target)


@pytest.mark.parametrize("regressor", [LinearRegression(), DummyRegressor(strategy="constant", constant=60)])
def test_intervals_cover_the_true_value_as_often_as_stated(population: Population, regressor: object) -> None:
    """Also with a regressor that is off by a factor of three; of the logs that are not refused, which are most."""
    rng = np.random.default_rng(0)
    results = [
        result for result in (estimate_or_none(*population.draw(rng, 1500), regressor) for _ in range(RUNS)) if result
    ]
    assert len(results) > 0.9 * RUNS
    for name in ESTIMATORS:
        truth = population.gain if name == "gain" else population.value
        means, lows, highs = np.array([getattr(result, name) for result in results]).T
        assert 0.92 <= np.mean((lows <= truth) & (truth <= highs)) <= 0.98, name
        assert means.mean() == pytest.approx(truth, abs=3 * means.std() / np.sqrt(len(results))), name


def estimate_or_none(log: BanditLog, target: np.ndarray, regressor: object) -> OPEResult | None:
    try:
        return estimate(log, target, regressor)
    except OverlapError:
        return None


def test_a_good_regressor_narrows_the_interval() -> None:
    """Rewards that contexts explain; the logged policy is uniform."""
    rng = np.random.default_rng(0)
    contexts, actions = rng.normal(size=(2000, 2)), rng.integers(2, size=2000)
    rewards = 10 + 5 * contexts[:, 0] + actions + rng.normal(size=2000)
    target = np.tile([0.2, 0.8], (2000, 1))
    for regressor, share in ((LinearRegression(), 0.6), (REWARD_REGRESSOR, 0.65)):
        result = estimate(BanditLog(contexts, actions, np.full(2000, 0.5), rewards), target, regressor)
        assert result.dr.low < 10.8 < result.dr.high
        assert result.dr.high - result.dr.low < share * (result.ips.high - result.ips.low)


def test_no_row_is_predicted_by_a_regressor_fitted_on_it(population: Population) -> None:
    log, _ = population.draw(np.random.default_rng(0), 500)
    result = cross_fitted_rewards(log, ACTIONS, DummyRegressor())
    changed = BanditLog(log.contexts, log.actions, log.propensities, log.rewards + 1000 * (np.arange(500) == 7))
    again = cross_fitted_rewards(changed, ACTIONS, DummyRegressor())
    assert result.shape == (500, ACTIONS)
    assert (result == again).all(axis=1).sum() == 100
    assert (result[7] == again[7]).all()


def test_contexts_may_be_missing(population: Population) -> None:
    log, target = population.draw(np.random.default_rng(0), 1500)
    with_missing = np.where(np.random.default_rng(1).random(log.contexts.shape) < 0.3, np.nan, log.contexts)
    result = estimate(BanditLog(with_missing, log.actions, log.propensities, log.rewards), target)
    assert result.dr.low < population.value < result.dr.high


def test_the_logged_policy_itself_is_worth_the_mean_of_its_rewards(population: Population) -> None:
    log, _ = population.draw(np.random.default_rng(0), 1500)
    greedy = BanditLog(log.contexts, log.actions, np.ones(1500), log.rewards)
    result = estimate(greedy, np.eye(ACTIONS)[log.actions])
    assert result.ips == result.snips
    assert result.ips.mean == pytest.approx(log.rewards.mean())
    assert result.gain.mean == pytest.approx(0)
    assert (result.sample_size, result.max_weight) == (1500, 1)


def test_a_greedy_log_is_refused_for_another_policy(population: Population) -> None:
    log, target = population.draw(np.random.default_rng(0), 1500)
    with pytest.raises(OverlapError, match=r"Every propensity is 1: .* in 1,500 of 1,500 rows .* at random"):
        estimate(BanditLog(log.contexts, log.actions, np.ones(1500), log.rewards), target)


def test_the_target_must_take_the_action_that_was_certain_in_some_rows(population: Population) -> None:
    log, target = population.draw(np.random.default_rng(0), 1500)
    blocked = np.arange(1500) < 200
    actions, propensities = np.where(blocked, 0, log.actions), np.where(blocked, 1, log.propensities)
    gated = BanditLog(log.contexts, actions, propensities, log.rewards)
    with pytest.raises(OverlapError, match="Some propensities are 1, and in 200 of 1,500 rows"):
        estimate(gated, target)
    estimate(gated, np.where(blocked[:, None], np.eye(ACTIONS)[0], target))


def test_a_target_action_that_was_never_logged_is_refused_by_number(population: Population) -> None:
    log, target = population.draw(np.random.default_rng(0), 1500)
    with_untried = np.column_stack([0.9 * target, np.full(1500, 0.1)])
    with pytest.raises(OverlapError, match=r"takes action 5 with a probability of 0\.100"):
        estimate(log, with_untried)


def test_a_small_effective_sample_size_is_refused(population: Population) -> None:
    log, target = population.draw(np.random.default_rng(0), 1500)
    size = effective_sample_size(importance_weights(log, target))
    estimate(log, target, min_sample_size=size - 1)
    with pytest.raises(OverlapError, match=f"effective sample size of 1,500 rows is {size:.0f}, below"):
        estimate(log, target, min_sample_size=size + 1)


@pytest.mark.parametrize("paid", [0, 30])
def test_few_different_rewards_are_refused_however_many_the_rows(population: Population, paid: int) -> None:
    """A mean that a handful of rewards make has no valid interval; where there are none it would have no width."""
    log, target = population.draw(np.random.default_rng(0), 1500)
    with pytest.raises(OverlapError, match="effective number of rewards other than 7 is"):
        estimate(
            BanditLog(log.contexts, log.actions, log.propensities, 7 + log.rewards * (np.arange(1500) < paid)), target
        )


def test_wrong_propensities_and_rows_left_out_by_action_are_refused(population: Population) -> None:
    log, target = population.draw(np.random.default_rng(0), 4000)
    halved = BanditLog(log.contexts, log.actions, log.propensities / 2, log.rewards)
    contacted = log.actions > 0
    incomplete = BanditLog(
        log.contexts[contacted], log.actions[contacted] - 1, log.propensities[contacted], log.rewards[contacted]
    )
    for wrong_log, target_for_log in (
        (halved, target),
        (incomplete, target[contacted][:, 1:] + target[contacted][:, :1] / 4),
    ):
        with pytest.raises(OverlapError, match=r"The weights' mean is .* and should be 1"):
            estimate(wrong_log, target_for_log)


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("missing", [0, 0.3])
def test_a_context_that_is_a_result_of_the_action_is_named(share: float, missing: float) -> None:
    """A randomised trial whose visits, beside a reward of spend, would bias the estimate silently."""
    rng, names = np.random.default_rng(0), ("age", "visit")
    ages, actions = rng.normal(size=4000), (rng.random(4000) < share).astype(int)
    visits = (rng.random(4000) < 0.2 + 0.1 * actions).astype(float)
    rewards, target = visits * rng.exponential(10, 4000) * (rng.random(4000) < 0.5), np.tile([0.2, 0.8], (4000, 1))
    propensities = np.where(actions == 1, share, 1 - share)
    known_visits = np.where(rng.random(4000) < missing, np.nan, visits)
    leaking = BanditLog(np.column_stack([ages, known_visits]), actions, propensities, rewards, names)
    with pytest.raises(OverlapError, match=r"The context 'visit' differs by action .* is a result of the action"):
        estimate(leaking, target)
    paid = BanditLog(np.column_stack([rewards > 0, known_visits]), actions, propensities, rewards, ("sale", "visit"))
    with pytest.raises(OverlapError, match="'sale' alone tells which rewards are not 0; 'visit' differs by action"):
        estimate(paid, target)
    estimate(BanditLog(ages[:, None], actions, propensities, rewards, names[:1]), target)


def test_a_context_that_tells_which_rewards_are_paid_is_named_though_the_policy_had_favourites(
    population: Population,
) -> None:
    log, target = population.draw(np.random.default_rng(0), 1500)
    conversions = np.where(log.rewards > 0, 1.0, np.nan)
    contexts = np.column_stack([log.contexts, conversions])
    with pytest.raises(OverlapError, match="The context number 3 alone tells which rewards are not 0"):
        estimate(BanditLog(contexts, log.actions, log.propensities, log.rewards), target)


def run(monkeypatch: pytest.MonkeyPatch, file: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ope", str(file)])
    return ope.main()


def frame(population: Population) -> pd.DataFrame:
    log, target = population.draw(np.random.default_rng(0), 1500)
    columns = {"action": log.actions, "propensity": log.propensities, "reward": log.rewards, "name": "somebody"}
    columns |= {f"target_{action}": target[:, action] for action in range(ACTIONS)}
    return pd.DataFrame(columns | {f"x{number}": log.contexts[:, number] for number in range(3)})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_command_prints_the_estimates_of_a_file(
    population: Population,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
) -> None:
    table, file = frame(population), tmp_path / f"log{suffix}"
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    assert run(monkeypatch, file) == 0
    lines = capsys.readouterr().out.splitlines()
    dr = estimate(*population.draw(np.random.default_rng(0), 1500)).dr
    assert [line.split()[0] for line in lines] == [*ESTIMATORS, "effective"]
    assert lines[2].split() == ["dr", f"{dr.mean:.3f}", f"{dr.low:.3f}", "to", f"{dr.high:.3f}"]


def test_the_command_refuses_a_greedy_log_and_names_a_broken_file(
    population: Population, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, file = frame(population), tmp_path / "log.csv"
    table.assign(propensity=1.0).to_csv(file, index=False)
    assert run(monkeypatch, file) == 1
    assert capsys.readouterr().out.startswith("refused: Every propensity is 1")
    table.drop(columns="reward").to_csv(file, index=False)
    for broken, message in (
        (file, "no column 'reward'"),
        (tmp_path / "log.txt", "log.txt cannot be read: No such file"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run(monkeypatch, broken)
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, tmp_path / "nowhere.csv")

"""Each interval against its published formula, and how often it covers the truth."""

import numpy as np
import pytest
from scipy.stats import kurtosis, t, ttest_ind
from scipy.stats import skew as sample_skewness

from training.scorer.metrics import auc, ece
from training.statistics import (
    Estimate,
    Z,
    bootstrap_interval,
    cross_validation_interval,
    interval_over_seeds,
    mean_interval,
    newcombe_interval,
    skewed_mean_interval,
    welch_interval,
    wilson_interval,
)


def covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def test_the_interval_of_a_mean_is_students() -> None:
    mean, low, high = mean_interval(np.array([0.8, 0.9, 1.0]))

    assert (mean, high - mean) == pytest.approx((0.9, 4.302653 * 0.1 / 3**0.5))  # Student's t, two degrees of freedom
    assert mean - low == pytest.approx(high - mean)


def test_the_interval_over_seeds_is_students_and_a_single_seed_has_none() -> None:
    interval = interval_over_seeds([1.0, 2.0, 3.0])

    assert interval["mean"] == 2
    assert interval["high"] == pytest.approx(2 + 4.3027 / 3**0.5, abs=1e-4)
    assert interval_over_seeds([5.0]) == {"mean": 5.0, "low": None, "high": None}


def test_the_interval_of_a_share_is_wilsons() -> None:
    share, low, high = wilson_interval(0.5, 100)

    assert share == 0.5
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson_interval(1.0, 10)[1:] == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert pytest.approx(1.95996, abs=1e-5) == Z


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_interval_of_a_share_of_none_or_all_contains_it(share: float) -> None:
    intervals = [wilson_interval(share, n) for n in range(1, 500)]

    assert all(0 <= interval.low <= share <= interval.high <= 1 for interval in intervals)


def test_the_interval_of_a_difference_of_shares_is_newcombes() -> None:
    """The first example of his table II: 56 of 70 against 48 of 80."""
    difference, low, high = newcombe_interval([True] * 56 + [False] * 14, [True] * 48 + [False] * 32)

    assert difference == pytest.approx(0.2)
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_interval_of_a_difference_of_means_is_welchs() -> None:
    treated, control = [1.0, 2.0, 3.0, 7.0], [0.0, 1.0, 0.5]
    expected = ttest_ind(treated, control, equal_var=False).confidence_interval(0.95)

    assert welch_interval(treated, control) == pytest.approx((2.75, expected.low, expected.high))
    assert welch_interval([1.0, 1.0], [0.5, 0.5]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.8, 0.7, 950, 50), (0.95, 0.9, 400, 40), (0.5, 0.5, 100, 100)])
def test_intervals_of_differences_of_shares_cover_the_truth_at_their_nominal_rate(
    p: float, q: float, n: int, m: int
) -> None:
    rng = np.random.default_rng(1)
    experiments = ((rng.random(n) < p, rng.random(m) < q) for _ in range(4_000))
    coverage = np.mean([covers(newcombe_interval(*experiment), p - q) for experiment in experiments])

    assert abs(coverage - 0.95) < 0.015


def test_intervals_of_differences_of_means_cover_the_truth_at_their_nominal_rate() -> None:
    """Of money as it comes: what stays pays all of a skewed bill."""
    rng = np.random.default_rng(1)

    def revenue(n: int, retention: float) -> np.ndarray:
        return rng.gamma(4, 20, n) * np.where(rng.random(n) < retention, 3, 3 * rng.random(n))

    truth = 80 * (3 * (0.8 - 0.7) + 1.5 * (0.2 - 0.3))
    coverage = np.mean([covers(welch_interval(revenue(950, 0.8), revenue(60, 0.7)), truth) for _ in range(4_000)])

    assert abs(coverage - 0.95) < 0.015


def test_the_skewness_adjusted_interval_is_students_where_values_are_symmetric() -> None:
    """Two values have a kurtosis of 1, so their variance is as good as known; at 0, 2 and two of 1 it is 2: t of 8."""
    for values, quantile in (([0, 2] * 8, 1.95996), ([0, 1, 1, 2], 2.30600)):
        half_width = quantile * np.std(values, ddof=1) / np.sqrt(len(values))
        expected = (1, 1 - half_width, 1 + half_width)
        assert skewed_mean_interval(np.array(values, float)) == pytest.approx(expected, abs=1e-5)


def test_the_skewness_adjusted_interval_reaches_further_into_the_long_tail() -> None:
    values = np.array([0.0] * 90 + [10.0] * 10)
    mean, low, high = skewed_mean_interval(values)

    assert high - mean > mean - low > 0
    skewness = sample_skewness(values) / 10
    for end, probability in ((low, 0.975), (high, 0.025)):
        score = (mean - end) / (values.std(ddof=1) / 10)
        transformed = score + skewness * score**2 / 3 + skewness**2 * score**3 / 27 + skewness / 6  # Hall (1992)
        assert transformed == pytest.approx(t.ppf(probability, 200 / (kurtosis(values, fisher=False) - 1)))
    assert skewed_mean_interval(-values) == pytest.approx((-mean, -high, -low))
    assert skewed_mean_interval(np.full(9, 3.0)) == (3, 3, 3)


def test_the_interval_of_cross_validation_is_wider_than_that_of_independent_folds() -> None:
    values = [0.80, 0.82, 0.84, 0.86, 0.88]
    mean, low, high = cross_validation_interval(values, folds=5)

    assert mean == pytest.approx(0.84)
    assert high - mean == pytest.approx(2.7764 * np.std(values, ddof=1) * np.sqrt(1 / 5 + 1 / 4), rel=1e-4)
    assert mean - low == pytest.approx(high - mean)


@pytest.mark.slow
def test_a_bootstrap_interval_holds_its_metric() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((2, 500))
    mean, low, high = bootstrap_interval(auc, p, (rng.random(500) < p[0]).astype(int), seed=1)

    assert low < mean < high


def test_a_bootstrap_of_a_rare_class_never_draws_a_sample_without_it() -> None:
    labels = np.zeros(200, int)
    labels[:2] = 1

    assert all(np.isfinite(bootstrap_interval(auc, np.linspace(0, 1, 200)[None], labels, seed=0)))


def test_a_block_bootstrap_widens_the_interval_of_autocorrelated_rows() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(4000) < np.repeat(rng.choice([0.1, 0.9], 40), 100)).astype(int)
    p = np.full((1, 4000), 0.5)
    rows, blocks = (bootstrap_interval(ece, p, labels, seed=1, block_size=size) for size in (1, 100))

    assert blocks.high - blocks.low > 2 * (rows.high - rows.low)

"""Estimates and their confidence intervals, of 95 % unless `alpha` says otherwise."""

from collections.abc import Callable, Sequence
from math import hypot, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, t

ALPHA = 0.05
"""Probability that an interval does not contain the true value."""
Z = float(norm.ppf(1 - ALPHA / 2))
"""Half-width of an interval of a normal estimate, in standard errors."""
BOOTSTRAP_SAMPLES = 200
"""Resamples of a bootstrap interval."""

Metric = Callable[[np.ndarray, np.ndarray], float]
"""Function of predicted probabilities [n] and labels [n]."""
Values = Sequence[float] | np.ndarray


class Estimate(NamedTuple):
    """An estimate with the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: Values) -> Estimate:
    """The mean of at least two independent values, with Student's t interval."""
    n, mean = len(values), float(np.mean(values))
    half_width = float(t.ppf(1 - ALPHA / 2, n - 1)) * float(np.std(values, ddof=1)) / n**0.5
    return Estimate(mean, mean - half_width, mean + half_width)


def interval_over_seeds(values: Sequence[float]) -> dict[str, float | None]:
    """`mean_interval` for a JSON report; a single seed has no interval."""
    if len(values) == 1:
        return {"mean": float(np.mean(values)), "low": None, "high": None}
    return dict(mean_interval(values)._asdict())


def wilson_interval(share: float, n: int) -> Estimate:
    """A share of n independent trials, with Wilson's score interval (1927). Ties make it a little too wide.

    At a share of 0 or 1 rounding may put an end beyond it: the interval is held within [0, 1] and around the share.
    """
    center, half_width = share + Z**2 / (2 * n), Z * np.sqrt(share * (1 - share) / n + (Z / (2 * n)) ** 2)
    low, high = (float((center + sign * half_width) / (1 + Z**2 / n)) for sign in (-1, 1))
    return Estimate(share, max(min(low, share), 0.0), min(max(high, share), 1.0))


def newcombe_interval(treated: Sequence[bool] | np.ndarray, control: Sequence[bool] | np.ndarray) -> Estimate:
    """Difference of two independent shares: Newcombe's hybrid of Wilson scores (1998, method 10)."""
    (p, p_low, p_high), (q, q_low, q_high) = (
        wilson_interval(sum(group) / len(group), len(group)) for group in (treated, control)
    )
    return Estimate(p - q, p - q - hypot(p - p_low, q_high - q), p - q + hypot(p_high - p, q - q_low))


def welch_interval(treated: Values, control: Values) -> Estimate:
    """Difference of two independent means whose variances may differ: Welch's t (1947)."""
    difference = float(np.mean(treated) - np.mean(control))
    a, b = (float(np.var(group, ddof=1)) / len(group) for group in (treated, control))
    if a + b == 0:
        return Estimate(difference, difference, difference)
    degrees_of_freedom = (a + b) ** 2 / (a**2 / (len(treated) - 1) + b**2 / (len(control) - 1))
    half_width = float(t.ppf(1 - ALPHA / 2, degrees_of_freedom)) * sqrt(a + b)
    return Estimate(difference, difference - half_width, difference + half_width)


def skewed_mean_interval(values: np.ndarray, alpha: float = ALPHA) -> Estimate:
    """The mean of independent values [n] that may be skewed.

    Hall's transformation (1992) corrects t for skewness; the degrees of freedom are those of the variance,
    2n / (kurtosis − 1) (Satterthwaite 1946). In 92 simulated settings whose rewards are mostly zero, with effective
    sample sizes that `training.policy.ope` accepts, it covered the true mean in 94.4 % of samples (89 % in the worst
    setting); Hall's alone in 93.4 % (88 %), the normal interval in 91.9 % (80 %).
    """
    mean, n = float(values.mean()), len(values)
    spread = float(values.std())
    if not spread:
        return Estimate(mean, mean, mean)
    standardised = (values - mean) / spread
    skewness = np.mean(standardised**3) / np.sqrt(n)
    quantiles = t.ppf([1 - alpha / 2, alpha / 2], 2 * n / max(float(np.mean(standardised**4)) - 1, 1e-9))
    if abs(skewness) > 1e-6:  # the limit of the transformation is the plain t
        quantiles = 3 / skewness * (np.cbrt(1 + skewness * (quantiles - skewness / 6)) - 1)
    low, high = (mean - quantiles * values.std(ddof=1) / np.sqrt(n)).tolist()
    return Estimate(mean, low, high)


def cross_validation_interval(values: Sequence[float], folds: int) -> Estimate:
    """The mean of a metric in [0, 1] over the folds of repeated cross-validation, whose training rows overlap.

    Corrected variance of J scores: sample variance · (1/J + test share / training share) (Nadeau and Bengio 2003).
    """
    standard_error = np.std(values, ddof=1) * np.sqrt(1 / len(values) + 1 / (folds - 1))
    half_width = float(t.ppf(1 - ALPHA / 2, len(values) - 1) * standard_error)
    mean = float(np.mean(values))
    return Estimate(mean, max(mean - half_width, 0.0), min(mean + half_width, 1.0))


def bootstrap_interval(
    metric: Metric, probabilities: np.ndarray, labels: np.ndarray, seed: int, block_size: int = 1, minimum: float = 0.0
) -> Estimate:
    """The mean of a metric of `probabilities` [repeats, n] over repeats; interval by bootstrap over the rows.

    Percentiles of the resampled metric (Efron 1979), less the bias of resampling, which raises any calibration error.
    Rows in order of time resemble their neighbours: they are drawn in blocks of `block_size` (Künsch 1989). `minimum`
    is the lowest possible value of the metric.
    """
    rng, n = np.random.default_rng(seed), len(labels)

    def mean_metric(rows: np.ndarray | slice) -> float:
        return float(np.mean([metric(repeat[rows], labels[rows]) for repeat in probabilities]))

    def resample() -> np.ndarray:
        """The metric of a resample; resamples with only one label, where AUC is undefined, are drawn again."""
        starts = rng.integers(n - block_size + 1, size=-(-n // block_size))
        rows = (starts[:, None] + np.arange(block_size)).ravel()[:n]
        return rows if 0 < labels[rows].mean() < 1 else resample()

    value, samples = mean_metric(slice(None)), np.array([mean_metric(resample()) for _ in range(BOOTSTRAP_SAMPLES)])
    low, high = np.quantile(samples - samples.mean() + value, [ALPHA / 2, 1 - ALPHA / 2]).clip(minimum, 1).tolist()
    return Estimate(value, low, high)

import numpy as np
import pytest
from scipy.stats import kurtosis, t
from scipy.stats import skew as skewness

from training.policy.ope.bandit_log import Log, TableError
from training.policy.ope.estimators import effective, influences, interval, weigh

LOG = Log(
    contexts=np.zeros((4, 1)),
    actions=np.array([0, 1, 0, 1]),
    propensities=np.array([0.5, 0.5, 0.8, 0.2]),
    rewards=np.array([1.0, 4.0, 0.0, 2.0]),
)
TARGET = np.array([[0.5, 0.5], [0.0, 1.0], [0.6, 0.4], [0.8, 0.2]])
"""Weights 1, 2, 3/4, 1."""


def test_each_estimator_is_as_worked_by_hand() -> None:
    weights = weigh(LOG, TARGET)
    assert weights == pytest.approx([1, 2, 0.75, 1])
    found = influences(LOG, TARGET, weights, expected=np.tile([1.0, 3.0], (4, 1)))
    assert found["ips"] == pytest.approx([1, 8, 0, 2])
    value = 11 / 4.75
    assert found["snips"].mean() == pytest.approx(value)
    assert found["snips"][1] == pytest.approx(value + 2 * (4 - value) / 1.1875)
    assert found["dr"] == pytest.approx([2 + 0, 3 + 2 * 1, 1.8 - 0.75, 1.4 - 1])
    assert found["gain"] == pytest.approx([1, 1, 1.05, -1.6])
    assert effective(weights) == pytest.approx(4.75**2 / 6.5625)


def test_an_interval_is_students_where_values_are_symmetric() -> None:
    """Two values have a kurtosis of 1, so their variance is as good as known; at 0, 2 and two of 1 it is 2: t of 8."""
    for values, reach in (([0, 2] * 8, 1.95996), ([0, 1, 1, 2], 2.30600)):
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert interval(np.array(values, float)) == pytest.approx((1, 1 - reach * error, 1 + reach * error), abs=1e-5)


def test_an_interval_reaches_further_to_where_the_large_ones_are() -> None:
    values = np.array([0.0] * 90 + [10.0] * 10)
    mean, low, high = interval(values)
    assert high - mean > mean - low > 0
    skew = skewness(values) / 10
    for end, chance in ((low, 0.975), (high, 0.025)):
        off = (mean - end) / (values.std(ddof=1) / 10)
        transformed = off + skew * off**2 / 3 + skew**2 * off**3 / 27 + skew / 6  # Hall (1992)
        assert transformed == pytest.approx(t.ppf(chance, 200 / (kurtosis(values, fisher=False) - 1)))
    assert interval(-values) == pytest.approx((-mean, -high, -low))
    assert interval(np.full(9, 3.0)) == (3, 3, 3)


def test_a_target_is_a_probability_for_each_action() -> None:
    with pytest.raises(TableError, match=r"row 3 has \[0.8 0.3\]"):
        weigh(LOG, TARGET + 0.1 * np.outer([0, 0, 0, 1], [0, 1]))
    with pytest.raises(TableError, match=r"\[4, 2 or more\].* \(4, 1\)"):
        weigh(LOG, TARGET[:, :1])
